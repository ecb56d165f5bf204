"""Each paper's way of counting, on tiny modules whose numbers are worked out by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from mmext.analysis import CONVENTIONS
from mmext.analysis.complexity import Complexity, count
from mmext.backbones.layers import ReLU


def flops(model: nn.Module, shape: tuple[int, ...]) -> dict[str, int]:
    """By every convention."""
    return {name: count(model.to('meta'), shape, name).flops for name in CONVENTIONS}


class Twice(nn.Module):
    """One ReLU, called on 2 and then on 3 channels."""

    def __init__(self, relu: nn.Module) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 3, 1, bias=False)
        self.relu = relu

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.conv(self.relu(x)))


# Module, input, and by hand: MACs, iresnet, iresnet-cifar, cresnet. (recursive is 128 x MACs.)
HAND = {
    # out 5 x 4 x 4 = 80; 3 inputs x 9; its bias counts 3 times in iresnet and once in cresnet
    'conv with bias': (nn.Conv2d(3, 5, 3, 1, 1), (3, 4, 4), 80 * 27, 80 * 3 * 10, 80 * 27, 80 * 27 + 80),
    'conv': (nn.Conv2d(3, 5, 3, 1, 1, bias=False), (3, 4, 4), 2160, 2160, 2160, 2160),
    # out 4 x 2 x 2 = 16; 2 inputs a group
    'grouped conv, stride 2': (nn.Conv2d(4, 4, 3, 2, 1, groups=2), (4, 4, 4), 288, 16 * 2 * 10, 288, 288 + 16),
    # out 3 x 2 x 4 x 4 = 96; kernel 1 x 3 x 3
    'conv 3D': (nn.Conv3d(2, 3, (1, 3, 3), 1, (0, 1, 1)), (2, 2, 4, 4), 1728, 96 * 2 * 10, 1728, 1728 + 96),
    # 6 x 3 x 3 = 54
    'batch norm': (nn.BatchNorm2d(6), (6, 3, 3), 0, 216, 216, 108),
    'group norm': (nn.GroupNorm(2, 6), (6, 3, 3), 0, 216, 216, 108),
    'ReLU': (nn.ReLU(), (6, 3, 3), 0, 54, 54, 0),
    # the conv 3 x 2 x 16 = 96; ReLU: 32, and at its last call 48
    'ReLU twice': (Twice(ReLU()), (2, 4, 4), 96, 96 + 48, 96 + 80, 96),
    'torch ReLU twice': (Twice(nn.ReLU()), (2, 4, 4), 96, 96 + 48, 96 + 80, 96),
    # out 5 x 2 x 2 = 20; an int kernel counts itself, a tuple its product
    'max-pool, int': (nn.MaxPool2d(3, 2, 1), (5, 4, 4), 0, 60, 0, 0),
    'max-pool, tuple': (nn.MaxPool2d((3, 3), 2, 1), (5, 4, 4), 0, 180, 0, 0),
    # out 5 x 2 x 2 x 2 = 40
    'max-pool 3D, flat': (nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)), (5, 2, 4, 4), 0, 360, 0, 0),
    'max-pool 3D': (nn.MaxPool3d((3, 3, 3), (1, 2, 2), 1), (5, 2, 4, 4), 0, 1080, 0, 0),
    'average pool': (nn.AdaptiveAvgPool2d((1, 1)), (6, 3, 4), 0, 6 * 13, 0, 0),
    'average pool 3D': (nn.AdaptiveAvgPool3d((1, 1, 1)), (6, 2, 3, 4), 0, 6 * 25, 0, 0),
    'linear': (nn.Linear(7, 5), (7, ), 35, 5 * 13, 35, 35),
    'nothing that is counted': (nn.Sequential(nn.Flatten(), nn.Sigmoid()), (6, 3, 3), 0, 0, 0, 0),
}


@pytest.mark.parametrize('case', HAND)
def test_by_hand(case: str) -> None:
    model, shape, macs, iresnet, cifar, cresnet = HAND[case]
    assert flops(model, shape) == {'macs': macs, 'iresnet': iresnet, 'iresnet-cifar': cifar, 'cresnet': cresnet,
                                   'recursive': 128 * macs}


def test_layers_add_up() -> None:
    model = nn.Sequential(nn.Conv2d(3, 5, 3, 1, 1), nn.BatchNorm2d(5), ReLU(), nn.AdaptiveAvgPool2d((1, 1)),
                          nn.Flatten(), nn.Linear(5, 2))
    counted = count(model.to('meta'), (3, 4, 4), 'iresnet')
    assert counted == Complexity(params=140 + 10 + 12, macs=2160 + 10,
                                 flops=80 * 30 + 4 * 80 + 80 + 5 * 17 + 2 * 9)
    assert counted.as_dict() == dict(params=162, macs=2170, flops=2903)


def test_a_forward_of_one_s_own() -> None:
    model = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2)).to('meta')
    assert count(model, (4, ), forward=model[0]).macs == 12
    assert count(model, (4, )).macs == 18


def test_counting_leaves_no_hook_behind() -> None:
    model = nn.Sequential(nn.Linear(4, 3)).to('meta')
    with pytest.raises(RuntimeError):
        count(model, (5, ))
    count(model, (4, ))
    assert not model[0]._forward_hooks
    assert all(parameter.grad is None for parameter in model.parameters())
    assert torch.is_grad_enabled()
