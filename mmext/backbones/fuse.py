"""Fusion of batch norms into convolutions for inference: the same outputs with fewer layers (see ``folding``)."""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from torch import fx, nn
from torch.nn.modules.conv import _ConvNd

from mmext.backbones.folding import NORMS, NormFolder, NotFoldable, set_parameters
from mmext.backbones.half_identity import HalfIdentityConv2d, HalfIdentityConv3d
from mmext.errors import shorten

PLAIN = {HalfIdentityConv2d: nn.Conv2d, HalfIdentityConv3d: nn.Conv3d}


@dataclass
class Fusion:
    """The result of ``fuse``: the names of the ``folded`` norms, and of the ``kept`` ones with the reason for each."""

    folded: list[str] = field(default_factory=list)
    kept: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """'33 of 45 norms folded; 12 stay: 12 follow no convolution (layer1.1.bn0 and 11 more)'."""
        by_reason = defaultdict(list)
        for name, reason in self.kept.items():
            by_reason[reason].append(name)
        stay = ', '.join(f'{len(names)} {reason} ({shorten(names, 2)})' for reason, names in by_reason.items())
        return f'{len(self.folded)} of {len(self.folded) + len(self.kept)} norms folded' + (
            f'; {len(self.kept)} stay: {stay}' if stay else '')


def fuse(model: nn.Module) -> nn.Module:
    """Copies a model for inference and folds every batch norm of the copy that can be folded exactly.

    In the copy a folded norm is an ``nn.Identity``; all other modules keep their names. Convolutions of ResNet Init
    become plain convolutions. If torch.fx can't trace a module (most detectors, necks and heads), its children are
    handled separately; this assumes that the model calls them as modules and does not use their parts.

    Args:
        model: Any model; it is not changed. Its running statistics are used even if it is in training mode.

    Returns:
        The copy, in eval mode and without gradients. Its attribute ``fusion`` is a ``Fusion``.
    """
    fused = copy.deepcopy(model).eval().requires_grad_(False)
    replace_half_identity(fused)
    fusion = Fusion()
    fusion.kept = {name: 'are in a part that could not be traced' for name, module in fused.named_modules()
                   if isinstance(module, NORMS)}
    shared = shared_modules(fused)
    for prefix, part, graph in traced_parts(fused):
        folder = NormFolder(part, graph, shared)
        for norm in folder.norms():
            name = prefix + norm
            try:
                folder.fold(norm)
            except NotFoldable as reason:
                fusion.kept[name] = str(reason)
            else:
                fusion.folded.append(name)
                del fusion.kept[name]
    fused.fusion = fusion  # pyright: ignore[reportArgumentType]  a module takes any attribute
    return fused


def replace_half_identity(model: nn.Module) -> None:
    """Replaces the convolutions of ResNet Init by plain ones with the weight W, in place (see ``half_identity``)."""
    for name, module in list(model.named_modules()):
        if isinstance(module, (HalfIdentityConv2d, HalfIdentityConv3d)) and type(module) in PLAIN:
            plain = nn.utils.skip_init(PLAIN[type(module)], module.in_channels, module.out_channels,
                                       module.kernel_size, module.stride, module.padding, module.dilation,
                                       bias=module.bias is not None, device=module.weight.device,
                                       dtype=module.weight.dtype)
            assert isinstance(plain, _ConvNd)
            set_parameters(plain, module.full_weight, module.bias)
            model.set_submodule(name, plain.eval())


def shared_modules(model: nn.Module) -> set[nn.Module]:
    """The modules that occur several times in a model, so that one part may not show all their calls."""
    seen: set[nn.Module] = set()
    twice = set()
    for _, module in model.named_modules(remove_duplicate=False):
        (twice if module in seen else seen).add(module)
    return twice


class Tracer(fx.Tracer):
    """Traces down to convolutions and norms; a module that contains none of them is a single node."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        steps = (_ConvNd, *NORMS)
        return isinstance(m, steps) or not any(isinstance(module, steps) for module in m.modules())


def trace(module: nn.Module) -> fx.Graph | None:
    """Traces a module. Returns None if torch.fx can't trace it, for example because of data-dependent control flow."""
    try:
        return Tracer().trace(module)
    except Exception:  # foreign code may raise anything when it gets a proxy instead of a tensor
        return None


def traced_parts(module: nn.Module, prefix: str = '') -> Iterator[tuple[str, nn.Module, fx.Graph]]:
    """Yields the largest traceable parts of a module that have norms: (name followed by a dot, part, graph)."""
    if isinstance(module, NORMS) or not any(isinstance(inner, NORMS) for inner in module.modules()):
        return
    graph = trace(module)
    if graph is not None:
        yield prefix, module, graph
        return
    for name, child in module.named_children():
        yield from traced_parts(child, f'{prefix}{name}.')
