"""Residual backbones of four papers for mmdet and mmaction2; importing it is all that a config has to do.

The import repairs the installed stack (see ``mmext.compat``) and makes the ``mmext.`` names known to OpenMMLab's
registries. It imports neither mmdet nor mmaction2.
"""

from mmext import compat

compat.install()

from mmext.errors import UserError  # noqa: E402  the repairs come first

__version__ = '0.2.0'
__all__ = ['UserError', 'create_backbone', 'create_classifier', 'list_backbones']

if compat.installed('torch') and compat.installed('mmengine'):  # else mmext.doctor is there to say so
    from mmext import registry  # noqa: F401


def __dir__() -> list[str]:
    """The public names too that are imported at their first use."""
    return sorted({*globals(), *__all__})


def __getattr__(name: str):
    """The networks are imported at their first use."""
    if name in ('create_backbone', 'list_backbones'):
        from mmext import backbones
        return getattr(backbones, name)
    if name == 'create_classifier':
        from mmext.classification import create_classifier
        return create_classifier
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
