"""Accuracy is what a sort of the scores, image by image, says it is; on several processes too."""

from __future__ import annotations

import json
import multiprocessing
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator

from mmext.classification.metric import Accuracy
from mmext.registry import METRICS
from tests.classification.helpers import refused


def samples(scores: list | torch.Tensor, labels: list[int]) -> list[dict]:
    return [dict(pred_scores=torch.as_tensor(row, dtype=torch.float32), gt_label=label)
            for row, label in zip(scores, labels)]


def evaluate(data: list[dict], classes: list[str] | None = None, batch: int = 7, **options) -> dict[str, float]:
    metric = Accuracy(**options)
    metric.dataset_meta = dict(classes=classes) if classes else None
    for start in range(0, len(data), batch):
        metric.process({}, data[start:start + batch])
    return metric.evaluate(len(data))


def test_name_is_registered():
    assert METRICS.module_dict['Accuracy'] is Accuracy


@pytest.mark.parametrize('levels', [3, 1000])
def test_it_is_a_stable_sort(levels: int):
    """With three levels of score most images have ties, of which the first class counts as the highest."""
    generator = np.random.default_rng(0)
    scores, labels = generator.integers(0, levels, (200, 8)), generator.integers(0, 8, 200).tolist()
    found = evaluate(samples(scores, labels), topk=(1, 3, 8))
    for k in (1, 3, 8):
        hits = [label in sorted(range(8), key=lambda i, row=row: -row[i])[:k] for row, label in zip(scores, labels)]
        assert found[f'accuracy/top{k}'] == pytest.approx(np.mean(hits))
    assert found['accuracy/top1'] == pytest.approx(np.mean(scores.argmax(1) == labels))
    assert found['accuracy/error1'] == pytest.approx(1 - found['accuracy/top1'])
    assert found['accuracy/top8'] == 1
    assert set(found) == {'accuracy/top1', 'accuracy/top3', 'accuracy/top8', 'accuracy/error1'}


def test_equal_scores_are_not_right_answers():
    assert evaluate(samples(torch.zeros(4, 5), [0, 1, 2, 4]), topk=(1, 3)) == {
        'accuracy/top1': 0.25, 'accuracy/top3': 0.75, 'accuracy/error1': 0.75}


def test_nan_is_wrong():
    scores = torch.tensor([[float('nan')] * 3, [1, 0, float('nan')], [0, 1, 0], [float('inf'), 0, 0]])
    assert evaluate(samples(scores, [0, 0, 1, 0]), topk=(1, 3)) == {
        'accuracy/top1': 0.5, 'accuracy/top3': 0.5, 'accuracy/error1': 0.5}


def test_per_class():
    scores = [[3, 2, 1, 0], [0, 3, 2, 1], [3, 2, 1, 0], [0, 0, 1, 2]]
    found = evaluate(samples(scores, [0, 1, 1, 3]), ['a', 'b', 'c', 'd'], topk=(1, 2), per_class=True)
    expected = {'a': (1, 1, 1), 'b': (0.5, 1, 2), 'c': (-1, -1, 0), 'd': (1, 1, 1)}
    assert found == {'accuracy/top1': 0.75, 'accuracy/top2': 1, 'accuracy/error1': 0.25,
                     **{f'accuracy/{name}/{key}': value for name, values in expected.items()
                        for key, value in zip(('top1', 'top2', 'images'), values)}}


def test_another_prefix_and_no_top1():
    assert set(evaluate(samples([[0, 1]], [0]), topk=2, prefix='held_out')) == {'held_out/top2'}


def test_half_precision_on_the_models_device_may_be_given():
    data = [dict(pred_scores=torch.tensor([0.1, 0.9]).bfloat16(), gt_label=torch.tensor(1))]
    assert evaluate(data, topk=(1, ))['accuracy/top1'] == 1


def test_it_starts_anew_after_an_evaluation():
    metric = Accuracy(topk=(1, ))
    for label, expected in ((0, 1.0), (1, 0.0)):
        metric.process({}, samples([[1, 0]], [label]))
        assert metric.evaluate(1)['accuracy/top1'] == expected


def evaluate_part(rank: int, folder: Path, data: list[dict], size: int) -> None:
    """What one of two processes does; writes what it gets."""
    torch.distributed.init_process_group('gloo', f'file://{folder}/store', rank=rank, world_size=2)
    metric = Accuracy(topk=(1, ), collect_dir=str(folder / 'parts'))
    metric.process({}, data)
    (folder / f'{rank}.json').write_text(json.dumps(metric.evaluate(size)))
    torch.distributed.destroy_process_group()


def test_two_processes_share_the_images(tmp_path: Path):
    """Of five images each has every second; the sampler gives the second process the first image for its third."""
    data = samples([[1, 0], [1, 0], [0, 1], [0, 1], [1, 0], [1, 0]], [0, 1, 1, 1, 1, 0])
    context = multiprocessing.get_context('fork')
    processes = [context.Process(target=evaluate_part, args=(rank, tmp_path, data[rank::2], 5)) for rank in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    found = [json.loads((tmp_path / f'{rank}.json').read_text()) for rank in range(2)]
    assert found == [evaluate(data[:5], topk=(1, ))] * 2
    assert found[0]['accuracy/top1'] == 0.6 != evaluate(data, topk=(1, ))['accuracy/top1']


def test_a_k_beyond_the_classes_is_told_before_the_first_image():
    line = refused(lambda: setattr(Accuracy(topk=(4, 5)), 'dataset_meta', dict(classes=['a', 'b', 'c'])))
    assert 'val_evaluator.topk=(4, 5): there are only 3 classes; give smaller numbers' in line
    assert 'only 3 classes' in refused(lambda: evaluate(samples(torch.zeros(2, 3), [0, 1]), topk=5))
    evaluator = Evaluator([Accuracy(topk=5)])
    assert 'only 3 classes' in refused(lambda: setattr(evaluator, 'dataset_meta', dict(classes=['a', 'b', 'c'])))


@pytest.mark.parametrize('metric', ['mmext.Accuracy', 'mmext.ActionAccuracy'])
@pytest.mark.parametrize('count', [2, 3, 4, 5, 6])
@pytest.mark.parametrize('named', [True, False])
def test_below_five_classes_what_there_can_be_is_measured(metric: str, count: int, named: bool):
    import mmext.video  # noqa: F401  registers the metric of recognizers

    built = METRICS.build(dict(type=metric, topk=(1, 5)))
    if named:
        built.dataset_meta = dict(classes=[f'class {i}' for i in range(count)])
    scores = torch.eye(count)
    keys = ('pred_scores', 'gt_label') if metric == 'mmext.Accuracy' else ('pred_score', 'gt_label')
    built.process({}, [dict(zip(keys, (row, torch.tensor([i])))) for i, row in enumerate(scores)])
    found = built.evaluate(count)
    assert found['accuracy/top1'] == 1 and ('accuracy/top5' in found) == (count >= 5)


@pytest.mark.parametrize(('classes', 'label', 'words'), [
    (['a', 'b'], 0, 'it has 3 classes, the data set 2'), (None, 3, 'labels from 3 to 3'), (None, -1, 'labels from -1')])
def test_a_model_of_another_data_set(classes: list[str] | None, label: int, words: str):
    assert words in refused(lambda: evaluate(samples([[0, 1, 2]], [label]), classes, topk=(1, )))


@pytest.mark.parametrize('topk', [(), (0, ), (1.5, ), 0])
def test_a_wrong_topk(topk):
    assert 'topk' in refused(lambda: Accuracy(topk=topk))
