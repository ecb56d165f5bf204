"""Backbone, neck and heads of a config agree on channels, number of maps and strides."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from mmengine.config import Config
from mmengine.registry import MODELS

from mmext.backbones.backbone import FeatureInfo
from mmext.errors import UserError, reason

SIDE = 256  # of the image that tells the maps of another's backbone
PYRAMIDS = ('FPN', 'PAFPN', 'SSDNeck', 'ChannelMapper')  # their out_channels are the channels of their maps
WITH_LEVELS = ('FPN', 'PAFPN')  # their first map is the backbone's map number start_level


def check_channels(config: Config) -> None:
    """Compares what the config says of the backbone's maps with those that it has; it is built without memory.

    Raises:
        UserError: they differ. It names the key, both numbers and the remedy.
    """
    model = config.get('model') or {}
    backbone = model.get('backbone')
    if not isinstance(backbone, dict) or 'type' not in backbone:
        return
    maps = maps_of(backbone, config.get('default_scope'), model.get('type') == 'Recognizer3D')
    if maps is None:
        return
    channels, strides = maps
    wrong = [pair for pair in (*channel_pairs(model, channels), *stride_pairs(model, strides)) if pair[1] != pair[2]]
    if wrong:
        place, stated, _ = wrong[0]
        if place.startswith('bbox_head.anchor') and 'neck' in model and kind_of(model['neck']) == 'SSDNeck':
            raise UserError(f'model.{place}: {shown(stated)}, but {told(backbone, channels, strides)}; anchors need '
                            'the strides of their maps, so change one of the two: model.backbone.strides or these')
        right = ' '.join(f'model.{place}={shown(there)}' for place, _, there in wrong)
        raise UserError(f'model.{place}: {shown(stated)}, but {told(backbone, channels, strides)}; give --cfg-options '
                        f'{right}, or let --backbone NAME put a network in and adjust neck and heads')


def told(backbone: dict, channels: list[int], strides: list[int]) -> str:
    kind = backbone['type'] if isinstance(backbone['type'], str) else backbone['type'].__name__
    depth = f' of depth {backbone["depth"]}' if 'depth' in backbone else ''
    return f"{kind}{depth} has maps of {shown(channels)} channels and strides {shown(strides)}"


def shown(value: object) -> str:
    """A number, or a list in the form that --cfg-options takes."""
    return '[' + ','.join(map(str, value)) + ']' if isinstance(value, (list, tuple)) else str(value)


def maps_of(backbone: dict, scope: str | None, clips: bool) -> tuple[list[int], list[int]] | None:
    """Channels and strides of a backbone's maps; None where another's does not tell.

    Args:
        backbone: its config.
        scope: the config's default scope.
        clips: whether it takes videos.

    Raises:
        UserError: it can't be built like this.
    """
    options = {key: value for key, value in backbone.items() if key not in ('init_cfg', 'pretrained')}
    with torch.device('meta'), MODELS.switch_scope_and_registry(scope) as registry:
        try:
            network = registry.build(dict(options))
        except UserError:
            raise
        except (AssertionError, TypeError, KeyError, IndexError) as error:
            raise UserError(f'model.backbone: {backbone["type"]} can not be built: {reason(error)}') from error
        except Exception:  # it does more than torch's meta tensors can
            return None
        features = getattr(network, 'feature_info', None)
        if isinstance(features, FeatureInfo):
            return features.channels(), features.reduction()
        try:
            network.eval()  # mmdet's do not return themselves
            found = network(torch.empty(1, 3, *([8] if clips else []), SIDE, SIDE))
        except Exception:
            return None
    found = [found] if isinstance(found, torch.Tensor) else found
    if not found or not all(isinstance(value, torch.Tensor) and value.dim() == (5 if clips else 4) for value in found):
        return None
    if clips and len(found) > 1:  # SlowFast's head joins them
        return None
    return [value.shape[1] for value in found], [SIDE // value.shape[-1] for value in found]


def channel_pairs(model: dict, channels: list[int]) -> Iterator[tuple[str, object, object]]:
    """Every place of the model that states channels: what it says, and what is there."""
    neck = model.get('neck')
    first = neck[0] if isinstance(neck, (list, tuple)) and neck else neck
    if first:
        stated, place = first.get('in_channels'), 'neck.in_channels' if first is neck else 'neck.0.in_channels'
        if isinstance(stated, (list, tuple)) and sorted(stated) != sorted(channels):  # some count from the last map
            yield place, list(stated), channels
        elif isinstance(stated, int) and stated not in channels:
            yield place, stated, channels[-1]
        if first is not neck or kind_of(first) not in PYRAMIDS or 'out_channels' not in first:
            return
        given = first['out_channels']
        if kind_of(first) == 'SSDNeck':  # it hands on the backbone's maps as they are, and adds its own
            stated, given = list(given), [*channels, *given[len(channels):]]
            yield 'neck.out_channels', stated, given
    else:
        given = channels[-1]
    many = isinstance(given, (list, tuple))
    for place, head in heads_of(model):
        stated = head.get('in_channels')
        if isinstance(stated, (list, tuple)) == many and stated is not None:
            yield f'{place}.in_channels', list(stated) if many else stated, list(given) if many else given
    regions = model.get('roi_head') or {}
    extractor = regions.get('bbox_roi_extractor')
    if isinstance(extractor, dict) and isinstance(extractor.get('out_channels'), int) and not many:
        yield 'roi_head.bbox_roi_extractor.out_channels', extractor['out_channels'], given


def heads_of(model: dict) -> Iterator[tuple[str, dict]]:
    """The heads that read the maps of the neck, or of the backbone where there is none."""
    for name in ('bbox_head', 'rpn_head', 'cls_head'):
        if isinstance(model.get(name), dict):
            yield name, model[name]
    regions = model.get('roi_head') or {}
    if not regions.get('shared_head'):
        boxes = regions.get('bbox_head')
        for i, head in enumerate(boxes if isinstance(boxes, (list, tuple)) else [boxes]):
            if isinstance(head, dict):
                yield 'roi_head.bbox_head' + (f'.{i}' if isinstance(boxes, (list, tuple)) else ''), head


def stride_pairs(model: dict, strides: list[int]) -> Iterator[tuple[str, object, object]]:
    """The strides of anchors and of the pooling of regions, as far as the backbone's maps decide them."""
    neck = model.get('neck')
    if neck and (not isinstance(neck, dict) or kind_of(neck) not in (*WITH_LEVELS, 'SSDNeck')):
        return
    level = neck.get('start_level', 0) if neck and kind_of(neck) in WITH_LEVELS else 0
    seen = strides[level:]
    count = neck.get('num_outs') if neck else len(seen)  # SSDNeck says it by its channels, its maps are of any stride
    for place, stated in (
            ('rpn_head.anchor_generator.strides', part(model, 'rpn_head', 'anchor_generator', 'strides')),
            ('bbox_head.anchor_generator.strides', part(model, 'bbox_head', 'anchor_generator', 'strides')),
            ('roi_head.bbox_roi_extractor.featmap_strides', part(model, 'roi_head', 'bbox_roi_extractor',
                                                                 'featmap_strides'))):
        if not isinstance(stated, (list, tuple)) or not all(isinstance(value, int) for value in stated):
            continue
        right = [*seen[:len(stated)], *stated[len(seen):]]
        if 'anchor' in place and isinstance(count, int):  # each map that the neck adds is half as large
            right = [*seen, *(seen[-1] * 2 ** i for i in range(1, count - len(seen) + 1))][:count]
        yield place, list(stated), right


def part(node: object, *keys: str) -> object:
    for key in keys:
        node = node.get(key) if isinstance(node, dict) else None
    return node


def kind_of(neck: dict) -> str:
    kind = neck.get('type')
    return (kind if isinstance(kind, str) else getattr(kind, '__name__', '')).rpartition('.')[2]
