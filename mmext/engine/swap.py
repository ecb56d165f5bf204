"""``--backbone NAME``: another network in a config, and the channels that follow from it."""

from __future__ import annotations

import torch
from mmengine.config import Config

from mmext.backbones import Backbone
from mmext.backbones.backbone import FeatureInfo
from mmext.backbones.names import find_backbone
from mmext.backbones.plan import STEMS
from mmext.engine.components import arguments
from mmext.errors import UserError
from mmext.registry import MODELS

COMMON = arguments(Backbone) - {'depth', 'init_cfg'}
PER_STAGE = {'strides', 'dilations', 'temporal_strides', 'temporal_kernels'}
COUNTS = {'num_stages', 'frozen_stages'}
DENSE_HEADS = ('bbox_head', 'rpn_head')


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
    cls, named = find_backbone(name)
    old = model.backbone
    named = dict(named, type=f'mmext.{cls.__name__}' + ('3d' if takes_clips(model) else ''))
    if 'padded' in arguments(cls) and any(key in model for key in DENSE_HEADS):
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
    connect(model, features)


def takes_clips(model: dict) -> bool:
    """Whether a config's backbone is one of the 3D ones, by its name or by the recognizer's."""
    return model['backbone']['type'].endswith('3d') or model['type'].rpartition('.')[2] == 'Recognizer3D'


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


def connect(model: dict, features: FeatureInfo) -> None:
    """Writes the backbone's channels wherever the config states them."""
    neck = model.get('neck')
    if neck is None:
        connect_heads(model, features)
        return
    channels = features.channels()
    several = isinstance(neck['in_channels'], (list, tuple))
    kind = type(neck['in_channels']) if several else list
    # A neck with num_outs (FPN and its like) makes the maps that the backbone lacks.
    if several and len(neck['in_channels']) != len(channels) and neck.get('num_outs', 0) < len(channels):
        raise UserError(f'the neck takes {len(neck["in_channels"])} feature maps, the backbone gives {len(channels)}; '
                        'set model.backbone.out_indices in the config')
    neck['in_channels'] = kind(channels) if several else channels[-1]
    if neck['type'].rpartition('.')[2] == 'SSDNeck':
        neck['out_channels'] = kind([*channels, *neck['out_channels'][len(channels):]])
        model['bbox_head']['in_channels'] = neck['out_channels']


def connect_heads(model: dict, features: FeatureInfo) -> None:
    """Without a neck: writes the last map's channels into the heads; of two-stage detectors, the strides too."""
    channels, strides = features.channels()[-1], features.reduction()
    proposals, regions = model.get('rpn_head'), model.get('roi_head')
    heads = [model.get(name) for name in ('bbox_head', 'head', 'cls_head')]
    if proposals:
        if proposals.get('feat_channels') == proposals['in_channels']:
            proposals['feat_channels'] = channels
        proposals['anchor_generator']['strides'] = strides
        heads.append(proposals)
    if regions:
        if regions.get('shared_head'):
            raise UserError('--backbone: model.roi_head.shared_head is a stage of the network that would be replaced')
        regions['bbox_roi_extractor'].update(out_channels=channels, featmap_strides=strides)
        boxes = regions['bbox_head']
        heads.extend(boxes if isinstance(boxes, (list, tuple)) else [boxes])
    for head in heads:
        if head and 'in_channels' in head:
            head['in_channels'] = channels
