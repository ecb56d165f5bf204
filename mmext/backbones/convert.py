"""Conversion of parameter names to those of other code bases: the C-ResNet authors', torchvision's and timm's."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor, nn

from mmext.backbones.backbone import Backbone
from mmext.backbones.cresnet import CResNet
from mmext.backbones.recursive import RecursiveSEResNet
from mmext.backbones.resnet import ResNet, ResNeXt
from mmext.backbones.weights import OPTIONAL
from mmext.errors import UserError, shorten

BACKBONE, HEAD = 'backbone.', 'fc.'
# For each variant of C-ResNet: our name of a jumper -> the authors' name (resnetimprove.py).
AUTHORS_JUMPERS = {
    'a': {'jumper1': 'conv4'},
    'a1': {'jumper1': 'conv4', 'jumper2': 'conv1tov3'},
    'a2': {'jumper1': 'shortcut_1.0'},
    'b': {'jumper1': 'shortcut_1'},
    'b1': {'jumper1': 'shortcut_1'},
    'b2': {'jumper1': 'shortcut_1', 'jumper2': 'shortcut_2.0'},
    'b3': {'jumper1': 'shortcut_1', 'jumper2': 'shortcut_2', 'jumper3': 'shortcut_3'},
    'c': {'jumper1': 'shortcut_1.0', 'jumper2': 'shortcut_2'},
    'c1': {'jumper1': 'shortcut_1', 'jumper2': 'shortcut_2'},
}
TIMM_DEEP_STEM = {'conv1': 'conv1.0', 'bn1': 'conv1.1', 'conv2': 'conv1.3', 'bn2': 'conv1.4', 'conv3': 'conv1.6',
                  'bn3': 'bn1'}
AUTHORS_STEM = {'conv1': 'conv0.0', 'bn1': 'conv0.1', 'conv2': 'conv1', 'bn2': 'bn1'}


def torchvision_name(name: str, backbone: Backbone) -> str:
    """Converts a name to torchvision's: for ResNet and ResNeXt these are our names without ``backbone.``.

    Raises:
        UserError: torchvision does not have this network.
    """
    if backbone.avg_down or backbone.stem == 'deep':
        raise UserError('torchvision has no network with avg_down or the stem deep; timm has, as in resnet50d')
    return timm_name(name, backbone)


def timm_name(name: str, backbone: Backbone) -> str:
    """Converts a name to timm's: our names without ``backbone.``, except in the deep stem.

    Raises:
        UserError: timm does not have this network.
    """
    if type(backbone) is RecursiveSEResNet:
        raise UserError("timm's SE-ResNets compute another function: they have no ReLU before squeeze and excitation, "
                        'and no biases in convolutions')
    if type(backbone) not in (ResNet, ResNeXt) or backbone.stem not in ('conv7x7', 'deep'):
        raise UserError(f'torchvision and timm have no {type(backbone).__name__} with the stem {backbone.stem}')
    name = name.removeprefix(BACKBONE)
    layer, _, rest = name.partition('.')
    return f'{TIMM_DEEP_STEM[layer]}.{rest}' if backbone.stem == 'deep' and layer in TIMM_DEEP_STEM else name


def cresnet_name(name: str, backbone: Backbone) -> str:
    """Converts a name to that of the C-ResNet authors' code, for their networks for 32-pixel images and baselines.

    Raises:
        UserError: Their code does not have this network.
    """
    if backbone.stem != 'conv3x3_twice' or type(backbone) not in (ResNet, CResNet):
        raise UserError(f"the C-ResNet authors' code has no {type(backbone).__name__} with the stem {backbone.stem}; "
                        'their baselines need --stem conv3x3_twice')
    if name.startswith(HEAD):
        return 'linear.' + name.removeprefix(HEAD)
    name = name.removeprefix(BACKBONE)
    first, _, rest = name.partition('.')
    if first in AUTHORS_STEM:
        return f'{AUTHORS_STEM[first]}.{rest}'
    stage, block, part, *rest = name.split('.')
    jumpers = AUTHORS_JUMPERS[str(backbone.variant)] if isinstance(backbone, CResNet) else {}
    renamed = {'downsample': 'shortcut', **jumpers}
    return '.'.join([stage, block, renamed.get(part, part), *rest])


FORMATS: dict[str, Callable[[str, Backbone], str]] = {
    'cresnet': cresnet_name,
    'torchvision': torchvision_name,
    'timm': timm_name,
}


def renaming(model: nn.Module, kind: str) -> dict[str, str]:
    """Maps each parameter name of a classifier to its name in the code base ``kind``, a key of ``FORMATS``.

    Raises:
        UserError: That code base does not have this network.
    """
    backbone = model.backbone
    assert isinstance(backbone, Backbone)
    return {name: FORMATS[kind](name, backbone) for name in model.state_dict()}


def rename(weights: Mapping[str, Tensor], names: Mapping[str, str], source: str) -> dict[str, Tensor]:
    """Returns the weights under new names, in the order of ``names`` (old name -> new name).

    Args:
        weights: The tensors under their old names.
        names: The new name of each old name.
        source: Where the weights come from, for the message.

    Raises:
        UserError: A tensor has no new name, or a tensor is missing.
    """
    surplus = [name for name in weights if name not in names]
    missing = [name for name in names if name not in weights and not name.endswith(OPTIONAL)]
    problems = [f'{len(found)} {what} ({shorten(found)})' for what, found in (('left over', surplus),
                                                                              ('missing', missing)) if found]
    if problems:
        raise UserError(f'{source}: {len(weights) - len(surplus)} of its {len(weights)} tensors can be renamed; '
                        f'{"; ".join(problems)}; is it another network, or in another format?')
    return {new: weights[old] for old, new in names.items() if old in weights}
