"""The repairs for numpy 2: each is needed in the installed library, and leaves alone what is mended."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

import numpy as np
import pytest

from mmext import compat
from mmext.compat import numpy2
from tests.conftest import run

UNNEEDED = pytest.mark.skipif(np.__version__ < '2.4', reason='an older numpy has what these repairs bring back')
TUBE = '[[frame, 0., 0., 2., 2.] for frame in range({}, {})]'
USES = {
    'Inf': ('from mmaction.datasets.transforms import PoseCompact; import numpy as np; '
            'PoseCompact()(dict(img_shape=(9, 9), keypoint=np.ones((1, 1, 2, 2))))'),
    'in1d': ('from mmaction.evaluation.metrics.multimodal_metric import RetrievalRecall as R; '
             'R.calculate([[0, 1]], [[1]], topk=1, pred_indices=True, target_indices=True)'),
    'trapz': ('from mmaction.evaluation.functional import average_recall_at_avg_proposals as recall; '
              "import numpy as n; recall({'v': n.array([[0., 1.]])}, "
              "{'v': n.array([[0., 1., 1.]])}, 1, max_avg_proposals=1)"),
    'out of bounds': ('from mmaction.datasets.transforms import ColorJitter; import numpy as np; '
                      'ColorJitter.adjust_hue(np.zeros((1, 1, 3)), -0.1)'),
    'scalars': ('from mmaction.evaluation.functional.multisports_utils import iou3dt_voc; import numpy as np; '
                f'iou3dt_voc(np.array({TUBE.format(0, 4)}), np.array({TUBE.format(2, 6)}))'),
}


@UNNEEDED
@pytest.mark.parametrize('symptom', USES)
def test_without_the_repairs_the_defects_are_there(symptom: str):
    """mmaction2 can't be imported without the other repairs, so those for numpy 2 alone are left out."""
    without = run('-c', WITHOUT + USES[symptom])
    assert without.returncode and symptom in without.stderr, without.stderr
    done = run('-c', f'import mmext; {USES[symptom]}')
    assert done.returncode == 0, done.stderr


# mmext installs its repairs on import; these are taken back before their modules are imported.
WITHOUT = ('import sys, mmext; from mmext import compat; '
           '[finder.functions_after.pop(name, None) for finder in sys.meta_path if hasattr(finder, "functions_after") '
           'for name, _ in compat.NUMPY2]; ')


@pytest.mark.parametrize('name, repair', [
    ('Inf', numpy2.restore_numpy_inf), ('trapz', numpy2.restore_numpy_trapz),
    ('in1d', numpy2.restore_numpy_in1d), ('float', numpy2.restore_numpy_float),
])
def test_a_module_has_the_name_that_it_uses(name: str, repair):
    needing, mended = module_of(f'def value(): return np.{name}'), module_of('def value(): return np.inf')
    needed = not hasattr(np, name)
    for module in (needing, mended):
        repair(module)
    assert (needing.np is not np) == needed and mended.np is np
    needing.value()
    assert needing.np.linalg is np.linalg and hasattr(np, name) is not needed


def test_names_are_numpys_old_ones():
    modules = {name: module_of(f'def value(): return np.{name}') for name in ('Inf', 'trapz', 'in1d', 'float')}
    numpy2.restore_numpy_inf(modules['Inf'])
    numpy2.restore_numpy_trapz(modules['trapz'])
    numpy2.restore_numpy_in1d(modules['in1d'])
    numpy2.restore_numpy_float(modules['float'])
    assert modules['Inf'].value() == np.inf and modules['float'].value() is float
    assert modules['trapz'].value()([0, 2, 2], [0, 1, 3]) == 5
    assert modules['in1d'].value()([[1, 2], [3, 4]], [4, 1]).tolist() == [True, False, False, True]


def test_imgaug_leaves_numpys_bool():
    module = module_of('class ImgAug:\n    def __init__(self): np.bool = bool')
    before = np.bool
    numpy2.protect_numpy_bool(module)
    module.ImgAug()
    assert np.bool is before and module.np.bool is bool
    mended = module_of('class ImgAug:\n    def __init__(self): pass')
    numpy2.protect_numpy_bool(mended)
    assert mended.np is np


def test_installed_imgaug_leaves_numpys_bool():
    wrappers = importlib.import_module('mmaction.datasets.transforms.wrappers')
    before = np.bool
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, 'imgaug', ModuleType('imgaug'))
        patch.setitem(sys.modules, 'imgaug.augmenters', None)
        with pytest.raises(ImportError):
            wrappers.ImgAug('default')
        kept = np.bool is before
        np.bool = before
    assert kept


@pytest.mark.parametrize('factor, turned', [(-0.1, 155), (0.1, 25), (0.5, 127), (-0.5, 53)])
def test_the_hue_of_red_is_turned(factor: float, turned: int):
    import cv2
    from mmaction.datasets.transforms import ColorJitter

    image = ColorJitter.adjust_hue(np.full((2, 2, 3), (255, 0, 0), np.float32), factor)
    assert image.dtype == np.float32
    assert cv2.cvtColor(image.astype(np.uint8), cv2.COLOR_RGB2HSV)[..., 0] == pytest.approx(turned, abs=1)


def test_a_mended_hue_and_a_mended_iou_are_left_alone():
    class ColorJitter:
        @staticmethod
        def adjust_hue(img, factor):
            return img

    mended = ModuleType('mended')
    mended.ColorJitter, mended.iou3dt_voc = ColorJitter, lambda b1, b2: 1.
    hue, iou = ColorJitter.adjust_hue, mended.iou3dt_voc
    numpy2.fix_hue_overflow(mended)
    numpy2.fix_tube_frame_lookup(mended)
    assert ColorJitter.adjust_hue is hue and mended.iou3dt_voc is iou


def test_tubes_overlap_in_space_and_time():
    """Frames 0 to 3 and 2 to 5; a box of 2 x 2 pixels and one half covered by it."""
    from mmaction.evaluation.functional.multisports_utils import iou3d_voc, iou3dt_voc

    first = np.array([[frame, 0., 0., 2., 2.] for frame in range(4)])
    second = np.array([[frame, 0., 0., 2., 4.] for frame in range(2, 6)])
    spatial = iou3d_voc(first[2:], second[:2])
    assert iou3dt_voc(first, second, temporalonly=True) == pytest.approx(1 / 5)
    assert iou3dt_voc(first, second, spatialonly=True) == pytest.approx(spatial)
    assert iou3dt_voc(first, second) == pytest.approx(spatial / 5)
    assert iou3dt_voc(first, second + [9, 0, 0, 0, 0]) == 0


@UNNEEDED
def test_every_repair_is_at_a_module_of_the_installed_libraries():
    for name, repair in compat.NUMPY2:
        importlib.import_module(name)
        assert repair.__name__ in compat.applied(), name


def module_of(text: str) -> ModuleType:
    module = ModuleType('made_up')
    exec(text, vars(module))
    module.np = np
    return module
