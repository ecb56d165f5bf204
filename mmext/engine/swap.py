"""``--backbone NAME``: replaces the backbone of a config and adapts neck and heads to its channels."""

from __future__ import annotations

from typing import Any

from mmengine.config import Config

from mmext.backbones import Backbone
from mmext.backbones.meta import on_meta
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
    """Replaces the backbone in ``config.model`` by a named network, and adapts neck and heads, in place.

    A 3D backbone is replaced by a 3D network. The config's backbone options (num_stages, strides, out_indices, norm_cfg
    ...) are kept, except for the weights of another network. The new network has the stem of its paper, unless the
    config names a stem of another stride: this exchanges stems for 32-pixel images and stems for large images. If the
    network has fewer stages, options for missing stages are dropped; an FPN computes the missing maps itself, and a
    detector on the last stage uses the new last stage with its stride. Anchors of a detector assume regular strides, so
    unpadded convolutions of a network are padded there.

    Args:
        config: changed in place.
        name: a name from ``mmext.list_backbones()``.

    Raises:
        UserError: there is no such network, it does not support the config's options, or there is no backbone.
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
    with on_meta():
        shortest = MODELS.build(dict(named, num_stages=1))  # a deep network takes seconds to build
    if kept.get('stem') and STEMS[kept['stem']].stride == STEMS[shortest.stem].stride:
        del kept['stem']
    elif kept.get('stem'):
        named.pop('stem', None)
    cut_stages(kept, len(shortest.arch.blocks))
    same = all(old.get(key) == value for key, value in named.items())
    new = dict(kept, **named, init_cfg=old.get('init_cfg') if same else None)
    with on_meta():
        features = MODELS.build(dict(new)).feature_info
    model['backbone'] = new
    task.connect(model, features)


def cut_stages(options: dict, stages: int) -> None:
    """Removes from a backbone's options, in place, the values for stages that the network does not have.

    If none of the ``out_indices`` is left, the last stage is used.
    """
    sequence = (list, tuple)
    for key, value in options.items():
        if key in PER_STAGE and isinstance(value, sequence):
            options[key] = value[:stages]
        elif key in COUNTS and isinstance(value, int):
            options[key] = min(value, stages)
        elif key == 'out_indices' and isinstance(value, sequence):
            options[key] = tuple(index for index in value if -stages <= index < stages) or (stages - 1, )
