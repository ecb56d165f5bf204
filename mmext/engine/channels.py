"""Checks that backbone, neck and heads of a config agree on channels, number of maps and strides."""

from __future__ import annotations

import torch
from mmengine.config import Config
from mmengine.registry import MODELS

from mmext.backbones.backbone import FeatureInfo
from mmext.backbones.meta import on_meta
from mmext.config_tree import kind_of
from mmext.errors import UserError, reason
from mmext.task import task_of

SIDE = 256  # pixels of the test image that shows the maps of a backbone from another library


def check_channels(config: Config) -> None:
    """Compares the feature maps that neck and heads expect with those of the backbone, built on the meta device.

    Raises:
        UserError: they differ. The message names the key, both numbers and the remedy.
    """
    model = config.get('model') or {}
    backbone = model.get('backbone')
    if not isinstance(backbone, dict) or 'type' not in backbone:
        return
    task = task_of(config)
    maps = maps_of(backbone, config.get('default_scope'), task.takes_clips(model))
    if maps is None:
        return
    channels, strides = maps
    wrong = [numbers for numbers in task.stated_numbers(model, channels, strides) if numbers[1] != numbers[2]]
    if wrong:
        place, stated, _ = wrong[0]
        found = describe_maps(backbone, channels, strides)
        if place.startswith('bbox_head.anchor') and kind_of(model.get('neck') or {}) == 'SSDNeck':
            raise UserError(f'model.{place}: {as_option(stated)}, but {found}; anchors need the strides of their maps, '
                            'so change model.backbone.strides or the strides of the anchors')
        right = ' '.join(f'model.{place}={as_option(there)}' for place, _, there in wrong)
        raise UserError(f'model.{place}: {as_option(stated)}, but {found}; give --cfg-options {right}, or use '
                        '--backbone NAME, which replaces the network and adjusts neck and heads')


def describe_maps(backbone: dict, channels: list[int], strides: list[int]) -> str:
    """The part of a message that gives the channels and strides of a backbone's maps."""
    kind = backbone['type'] if isinstance(backbone['type'], str) else backbone['type'].__name__
    depth = f' of depth {backbone["depth"]}' if 'depth' in backbone else ''
    return f"{kind}{depth} has maps of {as_option(channels)} channels and strides {as_option(strides)}"


def as_option(value: object) -> str:
    """A number or a list, in the form that --cfg-options accepts."""
    return '[' + ','.join(map(str, value)) + ']' if isinstance(value, (list, tuple)) else str(value)


def maps_of(backbone: dict, scope: str | None, clips: bool) -> tuple[list[int], list[int]] | None:
    """Channels and strides of a backbone's maps; None if they can't be determined.

    Args:
        backbone: the config of the backbone.
        scope: the config's default scope.
        clips: whether the backbone takes videos.

    Raises:
        UserError: the backbone can't be built from this config.
    """
    options = {key: value for key, value in backbone.items() if key not in ('init_cfg', 'pretrained')}
    with on_meta(), MODELS.switch_scope_and_registry(scope) as registry:
        try:
            network = registry.build(dict(options))
        except UserError:
            raise
        except (AssertionError, TypeError, KeyError, IndexError) as error:
            raise UserError(f'model.backbone: {backbone["type"]} cannot be built: {reason(error)}') from error
        except Exception:  # it uses operations that meta tensors do not support
            return None
        features = getattr(network, 'feature_info', None)
        if isinstance(features, FeatureInfo):
            return features.channels(), features.reduction()
        try:
            network.eval()  # some of mmdet's do not return self
            found = network(torch.empty(1, 3, *([8] if clips else []), SIDE, SIDE))
        except Exception:
            return None
    found = [found] if isinstance(found, torch.Tensor) else found
    if not found or not all(isinstance(value, torch.Tensor) and value.dim() == (5 if clips else 4) for value in found):
        return None
    if clips and len(found) > 1:  # SlowFast's head joins them
        return None
    return [value.shape[1] for value in found], [SIDE // value.shape[-1] for value in found]
