"""The size of the crops on which a classifier is tested."""

from __future__ import annotations

from mmengine.config import Config

from mmext.errors import UserError

TAKES = 'a config of class folders, whose test pipeline has a Resize of the short side and then a CenterCrop'


def set_image_size(config: Config, size: int | None = None, crop_pct: float | None = None) -> None:
    """Rewrites the test pipeline to square crops of another size, from images resized in proportion.

    The short side is ``size / crop_pct``, rounded: 256 for 224 and 366 for 320, at ImageNet's 0.875. Table IX of the
    iResNet paper (arXiv 2004.04989) has 224 and 320, and does not print the short side.

    Args:
        config: of a classifier of class folders; validations during a training stay as they are.
        size: side of the crop in pixels; None leaves the config's.
        crop_pct: the crop's share of the short side, above 0 and at most 1; None leaves the config's.

    Raises:
        UserError: no such size or share, or a config without resizing and cropping.
    """
    if size is not None and size < 1:
        raise UserError(f'--img-size {size}: need a number of pixels from 1 on')
    if crop_pct is not None and not 0 < crop_pct <= 1:
        raise UserError(f'--crop-pct {crop_pct:g}: need a share of the short side, above 0 and at most 1')
    option = '--crop-pct' if size is None else '--img-size'
    pipeline = (config.get('test_dataloader') or {}).get('dataset', {}).get('pipeline') or []
    resizes = [step for step in pipeline if kind(step) == 'Resize' and step.get('keep_ratio') and 'scale' in step]
    crops = [step for step in pipeline if kind(step) == 'CenterCrop']
    if config.model.get('type') != 'mmext.Classifier' or len(resizes) != 1 or len(crops) != 1:
        raise UserError(f'{option}: needs {TAKES}')
    crop, resize = crops[0], resizes[0]
    before = crop['crop_size'] if isinstance(crop['crop_size'], int) else min(crop['crop_size'])
    side: int = size or before
    short = round(side / (crop_pct or before / min(resize['scale'])))
    crop['crop_size'], resize['scale'] = side, (max(resize['scale']), short)


def kind(step: dict) -> str:
    """The name of a transform without its scope."""
    return str(step['type']).rpartition('.')[2]
