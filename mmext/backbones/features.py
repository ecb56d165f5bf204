"""What a backbone hands out: the stage, the channels and the stride of each of its outputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from mmext.errors import UserError

TIMM_KEYS = {'module': 'module', 'num_chs': 'channels', 'reduction': 'stride'}


class Feature(NamedTuple):
    """One output of a backbone: its stage, its channels, and how many input pixels one of its cells stands for.

    It also answers to timm's keys: ``feature['num_chs']``, ``feature['reduction']`` and ``feature['module']``.
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
    """The outputs of a backbone, in order, with the methods of timm's ``FeatureInfo``."""

    def channels(self) -> list[int]:
        """The channels of each output."""
        return [feature.channels for feature in self]

    def reduction(self) -> list[int]:
        """The stride of each output: how many input pixels one of its cells stands for."""
        return [feature.stride for feature in self]

    def module_name(self) -> list[str]:
        """The stage that each output comes from, such as 'layer1'."""
        return [feature.module for feature in self]

    def dicts(self, keys: Sequence[str] | None = None) -> list[dict[str, Any]]:
        """Each output as a dict of ``num_chs``, ``reduction`` and ``module``, or of the given keys alone."""
        return [{key: feature[key] for key in keys or TIMM_KEYS} for feature in self]
