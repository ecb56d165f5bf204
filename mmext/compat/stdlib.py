"""Repairs of code that was written for an older Python: names that its standard library no longer has."""

from __future__ import annotations

import importlib.util
import pkgutil
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
