"""Loading of weights that refuses a poor match."""

from __future__ import annotations

import re
from pathlib import Path

from mmengine.logging import print_log
from torch import Tensor, nn

from mmext.backbones.inflate import inflate as inflate_weights
from mmext.checkpoints import read_checkpoint, weights_of
from mmext.errors import UserError, shorten

OPTIONAL = 'num_batches_tracked'  # absent from checkpoints older than torch 0.4.1, and of no use here


def load_pretrained(backbone: nn.Module, checkpoint: str | Path, prefix: str | None = None, strict: bool = True,
                    inflate: str = 'repeat', map_location: str = 'cpu') -> None:
    """Loads a classifier's, a detector's or the authors' own weights into a backbone.

    What the backbone has no part for (a classifier's fc, stages it was built without) is dropped.

    Args:
        backbone: takes the weights.
        checkpoint: a file, a URL, or a name such as ``torchvision://resnet50`` (see ``mmext.checkpoints``).
        prefix: what the backbone's names begin with there, such as ``backbone``; found out if None.
        strict: False loads what fits, even if tensors are missing, left over or have another shape.
        inflate: how a 3D backbone takes 2D weights: 'repeat' or 'centre' (see ``inflate.inflate``).
        map_location: accepted because mmengine's ``Pretrained`` has it; weights are read on the CPU and copied.

    Raises:
        UserError: the file can't be read; no tensor fits; or, if strict, not all do.
    """
    require_stride_in_place(str(checkpoint))
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
        require_match(backbone, given, checkpoint, advice or other_prefix(weights, own, prefix))
    backbone.load_state_dict(fitting, strict=False)
    print_log(f'{checkpoint}: {len(fitting)} of {len(own)} tensors loaded into {type(backbone).__name__}', 'current')


def require_stride_in_place(checkpoint: str) -> None:
    """Raises a UserError for Caffe's ResNets: their weights have our names and shapes, and are another function's."""
    if re.search(r'://.*resnet.*caffe', checkpoint):
        raise UserError(f'{checkpoint}: a ResNet of Caffe has its stride in the first 1x1 convolution, the networks '
                        "here in the 3x3 one; use 'torchvision://resnet50' or the like")


def other_prefix(weights: dict[str, Tensor], own: dict[str, Tensor], tried: str) -> str:
    """Advice for a checkpoint in which a network's names stand behind another word than the one tried."""
    first = next(iter(own))
    found = [name.removesuffix(first) for name in weights if name.endswith('.' + first)]
    best = max(found, key=lambda start: sum(start + name in weights for name in own), default=tried)
    if best == tried:
        return ''
    return f"; its names begin with {best!r}: set init_cfg.prefix={best.rstrip('.')!r}"


def fitting_weights(own: dict[str, Tensor], given: dict[str, Tensor]) -> dict[str, Tensor]:
    """The given tensors that have a place, by name and shape, among a module's own."""
    return {name: value for name, value in given.items() if name in own and value.shape == own[name].shape}


def require_match(module: nn.Module, given: dict[str, Tensor], source: str | Path, advice: str = '') -> None:
    """Raises a UserError, with counts and first names, unless ``given`` has exactly the module's tensors."""
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
