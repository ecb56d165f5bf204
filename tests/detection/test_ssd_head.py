"""SSD's losses of a whole batch equal mmdet's, image by image, and ask the device for nothing."""

from __future__ import annotations

import copy
from unittest import mock

import pytest
import torch
from mmdet.models.dense_heads import SSDHead as MMDetSSDHead
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from mmengine.structures import InstanceData
from torch import Tensor

from mmext.detection import SSDHead, ssd_targets
from tests.conftest import ROOT

SIDES = (38, 19, 10, 5, 3, 1)
METAS = [dict(img_shape=(300, 300), pad_shape=(300, 300))] * 4


def heads() -> tuple[SSDHead, MMDetSSDHead]:
    init_default_scope('mmdet')
    model = Config.fromfile(ROOT / 'configs/_base_/detection/models/ssd300_resnet50.py').model
    config = dict(model.bbox_head, num_classes=3, train_cfg=model.train_cfg, test_cfg=model.test_cfg)
    return MODELS.build(config), MODELS.build(dict(config, type='mmdet.SSDHead'))


def objects(*counts: int) -> list[InstanceData]:
    """Random objects; the first one of an image is there twice, with two labels, so that both claim one anchor."""
    generator = torch.Generator().manual_seed(sum(counts))
    found = []
    for count in counts:
        corner, side = torch.rand(2, count, 2, generator=generator).mul(150).unbind()
        boxes = torch.cat([corner, corner + side + 2], 1)
        boxes[1:2] = boxes[:1]
        found.append(InstanceData(bboxes=boxes, labels=torch.arange(count) % 3))
    return found


def outputs(count: int) -> list[list[Tensor]]:
    generator = torch.Generator().manual_seed(0)
    numbers = (4, 6, 6, 6, 4, 4)
    return [[torch.randn(count, anchors * width, side, side, generator=generator).requires_grad_()
             for side, anchors in zip(SIDES, numbers)] for width in (4, 4)]


def losses(head: MMDetSSDHead, truth: list[InstanceData]) -> tuple[list[float], list[Tensor]]:
    """The summed losses, and their gradients."""
    scores, boxes = outputs(len(truth))
    found = head.loss_by_feat(scores, boxes, copy.deepcopy(truth), METAS[:len(truth)])
    values = [sum(one.sum() for one in found[key]) for key in ('loss_cls', 'loss_bbox')]
    return [value.item() for value in values], list(torch.autograd.grad(sum(values), [*scores, *boxes]))


@pytest.mark.parametrize('counts', [(1, 5, 2, 0), (3, ), (0, 0), (40, 2)])
@pytest.mark.parametrize('at_once', [ssd_targets.AT_ONCE, 1])
def test_the_losses_are_those_of_mmdet(counts: tuple[int, ...], at_once: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ssd_targets, 'AT_ONCE', at_once)
    ours, theirs = (losses(head, objects(*counts)) for head in heads())
    assert ours[0] == pytest.approx(theirs[0], rel=1e-6)
    for own, other in zip(ours[1], theirs[1]):
        assert torch.allclose(own, other, atol=1e-7)


def test_nothing_is_asked_of_the_device():
    """What a processor waits for: the count of a mask, or a number of a tensor."""
    waits = []
    for head in heads():
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
            losses(head, objects(1, 5, 2, 0))
        count = {event.key: event.count for event in profile.key_averages()}
        waits.append(sum(count.get(f'aten::{name}', 0) for name in ('nonzero', '_local_scalar_dense')))
    assert waits[0] == 2 < waits[1] - 60, 'two are those of the test'


@pytest.mark.parametrize('change', [dict(pos_iou_thr=0.6), dict(ignore_iof_thr=0.5), dict(gt_max_assign_all=True)])
def test_another_assigner_is_left_to_mmdet(change: dict):
    head, theirs = heads()
    for one in (head, theirs):
        for name, value in change.items():
            setattr(one.assigner, name, value)
    assert not head.matches_batches()
    truth = objects(2, 3)
    assert losses(head, truth)[0] == losses(theirs, truth)[0]


def test_images_with_padding_are_left_to_mmdet():
    head, _ = heads()
    assert head.all_valid([(38, 38)], METAS)
    assert not head.all_valid([(38, 38)], [*METAS[:1], dict(pad_shape=(200, 300))])
    scores, boxes = outputs(1)
    with mock.patch.object(MMDetSSDHead, 'loss_by_feat', return_value='theirs'):
        assert head.loss_by_feat(scores, boxes, objects(1), [dict(pad_shape=(200, 300))]) == 'theirs'
