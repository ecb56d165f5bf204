"""Names that come from files: which ones are taken, and how they go to a screen and into Markdown."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from mmext.errors import UserError

UNPRINTABLE = ('Cc', 'Cs', 'Zl', 'Zp')  # control characters, lone surrogates, breaks of lines and paragraphs


def require_names(names: Iterable[object], source: object) -> None:
    """Raises a UserError where a name of a class is not text that fits on one line.

    What passes may hold any other character: each output escapes what it has to.
    """
    for name in names:
        if not isinstance(name, str) or not name.strip():
            raise UserError(f'{source}: the name {name!r} of a class is not text; put it into quotes')
        if name != printable(name):
            raise UserError(f'{source}: the name {ascii(name)} of a class holds a line break, a control character or '
                            'half a character (a lone surrogate); rename it')


def printable(text: str) -> str:
    r"""Text on one line that any encoding of Unicode takes: a line break becomes \n, a lone surrogate \udc80."""
    return ''.join(ascii(character)[1:-1] if unicodedata.category(character) in UNPRINTABLE else character
                   for character in text)


def markdown_text(text: str) -> str:
    """Text that Markdown shows as it is; ``|`` is left to the table that it stands in."""
    return re.sub(r'([\\`*\[\]<>&~$]|(?<![^\W_])_|_(?![^\W_]))', r'\\\1', printable(text))


def markdown_row(cells: Iterable[object]) -> str:
    """One row of a Markdown table. The cells must be Markdown already, with ``|`` escaped."""
    return f'| {" | ".join(map(str, cells))} |'


def require_inside(root: str | Path, folder: str | Path, names: Iterable[str], source: object) -> None:
    """Raises a UserError where a file's name in annotations leads out of the data root.

    Names are taken as they are written: ``../train/x.jpg`` may leave its folder and not the root; an absolute path
    must lie in the root. Symbolic links in the data root are the user's own, and are followed.

    Args:
        root: of the data; ``folder`` where it is empty.
        folder: that the names start from.
        names: of files or folders.
        source: the annotations.
    """
    root = str(root) or str(folder) or '.'
    roots = {os.path.abspath(root), os.path.realpath(root)}
    for name in names:
        if '..' not in name and not os.path.isabs(name):
            continue
        place = os.path.abspath(os.path.join(folder, name))
        if not any(os.path.commonpath((place, one)) == one for one in roots):
            raise UserError(f'{source}: {printable(name)} leads out of the data root {root}; move it there, link it, '
                            'or give a data_root that holds all files')
