"""Import hooks: code that runs when another module is imported, and stand-ins for missing modules."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import ModuleType


class ImportHooks(importlib.abc.MetaPathFinder):
    """Runs functions after, or contexts around, the import of modules; takes effect once it is in ``sys.meta_path``.

    Attributes:
        functions_after: module name -> what runs when that module has been imported, in this order.
        contexts_around: module name -> makes the context that the module is executed in.
    """

    def __init__(self) -> None:
        self.functions_after: dict[str, list[Callable[[ModuleType], object]]] = {}
        self.contexts_around: dict[str, Callable[[], AbstractContextManager]] = {}
        self.busy: set[str] = set()

    def after(self, name: str, function: Callable[[ModuleType], object]) -> None:
        """Calls a function with a module as soon as the module has been imported, at once if it already is."""
        if sys.modules.get(name) is not None:
            function(sys.modules[name])
        else:
            self.functions_after.setdefault(name, []).append(function)

    def around(self, name: str, context: Callable[[], AbstractContextManager]) -> None:
        """Executes a module within a context when it is imported."""
        self.contexts_around[name] = context

    def find_spec(self, name: str, path=None, target=None) -> importlib.machinery.ModuleSpec | None:
        """The spec that the other finders have for a hooked module, with the hooks added to its loader."""
        if name in self.busy or name not in self.functions_after and name not in self.contexts_around:
            return None
        self.busy.add(name)
        try:
            spec = importlib.util.find_spec(name)
        finally:
            self.busy.discard(name)
        if spec is not None and spec.loader is not None:
            self.add_to(spec.loader, name)
        return spec

    def add_to(self, loader: importlib.abc.Loader, name: str) -> None:
        """Has a module's loader call the hooks when it executes the module."""
        execute = loader.exec_module

        def exec_module(module: ModuleType) -> None:
            if name in self.contexts_around:
                with self.contexts_around[name]():
                    execute(module)
            else:
                execute(module)
            for function in self.functions_after.get(name, []):
                function(module)

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
