"""``--backbone NAME``: another network in a config, and the channels that follow from it."""

from __future__ import annotations

import torch
from mmengine.config import Config

from mmext.backbones.names import find_backbone
from mmext.engine.options import arguments
from mmext.errors import UserError
from mmext.registry import MODELS


def swap_backbone(config: Config, name: str) -> None:
    """Puts a network by its name into ``config.model`` and adjusts neck and head.

    What the config says of its backbone stays (num_stages, strides, out_indices, norm_cfg ...), except weights of
    another network. The family's default stem applies unless the config names one.

    Raises:
        UserError: there is no such network, it can't have what the config asks for, or the config has no backbone.
    """
    model = config.get('model') or {}
    if 'backbone' not in model:
        raise UserError(f'--backbone {name}: this config has no model.backbone')
    cls, depth = find_backbone(name)
    old = model.backbone
    kept = {key: value for key, value in old.items() if key in arguments(cls) - {'depth', 'init_cfg'}}
    same = old.get('type') == f'mmext.{cls.__name__}' and old.get('depth') == depth
    new = dict(kept, type=f'mmext.{cls.__name__}', depth=depth, init_cfg=old.get('init_cfg') if same else None)
    with torch.device('meta'):
        channels = MODELS.build(dict(new)).feature_info.channels()
    model['backbone'] = new
    connect(model, channels)


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
