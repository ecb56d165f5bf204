"""SSD's colour jitter, and its pipeline from crop to packing, against mmdet's: the same draws, the same bits."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
import torch
from mmdet.datasets.transforms import PackDetInputs
from mmdet.datasets.transforms import PhotoMetricDistortion as Reference
from mmdet.registry import TRANSFORMS as MMDET_TRANSFORMS
from mmengine.config import Config
from mmengine.registry import DefaultScope

from mmext.detection import PhotoMetricDistortion
from mmext.registry import TRANSFORMS
from tests.conftest import ROOT
from tests.detection.samples import BOXES, sample

# Where hue, saturation or their conversion has an edge: greys, pure colours, dark pixels that get negative.
EDGES = [(0, 0, 0), (255, 255, 255), (127, 127, 127), (255, 0, 0), (0, 255, 0), (0, 0, 255), (0, 1, 255), (1, 0, 255),
         (5, 9, 20), (255, 255, 0), (0, 255, 255), (255, 0, 255), (31, 32, 33), (255, 254, 255), (0, 0, 1), (9, 9, 8)]


def picture(height: int = 24, width: int = 16) -> np.ndarray:
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    image[0, :len(EDGES)] = EDGES
    return image


def assert_same(image: np.ndarray, theirs: Reference, ours: PhotoMetricDistortion, seed: int = 0) -> None:
    """Equal pixels, and a random generator that goes on alike; the image given is left as it is."""
    kept = image.copy()
    found = []
    for transform in (theirs, ours):
        np.random.seed(seed)
        found.append((transform(dict(img=image))['img'], np.random.random_sample()))
    (expected, draw), (pixels, our_draw) = found
    assert pixels.dtype == np.float32 and pixels.shape == image.shape
    assert np.array_equal(pixels, expected) and draw == our_draw
    assert np.array_equal(image, kept)


def test_its_name_is_registered():
    assert TRANSFORMS.get('mmext.PhotoMetricDistortion') is PhotoMetricDistortion


@pytest.mark.parametrize('low', [False, True])
@pytest.mark.parametrize('flags', product((0, 1), repeat=6))
def test_each_step_and_its_order(monkeypatch: pytest.MonkeyPatch, flags: tuple[int, ...], low: bool):
    values = (-32.0, 0.5, 0.5, -18.0) if low else (31.9, 1.5, 1.5, 17.9)
    theirs, ours = Reference(), PhotoMetricDistortion()
    for order in ([2, 0, 1], [1, 0, 2]):
        for transform in (theirs, ours):
            monkeypatch.setattr(transform, '_random_flags', lambda order=order: (*flags, *values, np.array(order)))
        assert_same(picture(), theirs, ours)


@pytest.mark.parametrize('layout', [
    np.ascontiguousarray, np.asfortranarray, lambda image: image[:, ::-1], lambda image: image[::-1, ::-1],
    lambda image: image[3:20, 2:9], lambda image: image[3:20, 2:9][:, ::-1], lambda image: image[:, :1][:, ::-1],
    lambda image: image[..., ::-1], lambda image: image.astype(np.float32) / 3,
    lambda image: np.ascontiguousarray(image.transpose(2, 0, 1)).transpose(1, 2, 0).astype(np.float32)])
def test_every_layout_in_memory_and_the_same_draws(layout: Callable):
    for seed in range(30):
        assert_same(layout(picture()), Reference(), PhotoMetricDistortion(), seed)


def test_packing_copies_nothing():
    image = PhotoMetricDistortion()(dict(img=picture()))['img']
    packed = PackDetInputs(meta_keys=())(dict(img=image))['inputs']
    assert packed.is_contiguous() and packed.data_ptr() == image.ctypes.data


@pytest.mark.parametrize('name', ['coco_ssd300', 'coco_ssd512', 'mmdets_ssd300'])
def test_the_configs_pipelines_are_mmdets(name: str):
    """From the crop to what the model gets, with mmdet's transforms in the place of ours; and mmdet's own SSD300."""
    base = ROOT / 'configs' / '_base_' / 'detection' / 'datasets' / f"{name.replace('mmdets', 'coco')}.py"
    steps = Config.fromfile(base).train_pipeline[2:]
    theirs = [dict(step, type=step.type.removeprefix('mmext.')) for step in steps]
    assert sum(step.type.startswith('mmext.') for step in steps) == 2
    if name.startswith('mmdets'):
        expand = dict(mean=[123.675, 116.28, 103.53], to_rgb=True, ratio_range=(1, 4))
        steps[0]['expand'] = expand
        theirs.insert(0, dict(expand, type='Expand'))
    with DefaultScope.overwrite_default_scope('mmdet'):
        chains = [[MMDET_TRANSFORMS.build(step) for step in pipeline] for pipeline in (theirs, steps)]
    for seed, kind in enumerate(2 * [*BOXES]):
        packed = []
        for chain in chains:
            np.random.seed(seed)
            results = sample((60 + seed, 80), kind, seed)
            for step in chain:
                results = step(results)
            packed.append((results, np.random.random_sample()))
        (expected, draw), (found, our_draw) = packed
        assert torch.equal(found['inputs'], expected['inputs']) and draw == our_draw
        one, other = found['data_samples'], expected['data_samples']
        assert one.metainfo == other.metainfo and {'img_shape', 'scale_factor', 'flip'} <= set(one.metainfo)
        for objects in ('gt_instances', 'ignored_instances'):
            ours, mmdets = getattr(one, objects), getattr(other, objects)
            assert torch.equal(ours.bboxes.tensor, mmdets.bboxes.tensor) and torch.equal(ours.labels, mmdets.labels)
