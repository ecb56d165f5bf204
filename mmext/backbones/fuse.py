"""Batch norms folded into convolutions for inference: the same outputs with fewer layers (see ``folding``)."""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from torch import fx, nn
from torch.nn.modules.conv import _ConvNd

from mmext.backbones.folding import NORMS, Flow, Stays, set_parameters
from mmext.backbones.half_identity import HalfIdentityConv2d, HalfIdentityConv3d
from mmext.errors import shorten

PLAIN = {HalfIdentityConv2d: nn.Conv2d, HalfIdentityConv3d: nn.Conv3d}


@dataclass
class Fusion:
    """What became of a model's norms: the names of the ``folded``, and of the ``kept`` with the reason of each."""

    folded: list[str] = field(default_factory=list)
    kept: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """'33 of 45 norms folded; 12 stay: what it reads ... (layer1.1.bn0, layer1.2.bn0 and 10 more)'."""
        by_reason = defaultdict(list)
        for name, reason in self.kept.items():
            by_reason[reason].append(name)
        stay = ', '.join(f'{len(names)} {reason} ({shorten(names, 2)})' for reason, names in by_reason.items())
        return f'{len(self.folded)} of {len(self.folded) + len(self.kept)} norms folded' + (
            f'; {len(self.kept)} stay: {stay}' if stay else '')


def fuse(model: nn.Module) -> nn.Module:
    """A copy for inference, in eval mode and without gradients, with every batch norm folded where that is exact.

    A folded norm is an ``nn.Identity`` in the copy, everything else keeps its place and name; convolutions of ResNet
    Init become plain ones. A part that torch.fx can't trace (most detectors, their necks and heads) is opened, and what
    it consists of is folded for itself; that relies on parts being called whole.

    Args:
        model: any; it is left as it is. Its running statistics count, in whatever mode it is.

    Returns:
        The copy. Its ``fusion`` is a ``Fusion``: which norms were folded, which stay and why.
    """
    fused = copy.deepcopy(model).eval().requires_grad_(False)
    make_plain(fused)
    fusion = Fusion()
    fusion.kept = {name: 'stand in a part that could not be traced' for name, module in fused.named_modules()
                   if isinstance(module, NORMS)}
    shared = modules_of_several_names(fused)
    for prefix, part, graph in traced_parts(fused):
        flow = Flow(part, graph, shared)
        for norm in flow.norms():
            name = prefix + norm
            try:
                flow.fold(norm)
            except Stays as reason:
                fusion.kept[name] = str(reason)
            else:
                fusion.folded.append(name)
                del fusion.kept[name]
    fused.fusion = fusion  # pyright: ignore[reportArgumentType]  a module takes any attribute
    return fused


def make_plain(model: nn.Module) -> None:
    """Puts plain convolutions in place of those of ResNet Init, in place; their weights are W and not W - identity."""
    for name, module in list(model.named_modules()):
        if isinstance(module, (HalfIdentityConv2d, HalfIdentityConv3d)) and type(module) in PLAIN:
            plain = nn.utils.skip_init(PLAIN[type(module)], module.in_channels, module.out_channels,
                                       module.kernel_size, module.stride, module.padding, module.dilation,
                                       bias=module.bias is not None, device=module.weight.device,
                                       dtype=module.weight.dtype)
            assert isinstance(plain, _ConvNd)
            set_parameters(plain, module.full_weight, module.bias)
            model.set_submodule(name, plain.eval())


def modules_of_several_names(model: nn.Module) -> set[nn.Module]:
    """Modules that stand in several places of a model, so that no part alone shows all their calls."""
    seen: set[nn.Module] = set()
    twice = set()
    for _, module in model.named_modules(remove_duplicate=False):
        (twice if module in seen else seen).add(module)
    return twice


class Tracer(fx.Tracer):
    """Sees convolutions and norms, and every module without any as one step."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        steps = (_ConvNd, *NORMS)
        return isinstance(m, steps) or not any(isinstance(module, steps) for module in m.modules())


def trace(module: nn.Module) -> fx.Graph | None:
    """The data flow of a module; None where its Python can't be followed without numbers."""
    try:
        return Tracer().trace(module)
    except Exception:  # whatever the code of others raises when it meets a tracer's stand-in for a tensor
        return None


def traced_parts(module: nn.Module, prefix: str = '') -> Iterator[tuple[str, nn.Module, fx.Graph]]:
    """The largest parts of a module that can be traced: name with a dot, part, data flow."""
    if isinstance(module, NORMS) or not any(isinstance(inner, NORMS) for inner in module.modules()):
        return
    graph = trace(module)
    if graph is not None:
        yield prefix, module, graph
        return
    for name, child in module.named_children():
        yield from traced_parts(child, f'{prefix}{name}.')
