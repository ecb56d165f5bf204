"""Inflation of 2D weights to 3D, as in I3D (Carreira and Zisserman, arXiv 1705.07750, section 2.2)."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from mmext.errors import UserError

METHODS = ('repeat', 'centre')


def inflate(weights: Mapping[str, Tensor], own: Mapping[str, Tensor], method: str = 'repeat') -> dict[str, Tensor]:
    """Inflates 2D convolution kernels to the temporal length that they have in a 3D network.

    Args:
        weights: Tensors by name. A 2D kernel (out, in, H, W) is inflated if the 3D network has a 3D kernel of that
            name; all other tensors are returned unchanged.
        own: The tensors of the 3D network, under the same names.
        method: 'repeat' repeats the kernel over time and divides it by its length; a clip that repeats one frame then
            gives the 2D features, except near temporal padding. 'centre' puts the kernel at the temporal centre with
            zeros around it; every frame then gives its own 2D features.

    Raises:
        UserError: The method does not exist.
    """
    if method not in METHODS:
        raise UserError(f'inflate={method!r}: the methods are {" and ".join(METHODS)}')
    return {name: inflate_kernel(value, own[name].shape[2], method)
            if name in own and value.dim() == 4 and own[name].dim() == 5 else value
            for name, value in weights.items()}


def inflate_kernel(kernel: Tensor, length: int, method: str) -> Tensor:
    """Inflates one kernel (out, in, H, W) -> (out, in, length, H, W) by a method of ``METHODS``."""
    if method == 'repeat':
        return kernel.unsqueeze(2).expand(-1, -1, length, -1, -1) / length
    inflated = kernel.new_zeros(*kernel.shape[:2], length, *kernel.shape[2:])
    inflated[:, :, length // 2] = kernel
    return inflated
