"""How the signal of a network passes its main path at initialisation: ReLUs, what they set to zero, and gradients.

The iResNet paper (arXiv 2004.04989, section III-A) argues with them: a ResNet has a ReLU after each of its additions,
each of which zeroes the negative part of the signal; a pre-activation ResNet has none, and ResStage one in each stage.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from mmext.analysis.complexity import ACTIVATIONS
from mmext.backbones.backbone import Backbone
from mmext.backbones.plan import STEMS

Place = tuple[str, int]  # a ReLU: the name of its module, and which of the module's calls, from 0


@dataclass(frozen=True)
class BlockSignal:
    """What happens in one block.

    Attributes:
        block: its name, such as 'layer2.0'.
        negative: the share of the main path's signal that is negative, by absolute values, before the ReLUs of the main
            path if the block has some, else at its end.
        zeroed: the share that ReLUs of the main path set to zero: ``negative`` or 0.
        gradient: the norm of the loss's gradient with respect to the block's output.
    """

    block: str
    negative: float
    zeroed: float
    gradient: float


@dataclass(frozen=True)
class Signal:
    """What happens in a network.

    Attributes:
        name: of the network.
        family: of its class.
        layers: the depth in its name.
        relus: the fewest ReLUs on a way from the stem's output to the output of the backbone.
        zeroed: of all negative signal that blocks have on the main path, the share that is set to zero.
        blocks: from the first to the last.
    """

    name: str
    family: str
    layers: int
    relus: int
    zeroed: float
    blocks: tuple[BlockSignal, ...]

    @property
    def decay(self) -> float:
        """The gradient at the first block's output, as a multiple of that at the last block's."""
        return self.blocks[0].gradient / self.blocks[-1].gradient if self.blocks[-1].gradient else math.nan


class ReLUTracer(fx.Tracer):
    """Records each call of a ReLU as one node with the name of its module."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, ACTIVATIONS) or super().is_leaf_module(m, module_qualified_name)


def main_path(backbone: Backbone) -> list[Place]:
    """The ReLUs of the way with the fewest ReLUs from the input to the last output, in their order.

    Shortcuts take part like any other layers, so no convention about blocks is needed. What does not depend on the
    input, as the zeros before the first block of a recursion formula, is on no way.
    """
    graph = ReLUTracer().trace(backbone)
    modules = dict(backbone.named_modules())
    calls: Counter[str] = Counter()
    fewest: dict[fx.Node, float] = {}
    before: dict[fx.Node, fx.Node] = {}
    places: dict[fx.Node, Place] = {}
    for node in graph.nodes:
        if node.op == 'call_module' and isinstance(modules[str(node.target)], ACTIVATIONS):
            places[node] = (str(node.target), calls[str(node.target)])
            calls[str(node.target)] += 1
        if node.op == 'placeholder':
            fewest[node] = 0
            continue
        sources = node.all_input_nodes
        if node.op == 'output':
            sources = sources[-1:]  # the last feature map
        if not sources or node.target in ('new_zeros', getattr):
            fewest[node] = math.inf
            continue
        before[node] = min(sources, key=fewest.__getitem__)
        fewest[node] = fewest[before[node]] + (node in places)
    node, found = next(iter(reversed(graph.nodes))), []
    while node in before:
        if node in places:
            found.append(places[node])
        node = before[node]
    return found[::-1]


class Recorder:
    """Records the signal of the main path and the gradients during one forward and one backward pass.

    Only numbers are kept, so that it needs no more memory than the passes.
    """

    def __init__(self, backbone: Backbone) -> None:
        self.backbone = backbone
        self.path = main_path(backbone)
        self.calls: Counter[str] = Counter()
        self.before_relus: dict[str, list[tuple[float, float]]] = {}
        self.at_end: dict[str, tuple[float, float]] = {}
        self.gradients: dict[str, float] = {}

    @contextmanager
    def attached(self) -> Iterator[None]:
        """Records while it is entered."""
        modules = dict(self.backbone.named_modules())
        handles = [modules[name].register_forward_pre_hook(self.enter_relu(name)) for name in {*dict(self.path)}]
        handles += [block.register_forward_hook(self.leave_block(name))
                    for name, block in self.backbone.named_blocks()]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def enter_relu(self, name: str):
        """A hook that looks at the input of a ReLU of the main path."""
        block = '.'.join(name.split('.')[:2])

        def hook(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            if (name, self.calls[name]) in self.path:
                self.before_relus.setdefault(block, []).append(magnitudes(inputs[0]))
            self.calls[name] += 1
        return hook

    def leave_block(self, name: str):
        """A hook that looks at the output of a block, and later at its gradient."""
        def hook(module: nn.Module, inputs: tuple, output: object) -> None:
            feature = self.backbone.feature(output)
            self.at_end[name] = magnitudes(feature)
            feature.register_hook(lambda gradient: self.gradients.__setitem__(name, float(gradient.norm())))
        return hook

    def blocks(self) -> Iterator[tuple[BlockSignal, float]]:
        """Each block, and the sum of its negative signal."""
        for name, end in self.at_end.items():
            relus = self.before_relus.get(name)
            negative, total = (sum(numbers) for numbers in zip(*relus)) if relus else end
            share = negative / total if total else 0.0
            yield BlockSignal(name, share, share if relus else 0.0, self.gradients.get(name, math.nan)), negative


def magnitudes(x: Tensor) -> tuple[float, float]:
    """The sums of absolute values of a tensor: of its negative elements, and of all."""
    x = x.detach()
    return float(-x.clamp(max=0).sum(dtype=torch.float64)), float(x.abs().sum(dtype=torch.float64))


def measure(name: str, backbone: Backbone, images: Tensor, seed: int = 0) -> Signal:
    """Measures a network with its initial weights, in training mode, on one batch.

    The loss is the cross entropy of a random linear classifier of ten classes on the averaged last feature map, with
    random labels.

    Args:
        name: of the network.
        backbone: with the weights to be looked at; its running statistics change, and its gradients are left empty.
        images: (N, 3, H, W), normalised; at least two, since norms use the batch's statistics.
        seed: of the classifier and the labels.
    """
    generator = torch.Generator().manual_seed(seed)
    recorder = Recorder(backbone.train())
    with recorder.attached():
        output = backbone(images)
        feature = (output if isinstance(output, Tensor) else output[-1]).flatten(2).mean(2)
        weight = torch.randn(10, feature.shape[1], generator=generator) / feature.shape[1] ** 0.5
        labels = torch.randint(10, (len(images), ), generator=generator)
        F.cross_entropy(feature @ weight.T, labels).backward()
    backbone.zero_grad(set_to_none=True)
    found = list(recorder.blocks())
    negative = sum(amount for _, amount in found)
    zeroed = sum(amount for block, amount in found if block.zeroed)
    stem = len(STEMS[backbone.stem].kernels)
    return Signal(name, type(backbone).__name__, backbone.depth, len(recorder.path) - stem,
                  zeroed / negative if negative else 0.0, tuple(block for block, _ in found))
