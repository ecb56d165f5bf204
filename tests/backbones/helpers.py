"""What several tests of the backbones do: build a network, fill it with uneven numbers, compare, expect an error."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor, nn

from mmext import UserError, create_backbone
from mmext.backbones import Backbone


def on_meta(name: str, **options) -> Backbone:
    """A network without numbers."""
    with torch.device('meta'):
        return create_backbone(name, **options)


def uneven(name: str, seed: int = 0, **options) -> Backbone:
    """A network whose norms and biases all differ from the identity and each other, so that a misplaced one shows."""
    torch.manual_seed(seed)
    backbone = create_backbone(name, **options)
    for module in backbone.modules():
        if isinstance(module, (nn.Conv2d, nn.Conv3d)) and module.bias is not None:
            nn.init.normal_(module.bias, std=0.3)
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.3)
            nn.init.normal_(module.running_mean, std=0.3)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return backbone


def images(*shape: int, seed: int = 1, **options) -> Tensor:
    """Random input of the given shape."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), **options)


def copied(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict that shares nothing with the original."""
    return {name: value.detach().clone() for name, value in state.items()}


def assert_same(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """The same names and, bit for bit, the same tensors."""
    assert list(found) == list(expected)
    unequal = [name for name in found if not torch.equal(found[name], expected[name])]
    assert not unequal


@contextmanager
def user_error(*fragments: str) -> Iterator[None]:
    """The code ends in a UserError of one line that holds all fragments."""
    with pytest.raises(UserError) as caught:
        yield
    message = str(caught.value)
    assert message and '\n' not in message
    assert [fragment for fragment in fragments if fragment not in message] == []
