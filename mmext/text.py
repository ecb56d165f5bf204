"""Names that come from files: checking them, and escaping them for the screen and for Markdown."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from mmext.errors import UserError

UNPRINTABLE = ('Cc', 'Cs', 'Zl', 'Zp')  # control characters, lone surrogates, line and paragraph separators


def require_names(names: Iterable[object], source: object) -> None:
    """Raises UserError if a class name is not text on a single line.

    All other characters are allowed; each output escapes the characters that it has to.

    Args:
        names: The class names.
        source: Where they come from, for the message.
    """
    for name in names:
        if not isinstance(name, str) or not name.strip():
            raise UserError(f'{source}: the name {name!r} of a class is not text; put it into quotes')
        if name != printable(name):
            raise UserError(f'{source}: the name {ascii(name)} of a class holds a line break, a control character or '
                            'a lone surrogate; rename the class')


def printable(text: str) -> str:
    r"""Escapes what can't be printed on one line: a line break becomes \n, a lone surrogate \udc80."""
    return ''.join(ascii(character)[1:-1] if unicodedata.category(character) in UNPRINTABLE else character
                   for character in text)


def markdown_text(text: str) -> str:
    """Escapes text so that Markdown shows it literally; ``|`` is not escaped, which is up to the table around it."""
    return re.sub(r'([\\`*\[\]<>&~$]|(?<![^\W_])_|_(?![^\W_]))', r'\\\1', printable(text))


def require_inside(root: str | Path, folder: str | Path, names: Iterable[str], source: object) -> None:
    """Raises UserError if a file name in annotations leads out of the data root.

    A relative name such as ``../train/x.jpg`` may leave its folder but not the root; an absolute path must be inside
    the root. Symbolic links in the data root are followed, since the user has made them.

    Args:
        root: The data root; if it is empty, ``folder`` is used.
        folder: The folder that relative names start from.
        names: Names of files or folders.
        source: The annotations, for the message.
    """
    root = str(root) or str(folder) or '.'
    roots = {os.path.abspath(root), os.path.realpath(root)}
    for name in names:
        if '..' not in name and not os.path.isabs(name):
            continue
        place = os.path.abspath(os.path.join(folder, name))
        if not any(os.path.commonpath((place, one)) == one for one in roots):
            raise UserError(f'{source}: {printable(name)} leads out of the data root {root}; move or link the file '
                            'into it, or give a data_root that contains all files')
