"""Import hooks: code that runs when another module is imported, and stand-ins for missing modules."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import ModuleType


class RepairFinder(importlib.abc.MetaPathFinder):
    """Runs repairs after, or around, the import of the modules that they repair."""

    def __init__(self) -> None:
        self.repairs_after: dict[str, list[Callable[[ModuleType], None]]] = {}
        self.repairs_around: dict[str, Callable[[], AbstractContextManager]] = {}
        self.busy: set[str] = set()

    def after(self, name: str, repair: Callable[[ModuleType], None]) -> None:
        """Registers a repair to run after the import of a module; runs it now if the module is already imported."""
        if name in sys.modules:
            repair(sys.modules[name])
        else:
            self.repairs_after.setdefault(name, []).append(repair)

    def around(self, name: str, context: Callable[[], AbstractContextManager]) -> None:
        """Registers a context in which a module will be imported."""
        self.repairs_around[name] = context

    def find_spec(self, name: str, path=None, target=None) -> importlib.machinery.ModuleSpec | None:
        """Finds a module that has repairs with the other finders, and makes its loader run the repairs."""
        if name in self.busy or name not in self.repairs_after and name not in self.repairs_around:
            return None
        self.busy.add(name)
        try:
            spec = importlib.util.find_spec(name)
        finally:
            self.busy.discard(name)
        if spec is not None and spec.loader is not None:
            self.repair_on_execution(spec.loader, name)
        return spec

    def repair_on_execution(self, loader: importlib.abc.Loader, name: str) -> None:
        """Makes a loader run the repairs of the module ``name`` when it executes it."""
        execute = loader.exec_module

        def exec_module(module: ModuleType) -> None:
            if name in self.repairs_around:
                with self.repairs_around[name]():
                    execute(module)
            else:
                execute(module)
            for repair in self.repairs_after.get(name, []):
                repair(module)

        loader.exec_module = exec_module


class AbsentModules(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """The last finder: provides stand-ins for modules that no other finder has found.

    Args:
        stand_ins: name of a module -> function that fills the new, empty module.
    """

    def __init__(self, stand_ins: dict[str, Callable[[ModuleType], None]]) -> None:
        self.stand_ins = stand_ins

    def find_spec(self, name: str, path=None, target=None) -> importlib.machinery.ModuleSpec | None:
        """Finds a module that has a stand-in."""
        if name not in self.stand_ins:
            return None
        return importlib.machinery.ModuleSpec(name, self)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> None:
        """Leaves the creation of the module to Python."""
        return None

    def exec_module(self, module: ModuleType) -> None:
        """Fills the module."""
        self.stand_ins[module.__name__](module)
