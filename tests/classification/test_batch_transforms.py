"""Augmenting a batch is augmenting its images one by one with the same draws."""

from __future__ import annotations

import pytest
import torch

from mmext.classification.batch_transforms import BatchCenterPad, BatchRandomCrop, BatchRandomFlip
from mmext.registry import TRANSFORMS
from tests.classification.helpers import refused


def batch(count: int = 40, channels: int = 3, height: int = 32, width: int = 32) -> dict:
    torch.manual_seed(0)
    images = torch.randint(1, 256, (count, channels, height, width), dtype=torch.uint8)
    return dict(inputs=images, labels=torch.arange(count))


def check_form(before: dict, after: dict, size: int) -> None:
    assert after['inputs'].shape == (*before['inputs'].shape[:2], size, size)
    assert after['inputs'].dtype == torch.uint8 and after['inputs'].is_contiguous()
    assert after['labels'] is before['labels']


@pytest.mark.parametrize('name', ['BatchCenterPad', 'BatchRandomCrop', 'BatchRandomFlip'])
def test_names_are_registered(name: str):
    assert TRANSFORMS.module_dict[name].__name__ == name


@pytest.mark.parametrize(('channels', 'height', 'width', 'size', 'pad_to'), [
    (3, 32, 32, 32, 40), (1, 28, 28, 32, 40), (3, 5, 8, 3, 9), (3, 8, 8, 8, 8), (2, 8, 8, 4, 8)])
def test_random_crop(channels: int, height: int, width: int, size: int, pad_to: int):
    given = batch(40, channels, height, width)
    images = given['inputs'].clone()
    torch.manual_seed(7)
    cropped = BatchRandomCrop(size, pad_to)(given)
    check_form(given, cropped, size)
    assert torch.equal(given['inputs'], images), 'the given batch stays as it is'
    torch.manual_seed(7)
    tops, lefts = torch.randint(pad_to - size + 1, (2, 40)).tolist()
    for image, window, top, left in zip(images, cropped['inputs'], tops, lefts):
        canvas = torch.zeros(channels, pad_to, pad_to, dtype=torch.uint8)
        y, x = (pad_to - height) // 2, (pad_to - width) // 2
        canvas[:, y:y + height, x:x + width] = image
        assert torch.equal(window, canvas[:, top:top + size, left:left + size])


def test_every_window_is_drawn_alike():
    ramp = dict(inputs=torch.arange(16, dtype=torch.uint8).reshape(1, 1, 4, 4).repeat(9000, 1, 1, 1))
    torch.manual_seed(0)
    corners = BatchRandomCrop(2, 4)(ramp)['inputs'][:, 0, 0, 0]
    values, counts = corners.unique(return_counts=True)
    assert values.tolist() == [0, 1, 2, 4, 5, 6, 8, 9, 10]
    assert counts.min() > 880 and counts.max() < 1120  # 1000, and four deviations of 30


def test_random_flip():
    given = batch(500)
    images = given['inputs'].clone()
    torch.manual_seed(3)
    flipped = BatchRandomFlip(0.3)(given)
    check_form(given, flipped, 32)
    assert torch.equal(given['inputs'], images), 'the given batch stays as it is'
    torch.manual_seed(3)
    chosen = (torch.rand(500) < 0.3).tolist()
    assert 100 < sum(chosen) < 200
    for image, found, turned in zip(images, flipped['inputs'], chosen):
        assert torch.equal(found, image.flip(-1) if turned else image)


@pytest.mark.parametrize(('prob', 'turned'), [(0, False), (1, True)])
def test_certain_flips(prob: float, turned: bool):
    given = batch()
    expected = given['inputs'].flip(-1) if turned else given['inputs']
    assert torch.equal(BatchRandomFlip(prob)(given)['inputs'], expected)


def test_center_pad():
    given = batch(2, 3, 28, 27)
    padded = BatchCenterPad(32)(given)
    check_form(given, padded, 32)
    assert torch.equal(padded['inputs'][:, :, 2:30, 2:29], given['inputs'])
    assert int((padded['inputs'] > 0).sum()) == given['inputs'].numel()


def test_mistakes():
    assert 'size=41 is not between 1 and pad_to=40' in refused(lambda: BatchRandomCrop(41, 40))
    assert 'size=0 is not between 1 and' in refused(lambda: BatchRandomCrop(0, 40))
    assert 'prob=1.5 is not a probability' in refused(lambda: BatchRandomFlip(1.5))
    assert 'pad_to=30 is too small for images of 32 x 32' in refused(lambda: BatchRandomCrop(28, 30)(batch()))
    assert 'BatchCenterPad: size=30 is too small' in refused(lambda: BatchCenterPad(30)(batch()))
