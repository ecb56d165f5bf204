"""The scores of a test as a file: what is written is read, and nothing else is."""

from __future__ import annotations

import json
import multiprocessing
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import distributed

from mmext.classification.metric import Accuracy
from mmext.classification.scores import SavedScores, read_scores, write_scores
from mmext.errors import UserError
from mmext.video.metric import ActionAccuracy

CLASSES = ['a b', '<c>', 'é']


def some(count: int = 7) -> SavedScores:
    rng = np.random.default_rng(0)
    return SavedScores(rng.dirichlet([1] * 3, count).astype(np.float32), rng.integers(0, 3, count),
                  [f'x{i}\n.jpg' for i in range(count)], CLASSES)


def test_what_is_written_is_read(tmp_path: Path):
    saved = some()
    write_scores(tmp_path / 'deep' / 'scores.npz', saved)
    read = read_scores(tmp_path / 'deep' / 'scores.npz')
    assert (read.scores == saved.scores).all() and (read.labels == saved.labels).all()
    assert (read.names, read.classes) == (saved.names, saved.classes)
    assert [path.name for path in (tmp_path / 'deep').iterdir()] == ['scores.npz']


@pytest.mark.parametrize('metric', [Accuracy, ActionAccuracy])
def test_a_metric_keeps_scores_and_measures_the_file_as_the_test(metric: type, tmp_path: Path):
    saved, path = some(), str(tmp_path / 'scores.npz')
    test = metric(topk=(1, 2), per_class=True)
    test.dataset_meta = dict(classes=CLASSES)
    test.results_file = path
    for i in range(0, 7, 3):
        rows = zip(torch.from_numpy(saved.scores[i:i + 3]), saved.labels[i:i + 3], saved.names[i:i + 3])
        test.process(dict(names=saved.names[i:i + 3]), [
            dict(pred_scores=scores, pred_score=scores, gt_label=torch.tensor(label), filename=name)
            for scores, label, name in rows])
    metrics = test.evaluate(7)
    read = read_scores(path)
    assert (read.scores == saved.scores).all() and (read.labels == saved.labels).all()
    assert (read.names, read.classes) == (saved.names, CLASSES)
    assert metric(topk=(1, 2), per_class=True).evaluate_file(path) == metrics

    other = metric(topk=(1, ))
    other.dataset_meta = dict(classes=CLASSES[::-1])
    with pytest.raises(UserError, match="its 3 classes .* are not the config's 3"):
        other.evaluate_file(path)


def one_of_two(rank: int, folder: Path) -> None:
    """A process of two, with every second image; the last of an odd number is the first again, as samplers do it."""
    torch.set_num_threads(1)
    distributed.init_process_group('gloo', init_method=f'file://{folder}/meeting', rank=rank, world_size=2)
    saved, metric = some(), Accuracy(topk=(1, ))
    metric.results_file = str(folder / f'of_{rank}.npz')
    for i in [*range(7), 0][rank::2]:
        metric.process(dict(names=saved.names[i:i + 1]), [dict(pred_scores=torch.from_numpy(saved.scores[i]),
                                                               gt_label=saved.labels[i])])
    (folder / f'metrics_{rank}.json').write_text(json.dumps(metric.evaluate(7)))
    distributed.destroy_process_group()


def test_two_processes_are_as_one(tmp_path: Path):
    processes = [multiprocessing.get_context('fork').Process(target=one_of_two, args=(rank, tmp_path))
                 for rank in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    saved, read = some(), read_scores(tmp_path / 'of_0.npz')
    assert (read.scores == saved.scores).all() and (read.labels == saved.labels).all() and read.names == saved.names
    assert not (tmp_path / 'of_1.npz').exists(), 'the main process alone writes'
    metrics = [json.loads((tmp_path / f'metrics_{rank}.json').read_text()) for rank in range(2)]
    assert metrics[0] == metrics[1] == Accuracy(topk=(1, )).evaluate_file(str(tmp_path / 'of_0.npz'))


def test_a_full_disk_does_not_lose_the_metrics(tmp_path: Path):
    (tmp_path / 'file').touch()
    test = Accuracy(topk=(1, ))
    test.results_file = str(tmp_path / 'file' / 'scores.npz')
    test.process({}, [dict(pred_scores=torch.tensor([0.9, 0.1]), gt_label=0)])
    assert test.evaluate(1)['accuracy/top1'] == 1


def test_files_that_are_none(tmp_path: Path):
    path = tmp_path / 'scores.npz'
    with pytest.raises(UserError, match='no such file of scores'):
        read_scores(path)
    write_scores(path, some())
    whole = path.read_bytes()
    arrays = dict(np.load(path))
    for content in (b'', b'junk', whole[:200], whole[:-30], pickle.dumps({}), whole[:150] + b'\0' * 60 + whole[210:]):
        path.write_bytes(content)
        with pytest.raises(UserError, match=r'scores\.npz: '):
            read_scores(path)
    for changed, told in (
            (dict(scores=arrays['scores'][:5]), 'it has 5 scores, 7 labels and 7 names'),
            (dict(scores=arrays['scores'][:, :2]), 'scores of 2 classes and names of 3'),
            (dict(labels=arrays['labels'] + 2), 'labels from'), (dict(labels=arrays['labels'] * 1.0), 'its labels are'),
            (dict(names=np.array([None] * 7)), 'cut short, or no file'), (dict(scores=np.array('x')), 'its scores are'),
            (dict(classes=np.array(['a', 'b\n', 'c'])), 'of a class')):
        np.savez(path, **{**arrays, **changed})
        with pytest.raises(UserError, match=told):
            read_scores(path)
    np.savez(path, scores=arrays['scores'])
    with pytest.raises(UserError, match='has no labels, names, classes'):
        read_scores(path)
