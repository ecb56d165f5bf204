"""Residual backbones of four papers for mmdet and mmaction2. A config only has to import this package to use them.

The import repairs the installed stack (see ``mmext.compat``) and makes the ``mmext.`` names known to OpenMMLab's
registries. It imports none of the stack's libraries: repairs run, and names are registered, when somebody imports the
modules concerned, at once where they are imported already. Reading videos or a command's ``--help`` waits for no torch.
"""

import sys
from types import ModuleType
from typing import TYPE_CHECKING

from mmext import compat
from mmext.imports import ImportHooks

compat.install()

from mmext.errors import UserError  # noqa: E402  the repairs must be installed first

if TYPE_CHECKING:
    from mmext.backbones import create_backbone, list_backbones
    from mmext.classification import create_classifier
    from mmext.prediction.load import load
    from mmext.pretrained import list_pretrained

__version__ = '0.2.0'
__all__ = ['UserError', 'create_backbone', 'create_classifier', 'list_backbones', 'list_pretrained', 'load']


def _register_names(mmengine_registry: ModuleType) -> None:
    from mmext import registry  # noqa: F401


_registration = ImportHooks()
_registration.after('mmengine.registry', _register_names)
sys.meta_path.insert(0, _registration)


def __dir__() -> list[str]:
    """Lists the public names, including those that are imported lazily."""
    return sorted({*__all__, *(name for name in globals() if name.startswith('__'))})


def __getattr__(name: str):
    """Imports the functions that create networks and load models when they are first used."""
    if name in ('create_backbone', 'list_backbones'):
        from mmext import backbones
        return getattr(backbones, name)
    if name == 'create_classifier':
        from mmext.classification import create_classifier
        return create_classifier
    if name == 'list_pretrained':
        from mmext.pretrained import list_pretrained
        return list_pretrained
    if name == 'load':
        from mmext.prediction.load import load
        return load
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
