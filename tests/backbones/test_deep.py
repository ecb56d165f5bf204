"""Hundreds of blocks: nothing that is done with a network recurses from block to block; checkpointing stays exact."""

from __future__ import annotations

import copy
import inspect
import io
import sys
from collections.abc import Callable, Iterator

import pytest
import torch

from mmext import create_backbone
from mmext.backbones import Backbone
from tests.backbones.helpers import assert_same, images, on_meta, uneven

BLOCKS = {'iresnet1001_cifar': 333, 'iresnet2000_cifar': 666, 'iresnet3002_cifar': 1000, 'iresnet302': 100,
          'iresnet404': 134}
# The deepest network with a name, and deeper ones of the other papers' blocks than there are names for.
LONG = {
    'iresnet3002_cifar': {},
    'cresnet27_a': dict(blocks=(120, 1, 1, 1), num_stages=1),
    'rir32': dict(blocks=(120, 1, 1)),
    'rir_init32': dict(blocks=(1, 1, 1), layers_per_block=100),
}
# How deep torch's own calls go with a few blocks, and when it compiles them.
ROOM, ROOM_TO_COMPILE = 100, 250


@pytest.fixture
def shallow() -> Iterator[Callable[[int], None]]:
    """shallow(n): from here on, Python may go only n calls deeper."""
    limit = sys.getrecursionlimit()
    yield lambda room: sys.setrecursionlimit(len(inspect.stack(0)) + room)
    sys.setrecursionlimit(limit)


def step(backbone: Backbone) -> dict[str, torch.Tensor]:
    """Forward and backward in training mode: the outputs, the gradients and the statistics."""
    outputs = backbone.train()(images(2, 3, 8, 8))
    sum(output.square().mean().log() for output in outputs).backward()
    gradients = {f'grad of {name}': parameter.grad for name, parameter in backbone.named_parameters()}
    return {**{f'output {i}': output for i, output in enumerate(outputs)}, **gradients,
            **dict(backbone.named_buffers())}


@pytest.fixture(scope='module', autouse=True)
def imported() -> None:
    """What torch imports at the first use is not part of the count."""
    backbone = uneven('iresnet164_cifar', with_cp=True)
    step(copy.deepcopy(backbone))
    torch.save(repr(backbone), io.BytesIO())


@pytest.mark.parametrize('name', BLOCKS)
def test_building(name: str, shallow: Callable[[int], None]) -> None:
    shallow(ROOM)
    backbone = on_meta(name)
    assert sum(len(getattr(backbone, f'layer{i}')) for i in range(1, len(backbone.stages) + 1)) == BLOCKS[name]


@pytest.mark.parametrize('name', LONG)
def test_printing_copying_saving_loading_and_training(name: str, shallow: Callable[[int], None]) -> None:
    shallow(ROOM)
    backbone = create_backbone(name, **LONG[name])
    convolutions = sum(isinstance(module, torch.nn.Conv2d) for module in backbone.modules())
    assert convolutions > 90
    assert repr(backbone).count('Conv2d(') == convolutions

    twin = copy.deepcopy(backbone)
    file = io.BytesIO()
    torch.save(backbone.state_dict(), file)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.zero_()
    file.seek(0)
    twin.load_state_dict(torch.load(file))
    assert_same(twin.state_dict(), backbone.state_dict())

    assert all(value is not None for value in step(backbone).values())


@pytest.mark.parametrize(('name', 'options'), [('iresnet1001_cifar', {}), ('rir32', LONG['rir32'])])
def test_checkpointing_is_exact(name: str, options: dict, shallow: Callable[[int], None]) -> None:
    plain, saving = (uneven(name, with_cp=with_cp, **options) for with_cp in (False, True))
    shallow(ROOM)
    found, expected = step(saving), step(plain)
    assert_same(found, expected)
    assert all(value.isfinite().all() for value in found.values())


@pytest.mark.parametrize(('name', 'options', 'blocks'), [
    ('iresnet3002_cifar', dict(num_stages=1), 20),
    ('rir32', dict(blocks=(20, 1, 1), num_stages=1), 20), ('resnet101_recursive', dict(num_stages=1), 3),
])
def test_compiling_a_stage(name: str, options: dict, blocks: int, shallow: Callable[[int], None]) -> None:
    """As one graph. A stage of 333 blocks compiles too, in proportion to its length."""
    backbone = uneven(name, **options).eval()
    stage = backbone.layer1[:blocks]
    state = backbone.begin(images(1, backbone.stages[0].in_channels, 4, 4))
    torch._dynamo.reset()
    with torch.no_grad():
        expected = backbone.feature(stage(state))
        shallow(ROOM_TO_COMPILE)
        found = backbone.feature(torch.compile(stage, backend='eager', fullgraph=True)(state))
    assert len(stage) == blocks
    assert torch.equal(found, expected)
