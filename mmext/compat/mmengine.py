"""Repairs of mmengine: lookup of packages and configs, writing of files, and distributed processes."""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import os
import sys
from collections.abc import Callable
from types import ModuleType

from mmext.compat.notes import note
from mmext.errors import UserError


def find_packages_without_pkg_resources(module: ModuleType) -> None:
    """No module named 'pkg_resources', at any config with an ``mmdet::`` base: setuptools 82 has removed it.

    https://github.com/open-mmlab/mmengine/pull/1676, merged but not released. pkg_resources also does not find the
    files of a package installed with ``pip install -e``.
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
                raise RuntimeError(f'{package} is a namespace package, it has no single location') from None
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
        replace_everywhere(module, function)
    note(find_packages_without_pkg_resources, 'packages are found without setuptools')


def replace_everywhere(module: ModuleType, function: Callable) -> None:
    """Replaces a function of a module, there and in all modules of mmengine that have imported it already."""
    old = getattr(module, function.__name__)
    setattr(module, function.__name__, function)
    for name, other in list(sys.modules.items()):
        if name.startswith('mmengine') and vars(other).get(function.__name__) is old:
            setattr(other, function.__name__, function)


def recognize_standard_library(module: ModuleType) -> None:
    """RuntimeError without a message, at ``osp.join(...)`` in a config with ``read_base()``: os counts as third-party.

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
    note(recognize_standard_library, 'configs with read_base() may call the standard library')


def accept_mmext_configs(module: ModuleType) -> None:
    """ValueError at ``_base_ = 'mmext::ssd300_iresnet50_coco.py'``, and at ``get_config('mmext::...')``.

    mmengine has a fixed list of packages whose configs can be used this way, and requires a folder in each path. No
    issue is known.
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

    replace_everywhere(module, _get_package_and_cfg_path)
    note(accept_mmext_configs, "configs of mmext are found as 'mmext::<name>'")


def keep_default_scope(module: ModuleType) -> None:
    """'SSD is not in the mmext::model registry', at a config whose base is ``mmext::ssd300_iresnet50_coco.py``.

    mmengine searches the types in a package's config in that package's registries, not in those of its siblings. Our
    configs use the components of mmdet and mmaction2 through ``default_scope``, as configs outside a package do.
    """
    config = module.Config
    find = config._get_cfg_path
    if find.__name__ != '_get_cfg_path':
        return

    def get_path_without_scope(cfg_path: str, filename: str) -> tuple[str, str | None]:
        path, scope = find(cfg_path, filename)
        return path, None if scope == 'mmext' else scope

    config._get_cfg_path = staticmethod(get_path_without_scope)
    note(keep_default_scope, "bases from 'mmext::' keep their default_scope")


def build_mmext_models(module: ModuleType) -> None:
    """No module named 'mmext.utils', at ``get_model('mmext::ssd300_iresnet50_coco.py')``.

    mmengine searches the types of a package's config in that package's registries, after calling the function
    ``register_all_modules`` of its module ``utils``. The types of our configs are found by their ``default_scope``, see
    ``keep_default_scope``. No issue is known.
    """
    original = module.get_model
    if 'import_module' not in original.__code__.co_names:
        return

    def get_model_by_scope(cfg_path: str, pretrained: bool = False, **kwargs: object) -> object:
        if cfg_path.partition('::')[0] != 'mmext':
            return original(cfg_path, pretrained, **kwargs)
        if pretrained:
            raise UserError(f'{cfg_path}: no trained weights are published for it; leave out pretrained=True, and load '
                            'the weights from a file')
        config = module.get_config(cfg_path)
        with module.DefaultScope.overwrite_default_scope(config.get('default_scope') or 'mmengine'):
            return module.MODELS.build(config.model, default_args=kwargs)

    get_model_by_scope.__doc__ = original.__doc__
    for place in (module, sys.modules.get('mmengine.hub')):
        if place is not None:
            vars(place)['get_model'] = get_model_by_scope
    note(build_mmext_models, "get_model builds the models of 'mmext::'")


def find_named_checkpoints(module: ModuleType) -> None:
    """'epoch_1.pth: no such checkpoint', where a training with our CheckpointHook is resumed by mmdet's tools/train.py.

    mmengine writes the whole path of the newest checkpoint into ``last_checkpoint``, which is wrong after the folder
    was moved, and reads it as it is. Ours writes the name. With the repair, what is not found is looked for by its name
    in the folder. No issue is known.
    """
    original = module.find_latest_checkpoint
    if 'basename' in original.__code__.co_names:
        return

    def find_latest_checkpoint(path: str) -> str | None:
        found = original(path)
        inside = os.path.join(path, os.path.basename(found)) if found else ''
        return inside if found and not os.path.exists(found) and os.path.exists(inside) else found

    find_latest_checkpoint.__doc__ = original.__doc__
    replace_everywhere(module, find_latest_checkpoint)
    note(find_named_checkpoints, 'last_checkpoint is looked for in its folder')


def cache_config_layout(module: ModuleType) -> None:
    """A start that takes a second longer, because yapf formats the same config up to four times.

    For the log, for the backends of the visualizer and for the work dir. No upstream issue is known.
    """
    format_code = module.FormatCode
    if hasattr(format_code, 'cache_info'):
        return

    @functools.lru_cache(maxsize=4)
    def cached(text: str, style: tuple, options: tuple) -> tuple:
        return format_code(text, style_config=dict(style), **dict(options))

    def FormatCode(text: str, style_config: dict, **options: object) -> tuple:
        return cached(text, tuple(style_config.items()), tuple(options.items()))

    FormatCode.cache_info = cached.cache_info  # pyright: ignore[reportFunctionMemberAccess]
    setattr(module, FormatCode.__name__, FormatCode)
    note(cache_config_layout, 'a config is formatted once')


def write_files_atomically(module: ModuleType) -> None:
    """A killed save leaves a truncated .pth, 'failed finding central directory'.

    https://github.com/open-mmlab/mmdetection/issues/4835. The repair writes to a temporary file in the same folder and
    renames it once all bytes are on disk.
    """
    backend = module.LocalBackend
    if 'replace' in backend.put.__code__.co_names:
        return
    from mmext.files import write_bytes

    def put(self, obj: bytes, filepath: str | os.PathLike) -> None:
        write_bytes(os.fspath(filepath), obj)

    def put_text(self, obj: str, filepath: str | os.PathLike, encoding: str = 'utf-8') -> None:
        self.put(obj.encode(encoding), filepath)

    for function in (put, put_text):
        function.__doc__ = getattr(backend, function.__name__).__doc__
        setattr(backend, function.__name__, function)
    note(write_files_atomically, 'a killed save keeps the previous file')


def init_processes_without_gpu(module: ModuleType) -> None:
    """init_dist calls torch.cuda.set_device, which a torch without CUDA does not have.

    Since https://github.com/open-mmlab/mmengine/pull/973; no issue is known.
    """
    import torch

    original = module._init_dist_pytorch
    if torch.cuda.is_available() or 'set_device' not in original.__code__.co_names:
        return

    def init_dist_pytorch(backend: str, init_backend: str = 'torch', **kwargs) -> None:
        torch.distributed.init_process_group(backend='gloo', **kwargs)

    vars(module)['_init_dist_pytorch'] = init_dist_pytorch
    note(init_processes_without_gpu, 'several processes can train on the CPU')
