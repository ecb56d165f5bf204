"""Repairs of mmengine's packages, files and processes."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from mmext.compat.notes import note


def find_packages_without_pkg_resources(module: ModuleType) -> None:
    """No module named 'pkg_resources', at any config with an ``mmdet::`` base: setuptools 82 has dropped it.

    https://github.com/open-mmlab/mmengine/pull/1676, merged and not released. Neither does pkg_resources find the files
    of a package that ``pip install -e`` has installed.
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
        for name in (package, package2module(package)):
            path = str(distribution.locate_file(name))
            if os.path.exists(path):
                return path
        spec = importlib.util.find_spec(name)  # installed with pip install -e: the files are elsewhere
        return os.path.dirname(spec.origin) if spec and spec.origin else str(distribution.locate_file(name))

    def package2module(package: str) -> str:
        names = (importlib.metadata.distribution(package).read_text('top_level.txt') or '').split()
        if not names:
            raise ValueError(f'can not infer the module name of {package}')
        return names[0]

    for function in (is_installed, get_installed_path, package2module):
        function.__doc__ = getattr(module, function.__name__).__doc__
        put_everywhere(module, function)
    note(find_packages_without_pkg_resources, 'packages are found without setuptools')


def put_everywhere(module: ModuleType, function: Callable) -> None:
    """Puts a function in its module, and in those of mmengine that have copied its name from there already."""
    old = getattr(module, function.__name__)
    setattr(module, function.__name__, function)
    for name, other in list(sys.modules.items()):
        if name.startswith('mmengine') and vars(other).get(function.__name__) is old:
            setattr(other, function.__name__, function)


def know_the_standard_library(module: ModuleType) -> None:
    """RuntimeError without a text, at ``osp.join(...)`` in a config with ``read_base()``: os is taken for a library.

    mmengine tells the standard library by where it lies. In a virtual environment that is elsewhere, and of a module
    that is part of the interpreter, such as os since Python 3.11, it is nowhere. Names it does not know are looked for
    in Python's own list. No issue of its own is known.
    """
    by_place = module._is_builtin_module
    if by_place('os') and by_place('json'):
        return

    def _is_builtin_module(module_name: str) -> bool:
        return module_name.partition('.')[0] in sys.stdlib_module_names or by_place(module_name)

    vars(module)['_is_builtin_module'] = _is_builtin_module
    note(know_the_standard_library, 'configs with read_base() may call the standard library')


def take_configs_of_this_package(module: ModuleType) -> None:
    """ValueError at ``_base_ = 'mmext::ssd300_iresnet50_coco.py'``, and at ``get_config('mmext::...')``.

    mmengine has a fixed list of the packages whose configs it takes, and wants a folder in each path. No issue of its
    own is known.
    """
    if 'mmext' not in module.MODULE2PACKAGE:
        module.MODULE2PACKAGE['mmext'] = 'mmext'
    split = module._get_package_and_cfg_path
    try:
        split('mmext::config.py')
        return
    except ValueError:
        pass

    def _get_package_and_cfg_path(cfg_path: str) -> tuple[str, str]:
        package, separator, path = cfg_path.partition('::')
        if package == 'mmext' and separator and path and '::' not in path:
            return package, path
        return split(cfg_path)

    put_everywhere(module, _get_package_and_cfg_path)
    note(take_configs_of_this_package, "configs of mmext are found by 'mmext::' and their names")


def keep_the_scope_of_configs(module: ModuleType) -> None:
    """'SSD is not in the mmext::model registry', at a config whose base is ``mmext::ssd300_iresnet50_coco.py``.

    mmengine looks for the types of a package's config in the package's own registries first, and in no sibling's. Our
    configs name mmdet's and mmaction2's components through ``default_scope``, as a config outside a package does.
    """
    config = module.Config
    find = config._get_cfg_path
    if find.__name__ != '_get_cfg_path':
        return

    def of_package_or_folder(cfg_path: str, filename: str) -> tuple[str, str | None]:
        path, scope = find(cfg_path, filename)
        return path, None if scope == 'mmext' else scope

    config._get_cfg_path = staticmethod(of_package_or_folder)
    note(keep_the_scope_of_configs, "bases by 'mmext::' keep their default_scope")


def write_files_whole_or_not_at_all(module: ModuleType) -> None:
    """A killed save leaves a truncated .pth, 'failed finding central directory'.

    https://github.com/open-mmlab/mmdetection/issues/4835. The bytes go to a temporary name beside the file, which is
    renamed when they are all on disk.
    """
    backend = module.LocalBackend
    if 'replace' in backend.put.__code__.co_names:
        return
    from mmext.files import write_whole

    def put(self, obj: bytes, filepath: str | os.PathLike) -> None:
        write_whole(Path(filepath), lambda temporary: temporary.write_bytes(obj), durable=True)

    def put_text(self, obj: str, filepath: str | os.PathLike, encoding: str = 'utf-8') -> None:
        self.put(obj.encode(encoding), filepath)

    for function in (put, put_text):
        function.__doc__ = getattr(backend, function.__name__).__doc__
        setattr(backend, function.__name__, function)
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

    vars(module)['_init_dist_pytorch'] = init_dist_pytorch
    note(start_processes_without_a_gpu, 'several processes train on the processor')
