"""``--backbone NAME``: another network in a config, to whose channels the task fits neck and heads."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.config import Config

from mmext.backbones import Backbone
from mmext.backbones.names import find_backbone
from mmext.backbones.plan import STEMS
from mmext.components import arguments
from mmext.errors import UserError
from mmext.registry import MODELS
from mmext.task import task_of

COMMON = arguments(Backbone) - {'depth', 'init_cfg'}
PER_STAGE = {'strides', 'dilations', 'temporal_strides', 'temporal_kernels'}
COUNTS = {'num_stages', 'frozen_stages'}


def swap_backbone(config: Config, name: str) -> None:
    """Puts a network by its name into ``config.model`` and adjusts neck and head.

    A network of clips is replaced by one of clips. What the config says of its backbone stays (num_stages, strides,
    out_indices, norm_cfg ...), except weights of another network. The network keeps its paper's stem, unless the config
    names one of another stride: a stem for 32-pixel images gives way to one for large images, and the other way round.
    A network of fewer stages has those that it has: an FPN makes the missing maps itself, and a detector on the last
    stage takes the new last one, at its stride. A detector's anchors lie stride by stride on the image, so there a
    network with an unpadded convolution has it padded.

    Raises:
        UserError: there is no such network, it can't have what the config asks for, or the config has no backbone.
    """
    model = config.get('model') or {}
    if 'backbone' not in model:
        raise UserError(f'--backbone {name}: this config has no model.backbone')
    cls, words = find_backbone(name)
    old, task = model['backbone'], task_of(config)
    named: dict[str, Any] = dict(words, type=f'mmext.{cls.__name__}' + ('3d' if task.takes_clips(model) else ''))
    if 'padded' in arguments(cls) and task.lays_anchors:
        named['padded'] = True
    kept = {key: value for key, value in old.items() if key in COMMON - {'init_cfg'}}
    with torch.device('meta'):
        shortest = MODELS.build(dict(named, num_stages=1))  # a deep network takes seconds to build
    if kept.get('stem') and STEMS[kept['stem']].stride == STEMS[shortest.stem].stride:
        del kept['stem']
    cut_stages(kept, len(shortest.arch.blocks))
    same = all(old.get(key) == value for key, value in named.items())
    new = dict(kept, **named, init_cfg=old.get('init_cfg') if same else None)
    with torch.device('meta'):
        features = MODELS.build(dict(new)).feature_info
    model['backbone'] = new
    task.connect(model, features)


def cut_stages(options: dict, stages: int) -> None:
    """Takes from a backbone's options, in place, what they say of more stages than there are.

    Where none of the ``out_indices`` is left, the last stage takes their place.
    """
    sequence = (list, tuple)
    for key, value in options.items():
        if key in PER_STAGE and isinstance(value, sequence):
            options[key] = value[:stages]
        elif key in COUNTS and isinstance(value, int):
            options[key] = min(value, stages)
        elif key == 'out_indices' and isinstance(value, sequence):
            options[key] = tuple(index for index in value if -stages <= index < stages) or (stages - 1, )
