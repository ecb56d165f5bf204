"""2D weights -> 3D weights, by the rule of I3D (Carreira and Zisserman, arXiv 1705.07750, section 2.2)."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from mmext.errors import UserError

WAYS = ('repeat', 'centre')


def inflate(weights: Mapping[str, Tensor], own: Mapping[str, Tensor], way: str = 'repeat') -> dict[str, Tensor]:
    """Gives the 2D convolutions among some weights the temporal extent that a 3D network's have.

    Args:
        weights: by name; what is no 2D convolution (out, in, H, W) of a 3D one stays as it is.
        own: the 3D network's tensors by the same names.
        way: 'repeat' the kernel over time and divide it by its length: a clip of one repeated frame gives the 2D
            features wherever no temporal padding is in reach. Or put it into the 'centre', zeros around it: every frame
            gives its own 2D features.

    Raises:
        UserError: another way.
    """
    if way not in WAYS:
        raise UserError(f'inflate={way!r}: there are {" and ".join(WAYS)}')
    return {name: inflate_kernel(value, own[name].shape[2], way)
            if name in own and value.dim() == 4 and own[name].dim() == 5 else value
            for name, value in weights.items()}


def inflate_kernel(kernel: Tensor, length: int, way: str) -> Tensor:
    """(out, in, H, W) -> (out, in, length, H, W)."""
    if way == 'repeat':
        return kernel.unsqueeze(2).expand(-1, -1, length, -1, -1) / length
    inflated = kernel.new_zeros(*kernel.shape[:2], length, *kernel.shape[2:])
    inflated[:, :, length // 2] = kernel
    return inflated
