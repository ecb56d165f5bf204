"""``--backbone NAME``: another network in a config, and the channels that follow from it."""

from __future__ import annotations

import torch
from mmengine.config import Config

from mmext.backbones import Backbone
from mmext.backbones.names import find_backbone
from mmext.backbones.plan import STEMS, Stem
from mmext.engine.options import arguments
from mmext.errors import UserError
from mmext.registry import MODELS

COMMON = arguments(Backbone) - {'depth', 'init_cfg'}


def swap_backbone(config: Config, name: str) -> None:
    """Puts a network by its name into ``config.model`` and adjusts neck and head.

    A network of clips is replaced by one of clips. What the config says of its backbone stays (num_stages, strides,
    out_indices, norm_cfg ...), except weights of another network. The network keeps its paper's stem, unless the config
    names one of another stride: a stem for 32-pixel images gives way to one for large images, and the other way round.

    Raises:
        UserError: there is no such network, it can't have what the config asks for, or the config has no backbone.
    """
    model = config.get('model') or {}
    if 'backbone' not in model:
        raise UserError(f'--backbone {name}: this config has no model.backbone')
    cls, named = find_backbone(name)
    old = model.backbone
    named = dict(named, type=f'mmext.{cls.__name__}' + ('3d' if takes_clips(model) else ''))
    kept = {key: value for key, value in old.items() if key in COMMON - {'init_cfg'}}
    if kept.get('stem') and STEMS[kept['stem']].stride == own_stem(named).stride:
        del kept['stem']
    same = all(old.get(key) == value for key, value in named.items())
    new = dict(kept, **named, init_cfg=old.get('init_cfg') if same else None)
    with torch.device('meta'):
        channels = MODELS.build(dict(new)).feature_info.channels()
    model['backbone'] = new
    connect(model, channels)


def takes_clips(model: dict) -> bool:
    """Whether a config's backbone is one of the 3D ones, by its name or by the recognizer's."""
    return model['backbone']['type'].endswith('3d') or model['type'].rpartition('.')[2] == 'Recognizer3D'


def own_stem(named: dict) -> Stem:
    """The stem that a network has by default."""
    with torch.device('meta'):
        return STEMS[MODELS.build(dict(named, num_stages=1)).stem]  # a deep network takes seconds to build


def connect(model: dict, channels: list[int]) -> None:
    """Writes the backbone's channels wherever the config states them."""
    neck = model.get('neck')
    if neck is None:
        for head in ('bbox_head', 'head', 'cls_head'):
            if model.get(head) and 'in_channels' in model[head]:
                model[head]['in_channels'] = channels[-1]
        return
    several = isinstance(neck['in_channels'], (list, tuple))
    kind = type(neck['in_channels']) if several else list
    if several and len(neck['in_channels']) != len(channels):
        raise UserError(f'the neck takes {len(neck["in_channels"])} feature maps, the backbone gives {len(channels)}; '
                        'set model.backbone.out_indices in the config')
    neck['in_channels'] = kind(channels) if several else channels[-1]
    if neck['type'].rpartition('.')[2] == 'SSDNeck':
        neck['out_channels'] = kind([*channels, *neck['out_channels'][len(channels):]])
        model['bbox_head']['in_channels'] = neck['out_channels']
