"""Repairs of the installed stack: one small function per defect.

Each names its symptom and upstream issue and does nothing where the defect is absent. ``install`` puts them in place
before the defective modules are imported, and imports none of them itself: a repair runs when, and only when, somebody
imports its module. When upstream mends a defect, deleting its function and its line in ``install`` is the clean-up.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import pickle
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType

from mmext.imports import AbsentModules, RepairFinder

_APPLIED: dict[str, str] = {}


def install() -> None:
    """Arranges every repair; calling it twice changes nothing."""
    if any(isinstance(finder, RepairFinder) for finder in sys.meta_path):
        return
    repairs = RepairFinder()
    repairs.after('mmengine.utils.package_utils', find_packages_without_pkg_resources)
    repairs.after('mmdet.models.dense_heads.ssd_head', give_ssd_head_a_loss_cls)
    repairs.after('mmengine.logging.history_buffer', allow_history_buffer_in_checkpoints)
    repairs.after('mmengine.runner.checkpoint', keep_checkpoints_from_running_code)
    repairs.after('mmengine.fileio.backends.local_backend', write_files_whole_or_not_at_all)
    repairs.after('mmengine.runner.runner', keep_resume_from_running_code)
    repairs.after('mmengine.dist.utils', start_processes_without_a_gpu)
    for package in ('mmdet', 'mmaction'):
        repairs.around(package, lambda package=package: newer_mmcv_accepted(package))
    sys.meta_path.insert(0, repairs)
    sys.meta_path.append(AbsentModules({
        'importlib_metadata': stand_in_for_importlib_metadata,
        'mmaction.models.localizers.drn': stand_in_for_drn_package,
        'mmaction.models.localizers.drn.drn': stand_in_for_drn,
        'mmaction.mmengine': stand_in_for_functions,
    }))


def installed(name: str) -> bool:
    """Whether a top-level package is there, without importing it."""
    return importlib.util.find_spec(name) is not None


def applied() -> dict[str, str]:
    """The repairs that were needed so far in this process: function name -> what it did."""
    return dict(_APPLIED)


def find_packages_without_pkg_resources(module: ModuleType) -> None:
    """No module named 'pkg_resources', at any config with an ``mmdet::`` base: setuptools 82 has dropped it.

    https://github.com/open-mmlab/mmengine/pull/1676, merged and not released.
    """
    if 'pkg_resources' not in module.get_installed_path.__code__.co_names:
        return

    def is_installed(package: str) -> bool:
        try:
            module.get_installed_path(package)
        except (importlib.metadata.PackageNotFoundError, RuntimeError):
            return False
        return True

    def get_installed_path(package: str) -> str:
        try:
            distribution = importlib.metadata.distribution(package)
        except importlib.metadata.PackageNotFoundError:
            spec = importlib.util.find_spec(package)
            if spec is None:
                raise
            if spec.origin is None:
                raise RuntimeError(f'{package} is a namespace package, it has no one place') from None
            return os.path.dirname(spec.origin)
        here = distribution.locate_file(package)
        return str(here if os.path.exists(here) else distribution.locate_file(package2module(package)))

    def package2module(package: str) -> str:
        names = (importlib.metadata.distribution(package).read_text('top_level.txt') or '').split()
        if not names:
            raise ValueError(f'can not infer the module name of {package}')
        return names[0]

    for function in (is_installed, get_installed_path, package2module):
        function.__doc__ = getattr(module, function.__name__).__doc__
        setattr(module, function.__name__, function)
    note(find_packages_without_pkg_resources, 'packages are found without setuptools')


def give_ssd_head_a_loss_cls(module: ModuleType) -> None:
    """'SSDHead' object has no attribute 'loss_cls', at the first validation.

    https://github.com/open-mmlab/mmdetection/issues/11063, also 11305 and 11780.
    """
    head = module.SSDHead
    if hasattr(head, 'loss_cls') or 'loss_cls' in head.__init__.__code__.co_names:
        return
    head.loss_cls = None  # predict_by_feat asks it for custom channels; None has none
    note(give_ssd_head_a_loss_cls, 'SSDHead can predict')


def allow_history_buffer_in_checkpoints(module: ModuleType) -> None:
    """'Weights only load failed' for every checkpoint that training wrote under torch >= 2.6.

    https://github.com/open-mmlab/mmengine/issues/1655. Training logs sit in the checkpoint as numpy scalars and
    HistoryBuffer, which names its own methods by getattr. These are allowed by name, and getattr for nothing else;
    ``weights_only`` stays on, so a downloaded file still can't run anything.
    """
    import numpy as np
    import torch

    if not hasattr(torch.serialization, 'get_unsafe_globals_in_checkpoint'):
        return  # torch < 2.6

    def method_of_history_buffer(owner: object, name: str) -> Callable:
        if owner is not module.HistoryBuffer or name.startswith('_'):
            raise pickle.UnpicklingError(f'getattr of {name!r} is allowed for HistoryBuffer alone')
        return getattr(owner, name)

    multiarray = np._core.multiarray if hasattr(np, '_core') else np.core.multiarray
    dtypes = [type(np.dtype(code)) for code in ('f4', 'f8', 'i4', 'i8', 'b1')]
    torch.serialization.add_safe_globals([
        module.HistoryBuffer, (method_of_history_buffer, 'builtins.getattr'),
        multiarray._reconstruct, multiarray.scalar, np.ndarray, np.dtype, *dtypes])
    note(allow_history_buffer_in_checkpoints, 'checkpoints of training load with weights_only')


def keep_checkpoints_from_running_code(module: ModuleType) -> None:
    """'Falling back to weights_only=False': onedl-mmengine runs whatever code a checkpoint holds, after a warning.

    No issue of its own is known; ``_safe_torch_load`` of https://github.com/VBTI-development/onedl-mmengine. Torch's
    own default takes its place, as in mmengine.
    """
    import torch

    original = getattr(module, '_safe_torch_load', None)
    if original is None or 'UnpicklingError' not in original.__code__.co_names:
        return

    def load_without_fallback(file, map_location=None, weights_only: bool | None = None):
        return torch.load(file, map_location=map_location, weights_only=weights_only)

    module._safe_torch_load = load_without_fallback
    note(keep_checkpoints_from_running_code, 'checkpoints with code in them are refused')


def keep_resume_from_running_code(module: ModuleType) -> None:
    """Resuming executes the config text that the checkpoint holds, which is Python, to look for 'gpu_ids' in it.

    No issue of its own is known; ``Runner.resume`` of https://github.com/open-mmlab/mmengine. The runner does not get
    to see the text; it has its own config.
    """
    runner = module.Runner
    if 'fromstring' not in runner.resume.__code__.co_names:
        return
    original = runner.load_checkpoint

    def load_checkpoint(self, *args, **kwargs):
        checkpoint = original(self, *args, **kwargs)
        checkpoint.get('meta', {}).pop('config', None)
        return checkpoint

    load_checkpoint.__doc__ = original.__doc__
    runner.load_checkpoint = load_checkpoint
    note(keep_resume_from_running_code, 'resuming runs no code of the checkpoint')


def write_files_whole_or_not_at_all(module: ModuleType) -> None:
    """A killed save leaves a truncated .pth, 'failed finding central directory'.

    https://github.com/open-mmlab/mmdetection/issues/4835. The bytes go to a temporary name beside the file, which is
    renamed when they are all on disk.
    """
    backend = module.LocalBackend
    if 'replace' in backend.put.__code__.co_names:
        return

    def put(self, obj: bytes, filepath: str | os.PathLike) -> None:
        folder = os.path.dirname(os.fspath(filepath)) or '.'
        os.makedirs(folder, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix='.', suffix='.part', dir=folder)
        try:
            with os.fdopen(handle, 'wb') as file:
                file.write(obj)
                file.flush()
                os.fsync(file.fileno())
            umask = os.umask(0)
            os.umask(umask)
            os.chmod(temporary, 0o666 & ~umask)
            os.replace(temporary, filepath)
        except BaseException:
            os.unlink(temporary)
            raise

    put.__doc__ = backend.put.__doc__
    backend.put = put
    note(write_files_whole_or_not_at_all, 'a killed save leaves the previous file')


def start_processes_without_a_gpu(module: ModuleType) -> None:
    """init_dist calls torch.cuda.set_device, which a torch without CUDA does not have.

    Since https://github.com/open-mmlab/mmengine/pull/973; no issue of its own is known.
    """
    import torch

    original = module._init_dist_pytorch
    if torch.cuda.is_available() or 'set_device' not in original.__code__.co_names:
        return

    def init_dist_pytorch(backend: str, init_backend: str = 'torch', **kwargs) -> None:
        torch.distributed.init_process_group(backend='gloo', **kwargs)

    module._init_dist_pytorch = init_dist_pytorch
    note(start_processes_without_a_gpu, 'several processes train on the processor')


@contextmanager
def newer_mmcv_accepted(package: str) -> Iterator[None]:
    """mmdet 3.3 and mmaction2 1.2 refuse mmcv >= 2.2 and its OneDL fork at import.

    https://github.com/open-mmlab/mmdetection/issues/12312, https://github.com/open-mmlab/mmcv/issues/3096. Their code
    runs with it. They are shown 2.1.0 while their version check runs, if what is there is newer.
    """
    import mmcv

    true_version = mmcv.__version__
    newer = tuple(int(part) for part in true_version.split('.')[:2]) >= (2, 2)
    if newer:
        mmcv.__version__ = '2.1.0'
    try:
        yield
    finally:
        mmcv.__version__ = true_version
    if newer and hasattr(sys.modules.get(package), 'mmcv_maximum_version'):  # the OneDL fork of mmdet checks nothing
        note(newer_mmcv_accepted, f'{package} accepts mmcv {true_version}')


def stand_in_for_importlib_metadata(module: ModuleType) -> None:
    """No module named 'importlib_metadata': mmaction2 uses it and does not declare it.

    No issue of its own is known. The standard library has had the same since Python 3.8.
    """
    vars(module).update({name: value for name, value in vars(importlib.metadata).items() if not name.startswith('__')})
    note(stand_in_for_importlib_metadata, 'the standard library stands in')


def stand_in_for_drn_package(module: ModuleType) -> None:
    """No module named 'mmaction.models.localizers.drn': mmaction2's wheel lacks the folder.

    https://github.com/open-mmlab/mmaction2/issues/2714
    """
    module.__path__ = []


def stand_in_for_drn(module: ModuleType) -> None:
    """The DRN localizer's place is kept, and who builds one is told.

    https://github.com/open-mmlab/mmaction2/issues/2714
    """

    class DRN:
        """Absent from the installed mmaction2."""

        def __init__(self, *args, **kwargs) -> None:
            raise ImportError('the installed mmaction2 has no DRN localizer: its wheel lacks that folder')

    module.DRN = DRN
    note(stand_in_for_drn, 'mmaction2 imports without its DRN localizer')


def stand_in_for_functions(module: ModuleType) -> None:
    """No module named 'mmaction.mmengine', at any look for a function: mmaction2's registry names that place for them.

    Nobody has reported it; https://github.com/open-mmlab/mmsegmentation/pull/2829 mends the same in mmsegmentation.
    """
    note(stand_in_for_functions, "mmaction2's functions can be looked for")


def note(repair: Callable, effect: str) -> None:
    _APPLIED[repair.__name__] = effect
