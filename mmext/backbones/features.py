"""Description of a backbone's outputs: the stage, channels and stride of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from mmext.errors import UserError

TIMM_KEYS = {'module': 'module', 'num_chs': 'channels', 'reduction': 'stride'}


class Feature(NamedTuple):
    """One output of a backbone: its stage (such as 'layer1'), number of channels, and total stride in input pixels.

    timm's keys work as well: ``feature['num_chs']``, ``feature['reduction']`` and ``feature['module']``.
    """

    module: str
    channels: int
    stride: int

    def __getitem__(self, key: Any) -> Any:
        if not isinstance(key, str):
            return tuple.__getitem__(self, key)
        if key not in TIMM_KEYS:
            raise UserError(f'feature_info has no key {key!r}; the keys are {", ".join(TIMM_KEYS)}')
        return getattr(self, TIMM_KEYS[key])


class FeatureInfo(tuple):
    """A tuple of ``Feature``, one per output of a backbone, with the methods of timm's ``FeatureInfo``."""

    def channels(self) -> list[int]:
        """The number of channels of each output."""
        return [feature.channels for feature in self]

    def reduction(self) -> list[int]:
        """The total stride of each output, in input pixels."""
        return [feature.stride for feature in self]

    def module_name(self) -> list[str]:
        """The stage of each output, such as 'layer1'."""
        return [feature.module for feature in self]

    def dicts(self, keys: Sequence[str] | None = None) -> list[dict[str, Any]]:
        """Each output as a dict with ``num_chs``, ``reduction`` and ``module``, or only the given keys."""
        return [{key: feature[key] for key in keys or TIMM_KEYS} for feature in self]
