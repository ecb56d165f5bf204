"""Backbone, neck and heads of a config agree on channels, number of maps and strides."""

from __future__ import annotations

import torch
from mmengine.config import Config
from mmengine.registry import MODELS

from mmext.backbones.backbone import FeatureInfo
from mmext.backbones.meta import on_meta
from mmext.config_tree import kind_of
from mmext.errors import UserError, reason
from mmext.task import task_of

SIDE = 256  # of the image that tells the maps of another's backbone


def check_channels(config: Config) -> None:
    """Compares what the config says of the backbone's maps with those that it has; it is built without memory.

    Raises:
        UserError: they differ. It names the key, both numbers and the remedy.
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
    wrong = [found for found in task.stated_numbers(model, channels, strides) if found[1] != found[2]]
    if wrong:
        place, stated, _ = wrong[0]
        if place.startswith('bbox_head.anchor') and kind_of(model.get('neck') or {}) == 'SSDNeck':
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
    with on_meta(), MODELS.switch_scope_and_registry(scope) as registry:
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
