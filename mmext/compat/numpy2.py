"""Repairs of code that was written for numpy 1: names that numpy 2 removed, and conversions that it refuses.

mmaction2 1.2, mmdet 3.3 and mmcv 2 were written before numpy 2. No issues are known; numpy lists the removed names at
https://numpy.org/doc/stable/numpy_2_0_migration_guide.html. numpy itself is never modified: if a module uses a removed
name, its global ``np`` is replaced by a stand-in that has this name and otherwise behaves like numpy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import CodeType, FunctionType, ModuleType

from mmext.compat.notes import note


class NumpyWith(ModuleType):
    """A stand-in for numpy with additional names. Assigning an attribute changes the stand-in, not numpy."""

    def __init__(self, **names: object) -> None:
        super().__init__('numpy')
        vars(self).update(names)

    def __getattr__(self, name: str) -> object:
        import numpy
        return getattr(numpy, name)


def restore_numpy_inf(module: ModuleType) -> None:
    """`np.Inf` was removed in the NumPy 2.0 release: PoseCompact, MMCompact and the extraction of frames."""
    import numpy as np
    restore_name(module, 'Inf', np.inf, restore_numpy_inf)


def restore_numpy_trapz(module: ModuleType) -> None:
    """module 'numpy' has no attribute 'trapz': ANetMetric's area under the recall curve."""
    import numpy as np
    restore_name(module, 'trapz', getattr(np, 'trapezoid', None), restore_numpy_trapz)


def restore_numpy_in1d(module: ModuleType) -> None:
    """module 'numpy' has no attribute 'in1d': RetrievalRecall."""
    import numpy as np

    def in1d(ar1, ar2, assume_unique: bool = False, invert: bool = False) -> np.ndarray:
        return np.isin(np.ravel(ar1), ar2, assume_unique=assume_unique, invert=invert)

    restore_name(module, 'in1d', in1d, restore_numpy_in1d)


def restore_numpy_float(module: ModuleType) -> None:
    """module 'numpy' has no attribute 'float': mmdet's evaluation of YouTube-VIS, mmcv's pixel_group."""
    restore_name(module, 'float', float, restore_numpy_float)


def protect_numpy_bool(module: ModuleType) -> None:
    """mmaction2's ``ImgAug.__init__`` sets ``np.bool = bool``, which changes numpy for the whole process.

    This was meant for numpy 1.24 to 1.26, which had no ``np.bool``. If numpy has one, the assignment is redirected to a
    stand-in for this module.
    """
    import numpy as np

    if not hasattr(np, 'bool') or 'bool' not in set(names_used(module)) or vars(module).get('np') is not np:
        return
    vars(module)['np'] = NumpyWith()
    note(protect_numpy_bool, f'{module.__name__} leaves np.bool unchanged')


def fix_hue_overflow(module: ModuleType) -> None:
    """OverflowError: Python integer -13 out of bounds for uint8, at mmaction2's ColorJitter.

    The repair adds the offset, -127 to 127, to the hue, 0 to 179, in 16-bit integers.
    """
    import cv2
    import numpy as np

    jitter = module.ColorJitter
    if not raises(OverflowError, jitter.adjust_hue, np.zeros((1, 1, 3), np.float32), -0.1):
        return

    def adjust_hue(img: np.ndarray, factor: float) -> np.ndarray:
        hsv = cv2.cvtColor(np.clip(img, 0, 255).astype(np.uint8), cv2.COLOR_RGB2HSV)
        hsv[..., 0] = (hsv[..., 0].astype(np.int16) + int(factor * 255)) % 180
        return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB).astype(np.float32)

    jitter.adjust_hue = staticmethod(adjust_hue)
    note(fix_hue_overflow, "mmaction2's ColorJitter can shift the hue in both directions")


def fix_tube_frame_lookup(module: ModuleType) -> None:
    """TypeError: only 0-dimensional arrays can be converted to Python scalars: MultiSportsMetric's ``iou3dt_voc``.

    Occurs with numpy 2.4 and later. The arguments are tubes: arrays (frames, 5 or more) with the frame number in the
    first column.
    """
    import numpy as np

    tube = np.array([[0., 0., 0., 1., 1.]])
    if not raises(TypeError, module.iou3dt_voc, tube, tube):
        return

    def iou3dt_voc(b1: np.ndarray, b2: np.ndarray, spatialonly: bool = False, temporalonly: bool = False) -> float:
        first, last = max(b1[0, 0], b2[0, 0]), min(b1[-1, 0], b2[-1, 0])
        if last < first:
            return 0.0
        temporal = (last - first) / (max(b1[-1, 0], b2[-1, 0]) - min(b1[0, 0], b2[0, 0]))
        if temporalonly:
            return temporal
        common = [tube[np.argmax(tube[:, 0] == first):np.argmax(tube[:, 0] == last) + 1] for tube in (b1, b2)]
        return module.iou3d_voc(*common) * (1. if spatialonly else temporal)

    iou3dt_voc.__doc__ = module.iou3dt_voc.__doc__
    vars(module)['iou3dt_voc'] = iou3dt_voc
    note(fix_tube_frame_lookup, "mmaction2's MultiSportsMetric can compare tubes")


def restore_name(module: ModuleType, name: str, value: object, repair: Callable) -> None:
    """Restores ``np.<name>`` for a module that uses it, if numpy has removed it.

    Args:
        module: The module whose ``np`` is replaced.
        name: The removed name.
        value: What the name stands for.
        repair: The calling repair, to be recorded.
    """
    import numpy as np

    if hasattr(np, name) or name not in set(names_used(module)) or vars(module).get('np') is not np:
        return
    vars(module)['np'] = NumpyWith(**{name: value})
    note(repair, f'np.{name} is restored for the modules of {module.__name__.partition(".")[0]} that use it')


def names_used(owner: ModuleType | type) -> Iterator[str]:
    """The names of globals and attributes used by the functions and classes defined in a module or class."""
    home = owner.__name__ if isinstance(owner, ModuleType) else owner.__module__
    for value in vars(owner).values():
        value = getattr(value, '__func__', value)  # of a static or class method
        if isinstance(value, type) and value.__module__ == home:
            yield from names_used(value)
        elif isinstance(value, FunctionType) and value.__module__ == home:
            yield from names_in(value.__code__)


def names_in(code: CodeType) -> Iterator[str]:
    """The names of globals and attributes used by a code object, including nested functions."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from names_in(constant)


def raises(error: type[Exception], function: Callable, *args: object) -> bool:
    """Whether a call raises this error. Other errors are ignored and count as False."""
    import warnings

    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            function(*args)
    except error:
        return True
    except Exception:
        return False
    return False
