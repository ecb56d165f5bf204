"""``--tta``: a detector sees each test image several times, flipped and in several sizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.config import Config

from mmext.config_tree import add_hook, datasets_of, kind_of
from mmext.errors import UserError

FLIP_KEYS = ('flip', 'flip_direction')  # what mmdet's DetTTAModel reads of each view
USUAL = dict(nms=dict(type='nms', iou_threshold=0.5), max_per_img=100)  # of mmdet's own configs


def augment_test(config: Config, scales: Sequence[float]) -> None:
    """Makes a test use mmdet's ``DetTTAModel`` with each size, flipped and not; see ``Task.augment_test``.

    The boxes of all views are joined by the non-maximum suppression of the detector's own ``test_cfg``.

    Raises:
        UserError: the detector predicts masks or does not take a size, or the test has no pipeline with a ``Resize``.
    """
    if any(key.endswith('mask_head') for key in config.model.get('roi_head') or {}):
        raise UserError("--tta: mmdet's DetTTAModel joins boxes only, and this model has a mask head")
    neck = config.model.get('neck')
    if isinstance(neck, dict) and kind_of(neck) == 'SSDNeck' and min(scales) < 1:
        raise UserError(f'--tta {min(scales):g}: the last feature map of SSD is one cell at its own size, so it takes '
                        'no smaller images; give factors from 1, such as 1,1.5')
    datasets = datasets_of(config, 'test_dataloader')
    if not datasets:
        raise UserError('--tta: the config has no test set (test_dataloader)')
    for dataset in datasets:
        dataset['pipeline'] = views_of(dataset['pipeline'], scales)
    given = config.model.get('test_cfg') or {}
    given = given.get('rcnn') or given
    joined = {key: given.get(key) or usual for key, usual in USUAL.items()}
    add_hook(config, dict(type='PrepareTTAHook', tta_cfg=dict(type='DetTTAModel', tta_cfg=joined)))


def views_of(pipeline: Sequence[dict], scales: Sequence[float]) -> list[dict]:
    """The pipeline of a test in which ``TestTimeAug`` makes the views of an image; the first one is not flipped.

    Args:
        pipeline: of the test.
        scales: factors of the size of its ``Resize``.

    Raises:
        UserError: the pipeline has no ``Resize`` to a size, or packs no inputs.
    """
    kinds = [kind_of(step) for step in pipeline]
    if 'PackDetInputs' not in kinds:
        raise UserError("--tta: the test pipeline has no PackDetInputs, so its views can't be told apart")
    if 'Resize' not in kinds or not pipeline[kinds.index('Resize')].get('scale'):
        raise UserError('--tta: the test pipeline has no Resize to a scale')
    place = kinds.index('Resize')
    resize = pipeline[place]
    sizes = [dict(resize, scale=scaled(resize['scale'], factor)) for factor in scales]
    flips = [dict(type='mmdet.RandomFlip', prob=0.), dict(type='mmdet.RandomFlip', prob=1.)]
    rest = [[with_flips(step)] for step in pipeline[place + 1:]]
    return [*pipeline[:place], dict(type='TestTimeAug', transforms=[sizes, flips, *rest])]


def scaled(scale: Any, factor: float) -> Any:
    """A size of ``Resize``, one or two numbers of pixels, times a factor; without a limit (-1) it has none."""
    if isinstance(scale, (list, tuple)):
        return tuple(scaled(side, factor) for side in scale)
    return scale if scale < 0 else max(1, round(scale * factor))


def with_flips(step: Mapping) -> dict:
    """A step of a pipeline; one that packs keeps whether the image is flipped."""
    if kind_of(step) == 'PackDetInputs' and 'meta_keys' in step:
        return dict(step, meta_keys=tuple(dict.fromkeys([*step['meta_keys'], *FLIP_KEYS])))
    return dict(step)
