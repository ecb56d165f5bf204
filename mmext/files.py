"""JSON that is read or refused in one line, and writing that fails before the work or leaves a whole file."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from mmext.errors import UserError


def read_json(path: str | Path, kind: str, advice: str = '') -> object:
    """Reads JSON.

    Args:
        path: of the file.
        kind: what it should be, for the message where there is none.
        advice: ends that message.

    Raises:
        UserError: the file is missing, can't be read, or is not JSON.
    """
    try:
        return json.loads(Path(path).read_bytes())
    except FileNotFoundError:
        raise UserError(f'{path}: no such {kind}{advice}') from None
    except OSError as error:
        raise UserError(f'{path}: {error.strerror}') from None
    except (ValueError, RecursionError) as error:
        raise UserError(f'{path}: not JSON, or cut short ({error})') from None


def require_writable(folder: str | Path, option: str = '--work-dir') -> None:
    """Makes a folder and tries to write into it; UserError says why not, and which option names another."""
    try:
        os.makedirs(folder, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(f"{folder}: can't write there ({error.strerror}); choose another with {option}") from None


def require_target(path: str | Path, option: str = '--out') -> None:
    """A file can be written at this path, whose folder is made. UserError says why not."""
    if Path(path).is_dir():
        raise UserError(f"{path}: can't write there (it is a folder); give a file name with {option}")
    require_writable(Path(path).parent, option)


def write_json(path: str | Path, content: dict) -> None:
    """Writes JSON, whole or not at all."""
    write_whole(path, lambda temporary: temporary.write_text(json.dumps(content, indent=1) + '\n'))


def write_whole(path: str | Path, write: Callable[[Path], object]) -> None:
    """Has ``write`` write a file beside ``path``, and puts it there when it is whole."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f'.{path.name}.part')
    try:
        write(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
