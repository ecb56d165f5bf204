"""Repairs of code that was written for an older Python: names that its standard library no longer has."""

from __future__ import annotations

import functools
import importlib.util
import pkgutil
import sys
from types import ModuleType

from mmext.compat.notes import note


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
