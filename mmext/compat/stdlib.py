"""Repairs of Python's standard library, and of code that needs names which it no longer has."""

from __future__ import annotations

import functools
import importlib.util
import pkgutil
import sys
from types import FrameType, ModuleType

from mmext.compat.notes import note


def find_modules_of_frames(inspect: ModuleType) -> None:
    """A start looks at each folder of the path of each imported module: on a network file system, up to a minute.

    ``inspect.getmodule(frame)`` resolves the links in the paths of all modules to find one by its file. torch does this
    for each operator that it registers, and mmengine for each registry. A frame has the globals of its module, which
    name it; only if they do not does the original search. See https://github.com/python/cpython/issues/92041.
    """
    search = inspect.getmodule
    if 'f_globals' in search.__code__.co_names:
        return

    @functools.wraps(search)
    def getmodule(object, _filename: str | None = None) -> ModuleType | None:
        if isinstance(object, FrameType):
            found = sys.modules.get(object.f_globals.get('__name__', ''))
            if found is not None and getattr(found, '__dict__', None) is object.f_globals:
                return found
        return search(object, _filename)

    vars(inspect)['getmodule'] = getmodule
    note(find_modules_of_frames, 'the module of a frame is found without a look at the files of all modules')


def restore_find_loader(module: ModuleType) -> None:
    """module 'pkgutil' has no attribute 'find_loader': mmcv's and mmengine's search for compiled ops on Python 3.14.

    mmengine searches before it builds an optimizer. No issue is known. ``importlib.util.find_spec``, which Python
    recommends instead, also returns None if there is no such module.
    """
    if hasattr(pkgutil, 'find_loader') or vars(module).get('pkgutil') is not pkgutil:
        return
    stand_in = ModuleType('pkgutil')
    vars(stand_in).update(vars(pkgutil), find_loader=importlib.util.find_spec)
    vars(module)['pkgutil'] = stand_in
    note(restore_find_loader, 'compiled ops are found without pkgutil.find_loader')


def collect_environment_without_distutils(module: ModuleType) -> None:
    """No module named 'distutils', at the start of every run: Python 3.12 has removed it, and setuptools is not there.

    mmengine's ``collect_env`` imports an exception from it, which only Windows can raise. No issue is known. During the
    call, and only then, a stand-in has this exception.
    """
    if importlib.util.find_spec('distutils') is not None:
        return
    collect = module.collect_env

    @functools.wraps(collect)
    def collect_env() -> dict:
        stand_in, errors = ModuleType('distutils'), ModuleType('distutils.errors')
        vars(errors).update(DistutilsPlatformError=type('DistutilsPlatformError', (Exception, ), {}))
        vars(stand_in).update(errors=errors)
        sys.modules['distutils'] = stand_in
        try:
            return collect()
        finally:
            sys.modules.pop('distutils', None)

    vars(module)['collect_env'] = collect_env
    note(collect_environment_without_distutils, 'the environment of a run is described without distutils')
