"""The channels of a backbone's feature maps in the config of a neck: writing them, and checking what it states."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mmext.errors import UserError


def connect_neck(neck: dict, channels: list[int]) -> None:
    """Writes the channels of a backbone's feature maps into the config of a neck, in place.

    Raises:
        UserError: The neck expects another number of feature maps.
    """
    several = isinstance(neck['in_channels'], (list, tuple))
    # A neck with num_outs, such as FPN, adds the feature maps that the backbone lacks.
    if several and len(neck['in_channels']) != len(channels) and neck.get('num_outs', 0) < len(channels):
        raise UserError(f'the neck takes {len(neck["in_channels"])} feature maps, the backbone gives {len(channels)}; '
                        'set model.backbone.out_indices in the config')
    neck['in_channels'] = type(neck['in_channels'])(channels) if several else channels[-1]


def first_neck(neck: dict | Sequence[dict]) -> dict:
    """The config of the neck that reads the backbone's feature maps: the first one if there are several."""
    return neck if isinstance(neck, dict) else neck[0]


def stated_by_neck(neck: dict | Sequence[dict], channels: list[int]) -> Iterator[tuple[str, object, object]]:
    """What a neck, or the first of several, states about the backbone's channels; see ``Task.stated_numbers``."""
    first = first_neck(neck)
    stated, place = first.get('in_channels'), 'neck.in_channels' if first is neck else 'neck.0.in_channels'
    if isinstance(stated, (list, tuple)) and sorted(stated) != sorted(channels):  # some necks list the last map first
        yield place, list(stated), channels
    elif isinstance(stated, int) and stated not in channels:
        yield place, stated, channels[-1]
