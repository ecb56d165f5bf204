"""Residual backbones of four papers for mmdet and mmaction2. A config only has to import this package to use them.

The import repairs the installed libraries (see ``mmext.compat``) and registers the ``mmext.`` names in OpenMMLab's
registries. It imports neither mmdet nor mmaction2.
"""

from mmext import compat

compat.install()

from mmext.errors import UserError  # noqa: E402  the repairs must be installed first

__version__ = '0.2.0'
__all__ = ['UserError', 'create_backbone', 'create_classifier', 'list_backbones']

if compat.installed('torch') and compat.installed('mmengine'):  # otherwise only mmext.doctor is usable
    from mmext import registry  # noqa: F401


def __dir__() -> list[str]:
    """Lists the public names, including those that are imported lazily."""
    return sorted({*globals(), *__all__})


def __getattr__(name: str):
    """Imports the functions that create networks when they are first used."""
    if name in ('create_backbone', 'list_backbones'):
        from mmext import backbones
        return getattr(backbones, name)
    if name == 'create_classifier':
        from mmext.classification import create_classifier
        return create_classifier
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
