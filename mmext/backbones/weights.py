"""Loading of pretrained weights, with an error unless the weights match the model."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from mmengine.logging import print_log
from mmengine.registry import WEIGHT_INITIALIZERS
from torch import Tensor, nn

from mmext.backbones.inflate import inflate as inflate_weights
from mmext.checkpoints import read_checkpoint, weights_of
from mmext.errors import UserError, nearest, shorten

OPTIONAL = 'num_batches_tracked'  # not in checkpoints from before torch 0.4.1, and not used here


def split_init_cfg(init_cfg: dict | Sequence[dict] | None) -> tuple[list[dict], list[dict] | None]:
    """Separates the options of each ``Pretrained`` initialiser, which we load ourselves, from the other initialisers.

    Raises:
        UserError: The config is malformed, or names an initialiser or an option that does not exist.
    """
    configs = [init_cfg] if isinstance(init_cfg, dict) else [] if init_cfg is None else init_cfg
    if not isinstance(configs, (list, tuple)) or not all(isinstance(config, dict) for config in configs):
        raise UserError(f'init_cfg={init_cfg!r}: need a dict with a type, or a list of such dicts')
    for config in configs:
        kind = config.get('type')
        if not (isinstance(kind, type) or isinstance(kind, str) and kind and WEIGHT_INITIALIZERS.get(kind)):
            raise UserError(f'init_cfg: there is no initialiser {kind!r}'
                            f'{nearest(str(kind), WEIGHT_INITIALIZERS.module_dict)}')
    pretrained = [{key: value for key, value in config.items() if key != 'type'} for config in configs
                  if config.get('type') == 'Pretrained']
    for options in pretrained:
        for key in sorted(set(options) - {'checkpoint', 'prefix', 'strict', 'inflate', 'map_location'}):
            raise UserError(f"init_cfg of type 'Pretrained': unknown key {key!r}; the keys are checkpoint, prefix, "
                            'strict and inflate')
        if not options.get('checkpoint'):
            raise UserError("init_cfg of type 'Pretrained': the checkpoint is missing")
        if not isinstance(options['checkpoint'], (str, os.PathLike)):
            raise UserError(f"init_cfg of type 'Pretrained': checkpoint={options['checkpoint']!r} is not a path")
    return pretrained, [config for config in configs if config.get('type') != 'Pretrained'] or None


def load_pretrained(backbone: nn.Module, checkpoint: str | Path, prefix: str | None = None, strict: bool = True,
                    inflate: str = 'repeat', map_location: str = 'cpu') -> None:
    """Loads weights of a classifier, of a detector or from the authors into a backbone.

    Tensors of parts that the backbone does not have (the fc layer of a classifier, stages that are not built) are
    ignored.

    Args:
        backbone: The backbone that gets the weights.
        checkpoint: A file, a URL, or a name such as ``torchvision://resnet50`` (see ``mmext.checkpoints``).
        prefix: The prefix of the backbone's names in the checkpoint, such as ``backbone``. None detects it.
        strict: False loads the tensors that fit, even if some are missing, left over or have another shape.
        inflate: How to load 2D weights into a 3D backbone: 'repeat' or 'centre' (see ``inflate.inflate``).
        map_location: Ignored; accepted for compatibility with mmengine's ``Pretrained``. Weights are read on the CPU.

    Raises:
        UserError: The file can't be read, no tensor fits, or with ``strict`` not all tensors fit.
    """
    reject_caffe_resnet(str(checkpoint))
    weights = weights_of(read_checkpoint(checkpoint))
    own = backbone.state_dict()
    if prefix is None:
        prefix = max(('', 'backbone.'), key=lambda start: sum(start + name in weights for name in own))
    elif prefix and not prefix.endswith('.'):
        prefix += '.'
    parts = {name.partition('.')[0] for name in own}
    given = {name.removeprefix(prefix): value for name, value in weights.items()
             if name.startswith(prefix) and name.removeprefix(prefix).partition('.')[0] in parts}
    given = inflate_weights(given, own, inflate)
    fitting = fitting_weights(own, given)
    if strict or not fitting:
        advice = '; strict=False loads what fits' if strict and fitting else ''
        require_match(backbone, given, checkpoint, advice or suggest_prefix(weights, own, prefix))
    backbone.load_state_dict(fitting, strict=False)
    print_log(f'{checkpoint}: {len(fitting)} of {len(own)} tensors loaded into {type(backbone).__name__}', 'current')


def reject_caffe_resnet(checkpoint: str) -> None:
    """Raises UserError for ResNets from Caffe: names and shapes of their weights match, but they compute another
    function.
    """
    if re.search(r'://.*resnet.*caffe', checkpoint):
        raise UserError(f'{checkpoint}: a ResNet from Caffe has its stride in the first 1x1 convolution, the networks '
                        "here have it in the 3x3 convolution; use a checkpoint such as 'torchvision://resnet50'")


def suggest_prefix(weights: dict[str, Tensor], own: dict[str, Tensor], tried: str) -> str:
    """Advice if the names of the network have another prefix in the checkpoint than the one tried, else ''."""
    first = next(iter(own))
    found = [name.removesuffix(first) for name in weights if name.endswith('.' + first)]
    best = max(found, key=lambda start: sum(start + name in weights for name in own), default=tried)
    if best == tried:
        return ''
    return f"; its names begin with {best!r}: set init_cfg.prefix={best.rstrip('.')!r}"


def fitting_weights(own: dict[str, Tensor], given: dict[str, Tensor]) -> dict[str, Tensor]:
    """The given tensors whose name and shape match a tensor of the module."""
    return {name: value for name, value in given.items() if name in own and value.shape == own[name].shape}


def require_match(module: nn.Module, given: dict[str, Tensor], source: str | Path, advice: str = '') -> None:
    """Raises UserError, with counts and examples, unless ``given`` contains exactly the tensors of the module."""
    own = module.state_dict()
    missing = [name for name in own if name not in given and not name.endswith(OPTIONAL)]
    surplus = [name for name in given if name not in own]
    misshapen = [name for name in own if name in given and given[name].shape != own[name].shape]
    if not (missing or surplus or misshapen):
        return
    found = len(own) - len(misshapen) - sum(name not in given for name in own)
    says = [f'{source}: {found} of the {len(own)} tensors of {type(module).__name__} fit']
    if missing:
        says.append(f'{len(missing)} missing ({shorten(missing)})')
    if misshapen:
        shapes = [f'{name} {tuple(given[name].shape)}, here {tuple(own[name].shape)}' for name in misshapen]
        says.append(f'{len(misshapen)} of another shape ({shorten(shapes, 2)})')
    if surplus:
        says.append(f'{len(surplus)} left over ({shorten(surplus)})')
    raise UserError('; '.join(says) + f'; is it a checkpoint of this network?{advice}')
