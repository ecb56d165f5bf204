"""Tests of a classifier on crops of another size: the short side follows in proportion."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from mmengine.dataset import Compose

from mmext.classification.image_size import set_image_size
from mmext.engine.config import load_config
from mmext.errors import UserError
from tests.conftest import CONFIG, ROOT

FOLDER = ROOT / 'configs' / 'classification'


@pytest.mark.parametrize('name', ['iresnet_imagenet', 'recursive_imagenet'])
@pytest.mark.parametrize(('size', 'share', 'side', 'short'), [
    (320, None, 320, 366), (224, None, 224, 256), (288, None, 288, 329), (320, 1.0, 320, 320), (None, 1.0, 224, 224),
    (256, 0.5, 256, 512)])
def test_crops(name: str, size: int | None, share: float | None, side: int, short: int):
    """An image of 400 x 800 pixels, each of which has the number of its column, from 0 to 200."""
    config = load_config(FOLDER / f'{name}.py')
    others = [config.train_dataloader.dataset.pipeline, config.val_dataloader.dataset.pipeline]
    kept = [[dict(step) for step in pipeline] for pipeline in others]
    set_image_size(config, size, share)
    assert [[dict(step) for step in pipeline] for pipeline in others] == kept
    image = np.broadcast_to((np.arange(800) / 4).astype(np.uint8)[None, :, None], (400, 800, 3))
    crop = Compose(config.test_dataloader.dataset.pipeline[1:])(
        dict(img=image, img_shape=image.shape[:2], gt_label=0))['inputs']
    assert crop.shape == (3, side, side)
    first = (2 * short - side) / 2  # of the columns of the resized image, which is 2 short x short
    expected = [(first + column) / short * 100 for column in range(side)]
    assert crop[0, side // 2].tolist() == pytest.approx(expected, abs=1.5)


@pytest.mark.parametrize(('config', 'arguments', 'says'), [
    (FOLDER / 'iresnet_imagenet.py', (0, None), '--img-size 0: need a positive number of pixels'),
    (FOLDER / 'iresnet_imagenet.py', (None, 1.5), '--crop-pct 1.5: need a share'),
    (FOLDER / 'iresnet_imagenet.py', (320, 0.0), '--crop-pct 0: need a share'),
    (FOLDER / 'rir_cifar10.py', (320, None), '--img-size: needs a config of class folders'),
    (FOLDER / 'cresnet_caltech101.py', (None, 1.0), '--crop-pct: needs a config of class folders'),
    (ROOT / CONFIG, (320, None), '--img-size: needs a config of class folders'),
    (ROOT / 'configs' / 'iresnet3d50_sthv2.py', (320, None), '--img-size: needs a config of class folders'),
])
def test_where_there_is_no_such_thing(config: Path, arguments: tuple, says: str):
    with pytest.raises(UserError, match=says):
        set_image_size(load_config(config), *arguments)
