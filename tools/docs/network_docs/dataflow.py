"""The data flow of a part of a network, recorded while the built modules run on the meta device."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from mmext.analysis.complexity import ACTIVATIONS, CONVOLUTIONS, COUNTED, MAX_POOLS, NORMS, WINDOW_MEANS
from mmext.backbones.half_identity import HalfIdentity

# Functions by their names without underscores: '+' is add, add_ and __radd__.
SIGNS = {'add': '+', 'radd': '+', 'sub': '−', 'mul': '×', 'rmul': '×', 'div': '÷', 'truediv': '÷'}
RESHAPES = {'flatten', 'unflatten', 'reshape', 'view', 'contiguous', 'squeeze', 'unsqueeze'}


class NodeOutput(NamedTuple):
    """The node that made a tensor, and if it made several, which of them, counted from 1."""

    node: int
    part: int | None = None


@dataclass(frozen=True)
class Node:
    """One operation, or a tensor with a name.

    ``kind``: conv, norm, relu, pool, linear, sign (drawn as a circle), other; input, state (between two steps), output.
    """

    kind: str
    label: str
    sources: tuple[NodeOutput, ...] = ()


@dataclass(frozen=True)
class DataFlow:
    """Nodes in the order in which they ran: the inputs first, the outputs last."""

    nodes: tuple[Node, ...]

    def text(self) -> str:
        """One line a node: its number, what it is, the numbers of what it reads (3.2 is the second output of 3)."""
        def name(source: NodeOutput) -> str:
            return str(source.node) if source.part is None else f'{source.node}.{source.part}'

        return '\n'.join(f'{number} {node.kind}: {node.label}' +
                         (f' of {", ".join(map(name, node.sources))}' if node.sources else '')
                         for number, node in enumerate(self.nodes))


def record(steps: Sequence[Callable], value: Any, modules: Iterable[nn.Module],
           names: Sequence[Callable[[Any], Mapping[str, Tensor]]]) -> DataFlow:
    """Runs ``steps[0](value)``, gives the result to the next step and so on, and records what they do.

    The layers that ``complexity`` counts are nodes, and so is every function of torch outside them. A tensor is known
    by its identity, so that what a function does in place is seen by everyone who reads that tensor afterwards, as it
    is when the network runs. What no output depends on is left out.

    Args:
        steps: any code that calls the modules and torch.
        value: what the first step takes.
        modules: where the layers are found.
        names: how the tensors of a value are called, the main one first: of ``value``, and of what each step returns.
    """
    recorder = Recorder()
    for name, tensor in names[0](value).items():
        recorder.add(Node('input', name), tensor)
    layers = [layer for module in modules for layer in module.modules() if isinstance(layer, COUNTED)]
    hooks = [layer.register_forward_pre_hook(recorder.enter) for layer in layers]
    hooks += [layer.register_forward_hook(recorder.leave) for layer in layers]
    try:
        for number, (step, names_of) in enumerate(zip(steps, names[1:]), 1):
            with torch.no_grad(), recorder:
                value = step(value)
            for name, tensor in names_of(value).items():
                if number == len(steps):
                    recorder.add(Node('output', name, recorder.sources(tensor)))
                elif not recorder.is_named(tensor):
                    recorder.add(Node('state', name, recorder.sources(tensor)), tensor)
    finally:
        for hook in hooks:
            hook.remove()
    return DataFlow(tuple(needed(recorder.nodes)))


class Recorder(TorchFunctionMode):
    """Records every layer, and every function of torch that is called outside of layers."""

    def __init__(self) -> None:
        super().__init__()
        self.nodes: list[Node] = []
        self.makers: dict[int, NodeOutput] = {}
        self.alive: list[Tensor] = []  # an id may be reused once its tensor is deleted
        self.layers_entered = 0

    def __torch_function__(self, function: Callable, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        result = function(*args, **(kwargs or {}))
        made, sources = list(tensors_in(result)), self.sources((args, kwargs))
        if made and sources and not self.layers_entered:
            name = function.__name__.strip('_')
            if name in RESHAPES:
                self.know(made[0], sources[0])
            else:
                self.add(Node(*function_label(name, args, kwargs or {}, len(made)), sources), *made)
        return result

    def enter(self, layer: nn.Module, given: tuple) -> None:
        """Called before a layer runs: the functions inside it are not recorded."""
        self.layers_entered += 1

    def leave(self, layer: nn.Module, given: tuple, made: Tensor) -> None:
        """Called after a layer has run: records it."""
        self.layers_entered -= 1
        self.add(Node(*layer_label(layer), self.sources(given)), made)

    def sources(self, value: Any) -> tuple[NodeOutput, ...]:
        """Which nodes made the tensors in a value; parameters, which no node made, are left out."""
        return tuple(self.makers[id(tensor)] for tensor in tensors_in(value) if id(tensor) in self.makers)

    def is_named(self, tensor: Tensor) -> bool:
        """Whether an input or a state is just this tensor."""
        return self.nodes[self.makers[id(tensor)].node].kind in ('input', 'state')

    def add(self, node: Node, *made: Tensor) -> None:
        """Records a node, and that it made these tensors."""
        self.nodes.append(node)
        for part, tensor in enumerate(made, 1):
            self.know(tensor, NodeOutput(len(self.nodes) - 1, part if len(made) > 1 else None))

    def know(self, tensor: Tensor, maker: NodeOutput) -> None:
        """Remembers which node made a tensor."""
        self.makers[id(tensor)] = maker
        self.alive.append(tensor)


def tensors_in(value: Any) -> Iterator[Tensor]:
    """The tensors of a value, of its lists, tuples and dicts too, in order."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (tuple, list, dict)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from tensors_in(item)


def needed(nodes: list[Node]) -> list[Node]:
    """The inputs, the outputs, and the nodes that an output depends on, with new numbers."""
    keep = {number for number, node in enumerate(nodes) if node.kind in ('input', 'output')}
    for number in reversed(range(len(nodes))):
        if number in keep:
            keep.update(source.node for source in nodes[number].sources)
    renumbered = {number: new for new, number in enumerate(sorted(keep))}
    return [Node(nodes[number].kind, nodes[number].label,
                 tuple(NodeOutput(renumbered[source.node], source.part) for source in nodes[number].sources))
            for number in renumbered]


def function_label(name: str, args: tuple, kwargs: dict, parts: int) -> tuple[str, str]:
    """(kind, label) of a function: '+', '−', 'sigmoid', 'split in 4'."""
    factor = kwargs.get('alpha', 1)
    numbers = [arg for arg in args if isinstance(arg, (int, float))]
    if name in SIGNS and not numbers:
        if factor == 1:
            return 'sign', SIGNS[name]
        return ('sign', '−') if (name, factor) == ('add', -1) else ('other', f'{SIGNS[name]} {factor:g} ×')
    if name in SIGNS:
        return 'other', f'{SIGNS[name]} {numbers[0]:g}'
    return 'other', {'cat': 'concatenation', 'chunk': f'split in {parts}', 'relu': 'ReLU'}.get(name, name)


def layer_label(layer: nn.Module) -> tuple[str, str]:
    """(kind, label) of a layer: '3×3 conv, 128, /2'."""
    if isinstance(layer, CONVOLUTIONS):
        return 'conv', conv_label(layer)
    if isinstance(layer, NORMS):
        return 'norm', 'GN' if isinstance(layer, nn.GroupNorm) else 'BN'
    if isinstance(layer, ACTIVATIONS):
        return 'relu', 'ReLU'
    if isinstance(layer, MAX_POOLS):
        return 'pool', f'{times(layer.kernel_size)} max-pool{strided(layer.stride)}'
    if isinstance(layer, WINDOW_MEANS):
        return 'pool', f'{times(layer.kernel_size)} mean{strided(layer.stride)}'
    if isinstance(layer, nn.Linear):
        return 'linear', f'linear, {layer.out_features}'
    return 'pool', 'mean'


def conv_label(conv: nn.Module) -> str:
    """Kernel, channels, stride, and whatever else is not the ordinary."""
    label = f'{times(conv.kernel_size)} conv, {conv.out_channels}{strided(conv.stride)}'
    if conv.groups > 1:
        label += f', {conv.groups} groups'
    if max(conv.dilation) > 1:
        label += f', dilation {max(conv.dilation)}'
    if max(conv.kernel_size) > 1 and not any(conv.padding):
        label += ', unpadded'
    if conv.bias is not None:
        label += ', bias'
    return label + (' + half identity' if isinstance(conv, HalfIdentity) else '')


def times(size: int | tuple[int, ...]) -> str:
    """3 and (3, 3) -> '3×3'."""
    return '×'.join(map(str, (size, size) if isinstance(size, int) else size))


def strided(stride: int | tuple[int, ...]) -> str:
    """', /2' where there is a stride."""
    strides = (stride, ) if isinstance(stride, int) else stride
    if max(strides) == 1:
        return ''
    return f', /{strides[-1]}' if len(set(strides)) == 1 else f', /{times(strides)}'
