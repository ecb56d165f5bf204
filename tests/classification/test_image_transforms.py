"""The Inception crop, mmcv's transforms between ours, and what is packed."""

from __future__ import annotations

import math

import mmcv
import numpy as np
import pytest
import torch
from mmcv.transforms import CenterCrop, RandomFlip, Resize

from mmext.classification.image_transforms import PackClassInputs, RandomResizedCrop
from mmext.registry import TRANSFORMS
from tests.classification.helpers import pixels, refused


def sample(height: int = 30, width: int = 40) -> dict:
    return dict(img=pixels(height, width, 3), gt_label=7, img_shape=(height, width), ori_shape=(height, width))


@pytest.mark.parametrize('name', ['RandomResizedCrop', 'PackClassInputs'])
def test_names_are_registered(name: str):
    assert TRANSFORMS.module_dict[name].__name__ == name


def windows(crop: RandomResizedCrop, height: int, width: int, count: int) -> np.ndarray:
    np.random.seed(0)
    return np.array([crop.window(height, width) for _ in range(count)]).T


@pytest.mark.parametrize(('height', 'width'), [(500, 400), (64, 64), (300, 200)])
def test_windows_lie_in_the_image(height: int, width: int):
    top, left, h, w = windows(RandomResizedCrop(), height, width, 2000)
    assert (h > 0).all() and (w > 0).all() and (top >= 0).all() and (left >= 0).all()
    assert (top + h <= height).all() and (left + w <= width).all()
    for low, high in ((top, height - h), (left, width - w)):
        assert (low == 0).any() or (high > 50).all()
        share = low[high > 0] / high[high > 0]
        assert abs(share.mean() - 0.5) < 0.03 and share.min() < 0.01 and share.max() > 0.99, 'the place is uniform'


def test_area_and_shape_have_the_distributions_asked_for():
    _, _, h, w = windows(RandomResizedCrop(scale=(0.1, 0.4), ratio=(3 / 4, 2)), 4000, 4000, 4000)  # every window fits
    area, log_ratio = h * w / 4000**2, np.log(w / h)
    for values, low, high in ((area, 0.1, 0.4), (log_ratio, math.log(3 / 4), math.log(2))):
        assert low - 1e-3 <= values.min() and values.max() <= high + 1e-3
        quarters = np.quantile(values, [0.25, 0.5, 0.75])
        assert np.allclose(quarters, low + (high - low) * np.array([0.25, 0.5, 0.75]), atol=0.03 * (high - low))


@pytest.mark.parametrize(('height', 'width', 'expected'), [
    (1000, 10, (493, 0, 13, 10)),  # 10 / 13 is the narrowest allowed shape
    (10, 1000, (0, 493, 10, 13)), (1, 1, (0, 0, 1, 1))])
def test_where_no_window_fits(height: int, width: int, expected: tuple[int, ...]):
    found = {tuple(map(int, RandomResizedCrop(scale=(1, 1)).window(height, width))) for _ in range(20)}
    assert found == {expected}


def test_a_shape_that_the_image_has_is_the_whole_image():
    assert tuple(RandomResizedCrop(scale=(1.5, 2)).window(35, 40)) == (0, 0, 35, 40)


def test_tiny_images_and_extreme_shapes_have_windows():
    for height, width in ((1, 1), (1, 2), (2, 1), (3, 2)):
        for ratio in ((5, 9), (0.01, 0.02), (3 / 4, 4 / 3)):
            top, left, h, w = RandomResizedCrop(ratio=ratio).window(height, width)
            assert 0 < h <= height - top and 0 < w <= width - left


@pytest.mark.parametrize('backend', ['cv2', 'pillow'])
def test_the_crop_is_the_window_resized(backend: str):
    crop, given = RandomResizedCrop(16, backend=backend), sample()
    np.random.seed(5)
    top, left, height, width = crop.window(30, 40)
    expected = mmcv.imresize(given['img'][top:top + height, left:left + width], (16, 16), backend=backend)
    np.random.seed(5)
    cropped = crop(given)
    assert np.array_equal(cropped['img'], expected) and cropped['img_shape'] == (16, 16)


def test_wrong_ranges():
    assert 'scale=(1.0, 0.5)' in refused(lambda: RandomResizedCrop(scale=(1.0, 0.5)))
    assert 'ratio=(0, 1)' in refused(lambda: RandomResizedCrop(ratio=(0, 1)))
    assert 'ratio=(1,)' in refused(lambda: RandomResizedCrop(ratio=(1, )))


@pytest.mark.parametrize(('height', 'width', 'short'), [
    (300, 400, (256, 341)), (500, 375, (341, 256)), (20, 90, (256, 1152))])
def test_mmcvs_resize_of_the_short_side(height: int, width: int, short: tuple[int, int]):
    resized = Resize(scale=(100000, 256), keep_ratio=True)(sample(height, width))
    assert resized['img'].shape[:2] == short
    cropped = CenterCrop(crop_size=224)(dict(resized))
    top, left = (round((side - 224) / 2) for side in short)
    assert np.array_equal(cropped['img'], resized['img'][top:top + 224, left:left + 224])
    assert PackClassInputs()(cropped)['inputs'].shape == (3, 224, 224)


def test_packing():
    given = sample()
    packed = PackClassInputs()(dict(given, gt_label=np.int64(7)))
    assert set(packed) == {'inputs', 'labels'} and type(packed['labels']) is int and packed['labels'] == 7
    assert packed['inputs'].is_contiguous() and packed['inputs'].dtype == torch.uint8
    for channel in range(3):
        assert np.array_equal(packed['inputs'][channel], given['img'][..., 2 - channel])


def test_packing_of_a_flipped_image():
    given = sample()
    expected = PackClassInputs()(dict(given))['inputs'].flip(-1)
    assert torch.equal(PackClassInputs()(RandomFlip(prob=1.0)(given))['inputs'], expected)


@pytest.mark.parametrize('image', [np.zeros((4, 4, 3), np.float32), np.zeros((4, 4), np.uint8),
                                   np.zeros((4, 4, 4), np.uint8)])
def test_packing_of_what_is_no_image_of_bytes(image: np.ndarray):
    assert 'not uint8 (H, W, 3)' in refused(lambda: PackClassInputs()(dict(img=image, gt_label=0)))
