"""SSD's random crop and expansion against mmdet's: the same draws, the same bits."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from mmdet.datasets.transforms import Expand
from mmdet.datasets.transforms import MinIoURandomCrop as Reference
from mmdet.structures.bbox import bbox_overlaps
from mmdet.structures.mask import BitmapMasks

from mmext.detection.crop import MinIoURandomCrop, fits, smallest_box_test
from mmext.errors import UserError
from mmext.registry import TRANSFORMS
from tests.detection.samples import BOXES, random_boxes, sample

IMAGENET = dict(mean=[123.675, 116.28, 103.53], to_rgb=True)
EXPANSIONS = {'none': None, 'half': dict(IMAGENET, ratio_range=(1, 4)),
              'always': dict(IMAGENET, ratio_range=(1, 2), prob=1),
              'grey': dict(mean=(127.9, 127.9, 127.9), to_rgb=False, ratio_range=(2, 4), prob=1),
              'to itself': dict(IMAGENET, ratio_range=(1, 1), prob=1)}
SIZES = [(1, 1), (2, 7), (23, 31), (90, 41), (160, 213)]


def both(given: dict, expand: dict | None, seed: int, **arguments) -> tuple[dict, dict]:
    """mmdet's results and ours, each with the generator's state afterwards."""
    theirs = [Reference(**arguments)] if expand is None else [Expand(**expand), Reference(**arguments)]
    found = []
    for steps in (theirs, [MinIoURandomCrop(expand=expand, **arguments)]):
        results = copy.deepcopy(given)
        np.random.seed(seed)
        for step in steps:
            results = step(results)
        found.append(dict(results, state=np.random.get_state()))
    return found[0], found[1]


def assert_equal(expected: dict, found: dict) -> None:
    assert expected.keys() == found.keys()
    assert found['img_shape'] == expected['img_shape'] == found['img'].shape[:2]
    assert found['ori_shape'] == expected['ori_shape']
    for key in ('img', 'gt_bboxes_labels', 'gt_ignore_flags'):
        assert found[key].dtype == expected[key].dtype and np.array_equal(found[key], expected[key]), key
    assert torch.equal(found['gt_bboxes'].tensor, expected['gt_bboxes'].tensor)
    for one, other in zip(found['state'], expected['state']):
        assert np.array_equal(one, other), 'the generator goes on elsewhere'


def test_its_name_is_registered():
    assert TRANSFORMS.get('mmext.MinIoURandomCrop') is MinIoURandomCrop


@pytest.mark.parametrize('kind', BOXES)
@pytest.mark.parametrize('expansion', EXPANSIONS)
def test_equals_mmdets(expansion: str, kind: str):
    for i, size in enumerate(SIZES):
        given = sample(size, kind)
        for seed in (i, i + 100):
            assert_equal(*both(given, EXPANSIONS[expansion], seed))


@pytest.mark.parametrize('size', [(1, 1), (2, 1), (2, 2), (3, 2)])
def test_windows_of_a_few_pixels(size: tuple[int, int]):
    """Many of the drawn windows have no width or no height."""
    for seed in range(60):
        assert_equal(*both(sample(size, 'none'), None, seed))


def test_hundreds_of_draws_reach_every_case():
    cases = dict.fromkeys(('untouched', 'cut', 'whole canvas', 'no pixel of the image', 'box dropped', 'crowd kept'), 0)
    for seed in range(200):
        given = sample((24, 30), 'many' if seed % 2 else 'none', seed)
        expected, found = both(given, EXPANSIONS['half'], seed)
        assert_equal(expected, found)
        cases['untouched'] += np.array_equal(found['img'], given['img'])
        cases['cut'] += found['img'].size < given['img'].size
        cases['whole canvas'] += found['img'].size > 4 * given['img'].size
        cases['no pixel of the image'] += bool((found['img'] == (103, 116, 123)).all())
        cases['box dropped'] += len(found['gt_bboxes']) < len(given['gt_bboxes'])
        cases['crowd kept'] += bool(found['gt_ignore_flags'].any())
    assert all(cases.values()), cases


@pytest.mark.parametrize('arguments', [dict(min_ious=(0.7, )), dict(min_ious=[0, 0.95], min_crop_size=0.05),
                                       dict(min_crop_size=0.9, bbox_clip_border=False), dict(min_ious=())])
def test_equals_mmdets_with_other_arguments(arguments: dict):
    for kind in ('one, large', 'large ones', 'many'):
        for seed in range(8):
            expand = EXPANSIONS['half' if seed % 2 else 'none']
            assert_equal(*both(sample((40, 50), kind, seed), expand, seed, **arguments))


def test_other_forms_of_samples():
    for change in (lambda given: given.update(img=given['img'].astype(np.float32)),
                   lambda given: given.update(img=np.asfortranarray(given['img'])),
                   lambda given: given.update(img=given['img'][:, ::-1])):
        given = sample((30, 24), 'many')
        change(given)
        for seed in range(4):
            assert_equal(*both(given, EXPANSIONS['half'], seed))
    arrays = dict(sample((30, 24), 'many'))
    arrays['gt_bboxes'] = arrays['gt_bboxes'].numpy()
    for seed in range(4):
        expected, found = both(arrays, EXPANSIONS['half'], seed)
        assert isinstance(found['gt_bboxes'], np.ndarray) and np.array_equal(found['gt_bboxes'], expected['gt_bboxes'])
    bare = sample((30, 24), 'many')
    del bare['gt_ignore_flags'], bare['gt_bboxes_labels']
    expected, found = both(bare, None, 1)
    assert expected.keys() == found.keys() and torch.equal(found['gt_bboxes'].tensor, expected['gt_bboxes'].tensor)


def test_the_image_given_is_left_as_it_is():
    given = sample((30, 24), 'many')
    kept = given['img'].copy()
    for _ in range(10):
        MinIoURandomCrop(expand=EXPANSIONS['always'])(dict(given, gt_bboxes=given['gt_bboxes'].clone()))
    assert np.array_equal(given['img'], kept)


@pytest.mark.parametrize('seed', range(4))
def test_limits_of_the_iou_are_met_to_the_last_bit(seed: int):
    """At, just below and just above the IoU that mmdet computes; the quick test never refuses what fits."""
    rng = np.random.default_rng(seed)
    refused = 0
    for _ in range(100):
        corners = random_boxes(rng, int(rng.integers(1, 4)), 480, 640).astype(np.float32)
        base = corners[0] + rng.uniform(-20, 20, 4)
        window = tuple(int(number) for number in (*base[:2], *np.maximum(base[2:], base[:2] + 2)))
        iou = bbox_overlaps(torch.tensor([window]).float(), torch.from_numpy(corners)).min().item()
        inside = fits(window, corners, 0)
        assert fits(window, corners, iou) == inside
        assert fits(window, corners, np.nextafter(iou, 0)) == inside
        assert not fits(window, corners, np.nextafter(iou, 1))
        assert not smallest_box_test(corners, iou)(window)
        refused += smallest_box_test(corners, min(iou * 1.01 + 0.05, 1.1))(window)
    assert refused > 30, 'the quick test is of no use'


def test_a_union_of_nothing_is_no_overlap():
    corners = np.array([[20, 0, 10, 10], [0, 0, 10, 10]], np.float32)  # the first has an area of -100
    assert bbox_overlaps(torch.tensor([[0., 0, 10, 10]]), torch.from_numpy(corners)).tolist() == [[0, 1]]
    assert not fits((0, 0, 10, 10), corners, 0.1)


def refusal(work: Callable[[], object]) -> str:
    with pytest.raises(UserError) as caught:
        work()
    assert '\n' not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize('change, says', [
    (lambda given: given.pop('gt_bboxes'), 'LoadAnnotations'),
    (lambda given: given.update(gt_masks=BitmapMasks(np.zeros((12, 30, 24), np.uint8), 30, 24)), 'not gt_masks'),
    (lambda given: given.update(gt_seg_map=np.zeros((30, 24), np.uint8)), 'not gt_seg_map')])
def test_what_it_can_not_cut_is_refused(change: Callable, says: str):
    given = sample((30, 24), 'many')
    change(given)
    assert says in refusal(partial(MinIoURandomCrop(), given))


@pytest.mark.parametrize('expand, says', [(dict(means=(0, 0, 0)), 'means'), (dict(ratio_range=4), '4'), (True, 'True'),
                                          (dict(ratio_range=(1, 2, 3)), '(1, 2, 3)')])
def test_wrong_arguments_of_the_expansion(expand: object, says: str):
    assert says in refusal(partial(MinIoURandomCrop, expand=expand))
