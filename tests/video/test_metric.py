"""Top-k accuracy and error, and the mean over classes, against mmaction2's own functions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from mmaction.evaluation.functional import mean_class_accuracy, top_k_accuracy

from mmext.video.metric import ActionAccuracy


def evaluate(scores: np.ndarray, labels: list[int], **options) -> dict[str, float]:
    metric = ActionAccuracy(**options)
    metric.dataset_meta = dict(classes=[f'class {i}' for i in range(scores.shape[1])])
    metric.process({}, [dict(pred_score=torch.tensor(row), gt_label=torch.tensor([label]))
                        for row, label in zip(scores, labels)])
    return metric.evaluate(len(labels))


def test_the_figures_are_mmaction2_s():
    generator = np.random.default_rng(0)
    scores, labels = generator.random((200, 9)), generator.integers(0, 7, 200).tolist()  # two classes have no videos
    found = evaluate(scores, labels, topk=(1, 5))
    top1, top5 = top_k_accuracy(scores, labels, (1, 5))
    expected = {'accuracy/top1': top1, 'accuracy/top5': top5, 'accuracy/error1': 1 - top1, 'accuracy/error5': 1 - top5}
    assert {key: found[key] for key in expected} == pytest.approx(expected)
    by_class = [np.mean(scores[np.array(labels) == label].argmax(1) == label) for label in range(7)]
    assert found['accuracy/mean_class'] == pytest.approx(np.mean(by_class))


def test_the_mean_over_classes_is_mmaction2_s_where_all_have_videos():
    generator = np.random.default_rng(1)
    labels = [*range(6), *generator.integers(0, 3, 60).tolist()]
    scores = generator.random((66, 6)) + 0.4 * np.eye(6)[labels]
    found = evaluate(scores, labels, topk=(1, ))
    assert found['accuracy/mean_class'] == pytest.approx(mean_class_accuracy(scores, labels))
    assert found['accuracy/mean_class'] != pytest.approx(found['accuracy/top1'])


def test_per_class():
    scores = np.array([[0.9, 0.1, 0.0], [0.2, 0.3, 0.5], [0.1, 0.6, 0.3]])
    found = evaluate(scores, [0, 1, 1], topk=(1, 2), per_class=True)
    assert {key.removeprefix('accuracy/'): value for key, value in found.items() if 'class 1' in key} == {
        'class 1/top1': 0.5, 'class 1/top2': 1.0, 'class 1/videos': 2}
    assert found['accuracy/class 2/videos'] == 0 and found['accuracy/class 2/top1'] == -1
