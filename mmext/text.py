"""Names that come from files: which ones are accepted, and how they are printed on screens and in Markdown."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from mmext.errors import UserError

UNPRINTABLE = ('Cc', 'Cs', 'Zl', 'Zp')  # control characters, lone surrogates, line and paragraph separators


def require_names(names: Iterable[object], source: object) -> None:
    """Raises a UserError if the name of a class is not text on one line.

    Any other character is allowed: each kind of output escapes what it has to.
    """
    for name in names:
        if not isinstance(name, str) or not name.strip():
            raise UserError(f'{source}: the name {name!r} of a class is not text; put it into quotes')
        if name != printable(name):
            raise UserError(f'{source}: the name {ascii(name)} of a class holds a line break, a control character or '
                            'a lone surrogate; rename the class')


def printable(text: str) -> str:
    r"""Text on one line that can be encoded in UTF-8: a line break becomes \n, a lone surrogate \udc80."""
    return ''.join(ascii(character)[1:-1] if unicodedata.category(character) in UNPRINTABLE else character
                   for character in text)


def cut(name: str, limit: int = 18) -> str:
    """A name, shortened to ``limit`` characters."""
    return name if len(name) <= limit else name[:limit - 1] + '…'


def markdown_text(text: str) -> str:
    """Text escaped for Markdown, except ``|``, which only matters in tables."""
    return re.sub(r'([\\`*\[\]<>&~$]|(?<![^\W_])_|_(?![^\W_]))', r'\\\1', printable(text))


def markdown_row(cells: Iterable[object]) -> str:
    """One row of a Markdown table. The cells must be Markdown already, with ``|`` escaped."""
    return f'| {" | ".join(map(str, cells))} |'


def require_inside(root: str | Path, folder: str | Path, names: Iterable[str], source: object) -> None:
    """Raises a UserError if a file name in annotations leads out of the data root.

    ``../train/x.jpg`` may leave its folder but not the root, and an absolute path must be inside the root. Symbolic
    links inside the root are the user's own, and are followed.

    Args:
        root: of the data; if it is empty, ``folder``.
        folder: that the names start from.
        names: of files or folders.
        source: the annotation file, for the message.
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
