"""Changing the crop size for testing a classifier."""

from __future__ import annotations

from mmengine.config import Config

from mmext.config_tree import kind_of, pipeline_of_test
from mmext.errors import UserError
from mmext.task import CROPPED_FOLDERS


def set_image_size(config: Config, size: int | None = None, crop_pct: float | None = None) -> None:
    """Changes the test pipeline of a config to square crops of another size, from images resized in proportion.

    The short side of the resized image is ``size / crop_pct``, rounded: with ImageNet's 0.875 it is 256 for crops of
    224 and 366 for crops of 320 pixels. Table IX of the iResNet paper (arXiv 2004.04989) has crops of 224 and 320, and
    does not state the short side.

    Args:
        config: The config of a classifier of class folders, changed in place. Validation during training is not
            affected.
        size: Side of the crop in pixels; None keeps the config's.
        crop_pct: Ratio of the crop to the short side, above 0 and at most 1; None keeps the config's.

    Raises:
        UserError: The size or ratio is invalid, or the test pipeline does not resize and crop.
    """
    if size is not None and size < 1:
        raise UserError(f'--img-size {size}: need a positive number of pixels')
    if crop_pct is not None and not 0 < crop_pct <= 1:
        raise UserError(f'--crop-pct {crop_pct:g}: need a share of the short side, above 0 and at most 1')
    option = '--crop-pct' if size is None else '--img-size'
    pipeline = pipeline_of_test(config)
    resizes = [step for step in pipeline if kind_of(step) == 'Resize' and step.get('keep_ratio') and 'scale' in step]
    crops = [step for step in pipeline if kind_of(step) == 'CenterCrop']
    if config.model.get('type') != 'mmext.Classifier' or len(resizes) != 1 or len(crops) != 1:
        raise UserError(f'{option}: needs {CROPPED_FOLDERS}')
    crop, resize = crops[0], resizes[0]
    before = crop['crop_size'] if isinstance(crop['crop_size'], int) else min(crop['crop_size'])
    side: int = size or before
    short = round(side / (crop_pct or before / min(resize['scale'])))
    crop['crop_size'], resize['scale'] = side, (max(resize['scale']), short)
