"""Weights that are published with the package: networks that mmext has trained in full, each with a card.

A file is called after its network and its data set: ``rir32.cifar10.safetensors`` has the weights of a whole
classifier, its classes and what inference needs of its config, and ``rir32.cifar10.md`` says how it was trained.
"""

from __future__ import annotations

from fnmatch import fnmatch
from pathlib import Path

from mmext.errors import UserError, nearest, shorten

FOLDER = Path(__file__).parent
SUFFIX = '.safetensors'
SCHEME = 'mmext://'


def list_pretrained(pattern: str = '*') -> list[str]:
    """Lists the published weights as timm does, 'network.dataset': ``['rir32.cifar10', ...]``.

    Each name loads a classifier with ``mmext.create_classifier('rir32', pretrained='cifar10')``, and as
    ``mmext://rir32.cifar10`` it stands for the file wherever a checkpoint is asked for: in ``mmext.load``, in the
    commands, and in the ``init_cfg`` of a config.

    Args:
        pattern: Shell pattern that the names must match, such as '*.cifar10'.
    """
    return sorted(path.stem for path in FOLDER.glob(f'*{SUFFIX}') if fnmatch(path.stem, pattern))


def pretrained_file(name: str) -> Path:
    """The file with the weights of this name. Raises UserError if there are none of it."""
    known = list_pretrained()
    if name not in known:
        raise UserError(f'{SCHEME}{name}: there are no such weights{nearest(name, known)} (mmext.list_pretrained() '
                        'lists all names)')
    return FOLDER / f'{name}{SUFFIX}'


def choose_weights(name: str, pretrained: bool | str) -> tuple[str, str | None]:
    """The network that a name stands for, and the published weights that are asked for with it.

    Args:
        name: The name of a network, which can end with the data set of its weights: 'rir32' or 'rir32.cifar10'.
        pretrained: The data set of the weights; or True for that of ``name``, or for the only weights there are.

    Returns:
        The name of the network, and that of the weights, one of ``list_pretrained()``; None without ``pretrained``.

    Raises:
        UserError: There are no such weights, or several that fit.
    """
    network, _, named = name.partition('.')
    if not pretrained:
        return network, None
    if isinstance(pretrained, str) and named and named != pretrained:
        raise UserError(f'{name!r} and pretrained={pretrained!r} name two data sets; give one of them')
    wanted = pretrained if isinstance(pretrained, str) else named
    fitting = list_pretrained(f'{network}.{wanted or "*"}')
    if len(fitting) == 1:
        return network, fitting[0]
    others = list_pretrained(f'{network}.*')
    there = f'there are {shorten(others)}' if others else 'there are none of this network'
    raise UserError(f'{name}, pretrained={pretrained!r}: no such weights; {there} (mmext.list_pretrained() lists '
                    'all names); checkpoint_path=... loads a file or a URL, such as one that convert-weights made')
