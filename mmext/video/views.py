"""The number of clips and crops of a video that a test averages over."""

from __future__ import annotations

import re

from mmengine.config import Config

from mmext.config_tree import kind_of, pipeline_of_test
from mmext.errors import UserError

CROPS = {1: 'CenterCrop', 3: 'ThreeCrop'}


def set_views(config: Config, views: str) -> None:
    """Changes the test pipeline to a number of clips per video and crops per clip, whose scores are averaged.

    Args:
        config: of a recognizer.
        views: clips x crops: '10x3' is 10 clips x 3 crops, which are as large as the short side of the frames; '1x1' is
            one clip and the centre crop, which is as large as in training.

    Raises:
        UserError: ``views`` has another form, or the config's test pipeline has no sampler or no crop.
    """
    numbers = re.fullmatch(r'(\d+)x(\d+)', views)
    clips, crops = map(int, numbers.groups()) if numbers else (0, 0)
    if not clips or crops not in CROPS:
        raise UserError(f'--views {views}: need clips x crops such as 10x3 or 1x1; there are 1 crop and 3')
    pipeline = config.test_dataloader.dataset.get('pipeline', [])
    samplers = [step for step in pipeline if 'num_clips' in step]
    places = [i for i, step in enumerate(pipeline) if step['type'] in CROPS.values()]
    short = [step['scale'][1] for step in pipeline if step['type'] == 'Resize' and step['scale'][0] == -1]
    trained = training_sizes(config)
    if not (samplers and places and short and trained):
        raise UserError('--views: needs a config whose test pipeline has a sampler with num_clips, a Resize of the '
                        'short side and a CenterCrop or ThreeCrop, and whose training pipeline has a RandomCrop or a '
                        'Resize')
    for step in samplers:
        step['num_clips'] = clips
    pipeline[places[0]] = dict(type=CROPS[crops], crop_size=trained[-1] if crops == 1 else short[0])


def limit_views(config: Config, at_once: int) -> None:
    """Has a test send at most so many views of a video through the network at once; the scores are the same.

    30 views of iResNet3D-50 take about 10 GB in float32 if they go together. Where a video has more views than
    ``at_once``, a batch of the test is one video, as mmaction2's ``max_testing_views`` needs it.

    Args:
        config: of a recognizer; one of images, and one with fewer views, stays as it is.
        at_once: from 1.

    Raises:
        UserError: not a positive number.
    """
    if at_once < 1:
        raise UserError(f'--views-at-once {at_once}: need 1 or more')
    steps = pipeline_of_test(config)
    clips = max((step.get('num_clips', 1) for step in steps), default=1)
    crops = max((count for count, kind in CROPS.items() for step in steps if kind_of(step) == kind), default=1)
    if kind_of(config.model) == 'Recognizer3D' and clips * crops > at_once:
        config.model.test_cfg = dict(config.model.get('test_cfg') or {}, max_testing_views=at_once)
        config.test_dataloader.batch_size = 1


def training_sizes(config: Config) -> list[int]:
    """The sizes in pixels that the training pipeline crops or resizes to, in its order; the last is the input's."""
    steps = config.train_dataloader.dataset.pipeline
    return [step['size'] if step['type'] == 'RandomCrop' else step['scale'][1] for step in steps
            if step['type'] in ('RandomCrop', 'Resize')]
