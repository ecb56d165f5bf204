"""ResNet in ResNet and ALL-CNN-C once more, written from section 7 of the definitions, over a state dict.

The streams are apart here: four convolutions and an identity in place of one dense convolution.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from tests.backbones.reference import Functions


def two_streams(x: Tensor, weight: Tensor, connect: Callable[[Tensor, Tensor], Tensor],
                carry: Callable[[Tensor], Tensor]) -> Tensor:
    """The generalised residual block's inner equations, without biases.

    r' = r * W_rr + t * W_tr + identity(r);  t' = r * W_rt + t * W_tt

    Args:
        x: both streams (N, C, ...), the residual one first.
        weight: (out, in, ...), what is learned.
        connect: (stream, its weights) -> what a linear layer or convolution makes of it.
        carry: a stream -> its values where the outputs are.
    """
    r, t = x.chunk(2, 1)
    to_r, to_t = weight.chunk(2, 0)
    (rr, tr), (rt, tt) = to_r.chunk(2, 1), to_t.chunk(2, 1)
    residual = connect(r, rr) + connect(t, tr)
    identity = carry(r)[:, :residual.shape[1]]
    widened = identity.new_zeros(len(r), residual.shape[1] - identity.shape[1], *identity.shape[2:])
    return torch.cat((residual + torch.cat((identity, widened), 1), connect(r, rt) + connect(t, tt)), 1)


class StreamReference(Functions):
    """What both families have: plain convolutions, or those of two streams."""

    def __init__(self, half_identity: bool, state: Mapping[str, Tensor], training: bool) -> None:
        super().__init__(state, training)
        self.half_identity = half_identity

    def streams(self, name: str, x: Tensor, stride: int = 1, padded: bool = True) -> Tensor:
        self.used.add(name)
        weight = self.state[f'{name}.weight']
        centre = weight.shape[-1] // 2
        padding, start = (centre, 0) if padded else (0, centre)
        if not self.half_identity:
            return F.conv2d(x, weight, None, stride, padding)
        return two_streams(x, weight, lambda s, w: F.conv2d(s, w, None, stride, padding),
                           lambda s: s[:, :, start:s.shape[2] - start:stride, start:s.shape[3] - start:stride])

    def stem(self, x: Tensor) -> Tensor:
        return F.relu(self.bn('bn1', self.conv('conv1', x)))


class RiRReference(StreamReference):
    """The four networks of the paper, of any size.

    Args:
        variant: 'cnn', 'resnet', 'init' or 'rir'.
        blocks: per stage.
        count: convolutions in a block.
        state: parameters and buffers.
        training: as ``nn.Module.training``.
    """

    def __init__(self, variant: str, blocks: Sequence[int], count: int, state: Mapping[str, Tensor],
                 training: bool) -> None:
        super().__init__(variant in ('init', 'rir'), state, training)
        self.outer, self.blocks, self.count = variant in ('resnet', 'rir'), blocks, count

    def __call__(self, x: Tensor) -> list[Tensor]:
        x = self.stem(x)
        features = []
        for stage, blocks in enumerate(self.blocks, 1):
            for i in range(blocks):
                x = self.block(x, f'layer{stage}.{i}.', 2 if stage > 1 and i == 0 else 1)
            features.append(x)
        return features

    def block(self, x: Tensor, prefix: str, stride: int) -> Tensor:
        out = x
        for k in range(1, self.count + 1):
            out = self.streams(f'{prefix}conv{k}', out, stride if k == 1 else 1)
            if self.outer and k == self.count:
                widens = out.shape[1] != x.shape[1]
                out = out + (self.projection(f'{prefix}downsample', x, stride) if widens else x)
            out = F.relu(self.bn(f'{prefix}bn{k}', out))
        return out

    def projection(self, name: str, x: Tensor, stride: int) -> Tensor:
        return self.bn(f'{name}.1', self.conv(f'{name}.0', x, stride))


class AllCNNReference(StreamReference):
    """ALL-CNN-C: 3x3 of 96, 96, 96 (stride 2), 192, 192, 192 (stride 2), 192 (not padded), 1x1 of 192."""

    def __call__(self, x: Tensor) -> list[Tensor]:
        x = self.stem(x)
        features = []
        for stage, count in enumerate((1, 3, 3), 1):
            for i in range(count):
                name = f'layer{stage}.{i}'
                x = self.streams(f'{name}.conv1', x, 2 if stage > 1 and i == 0 else 1, (stage, i) != (3, 1))
                x = F.relu(self.bn(f'{name}.bn1', x))
            features.append(x)
        return features
