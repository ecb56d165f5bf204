"""Channels and strides of the backbone's maps in a detector's config: in necks, heads, anchors and RoI pooling."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mmext.backbones.backbone import FeatureInfo
from mmext.config_tree import kind_of
from mmext.errors import UserError
from mmext.necks import connect_neck, first_neck, stated_by_neck

PYRAMIDS = ('FPN', 'PAFPN', 'SSDNeck', 'ChannelMapper')  # necks whose out_channels are the channels of their maps
WITH_LEVELS = ('FPN', 'PAFPN')  # necks whose first map belongs to the backbone's map start_level
DENSE_HEADS = ('bbox_head', 'rpn_head')
REGIONS = 'roi_head.bbox_roi_extractor'


def connect(model: dict, features: FeatureInfo) -> None:
    """Writes the channels of a new backbone to neck and heads, in place; without a neck, also its strides.

    Raises:
        UserError: the neck takes another number of maps, or the RoI head contains a stage of the old network.
    """
    neck, channels = model.get('neck'), features.channels()
    if neck is None:
        connect_heads(model, channels[-1], features.reduction())
        return
    connect_neck(neck, channels)
    if kind_of(neck) == 'SSDNeck':  # it passes the backbone's maps on, and adds its own
        kind = tuple if isinstance(neck['in_channels'], tuple) else list
        neck['out_channels'] = kind([*channels, *neck['out_channels'][len(channels):]])
        model['bbox_head']['in_channels'] = neck['out_channels']


def connect_heads(model: dict, channels: int, strides: list[int]) -> None:
    """Writes the channels of the last map to the heads of a detector without a neck; for two stages, also strides."""
    proposals, regions = model.get('rpn_head'), model.get('roi_head')
    if proposals:
        if proposals.get('feat_channels') == proposals['in_channels']:
            proposals['feat_channels'] = channels
        proposals['anchor_generator']['strides'] = strides
    if regions:
        if regions.get('shared_head'):
            raise UserError('--backbone: model.roi_head.shared_head is a stage of the network that would be replaced')
        regions['bbox_roi_extractor'].update(out_channels=channels, featmap_strides=strides)
    for _, head in heads_of(model):
        if 'in_channels' in head:
            head['in_channels'] = channels


def heads_of(model: Mapping) -> Iterator[tuple[str, dict]]:
    """Yields (key, config) of each head that reads the maps of the neck, or of the backbone if there is no neck."""
    for name in DENSE_HEADS:
        if isinstance(model.get(name), dict):
            yield name, model[name]
    regions = model.get('roi_head') or {}
    if not regions.get('shared_head'):
        boxes = regions.get('bbox_head')
        for i, head in enumerate(boxes if isinstance(boxes, (list, tuple)) else [boxes]):
            if isinstance(head, dict):
                yield 'roi_head.bbox_head' + (f'.{i}' if isinstance(boxes, (list, tuple)) else ''), head


def stated_channels(model: Mapping, channels: list[int]) -> Iterator[tuple[str, object, object]]:
    """Yields (key, stated channels, actual channels) for each place of a detector that states channels."""
    neck, given = model.get('neck'), channels[-1]
    if neck:
        yield from stated_by_neck(neck, channels)
        first = first_neck(neck)
        if first is not neck or kind_of(first) not in PYRAMIDS or 'out_channels' not in first:
            return
        given = first['out_channels']
        if kind_of(first) == 'SSDNeck':
            stated, given = list(given), [*channels, *given[len(channels):]]
            yield 'neck.out_channels', stated, given
    many = isinstance(given, (list, tuple))
    for place, head in heads_of(model):
        stated = head.get('in_channels')
        if isinstance(stated, (list, tuple)) == many and stated is not None:
            yield f'{place}.in_channels', list(stated) if many else stated, list(given) if many else given
    out_channels = part(model, *REGIONS.split('.'), 'out_channels')
    if isinstance(out_channels, int) and not many:
        yield f'{REGIONS}.out_channels', out_channels, given


def stated_strides(model: Mapping, strides: list[int]) -> Iterator[tuple[str, object, object]]:
    """Yields (key, stated strides, actual strides) for anchors and RoI pooling, if the backbone determines them."""
    neck = model.get('neck')
    if neck and (not isinstance(neck, dict) or kind_of(neck) not in (*WITH_LEVELS, 'SSDNeck')):
        return
    level = neck.get('start_level', 0) if neck and kind_of(neck) in WITH_LEVELS else 0
    seen = strides[level:]
    count = neck.get('num_outs') if neck else len(seen)  # SSDNeck has no num_outs, and maps of any stride
    for place in (*(f'{head}.anchor_generator.strides' for head in ('rpn_head', 'bbox_head')),
                  f'{REGIONS}.featmap_strides'):
        stated = part(model, *place.split('.'))
        if not isinstance(stated, (list, tuple)) or not all(isinstance(value, int) for value in stated):
            continue
        right = [*seen[:len(stated)], *stated[len(seen):]]
        if 'anchor' in place and isinstance(count, int):  # each map that the neck adds has twice the stride
            right = [*seen, *(seen[-1] * 2 ** i for i in range(1, count - len(seen) + 1))][:count]
        yield place, list(stated), right


def part(node: object, *keys: str) -> object:
    """The value of a config under nested keys; None if it does not exist."""
    for key in keys:
        node = node.get(key) if isinstance(node, dict) else None
    return node
