"""Writing that fails before the work, or leaves a whole file."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

from mmext.errors import UserError


def require_writable(folder: str | Path, option: str = '--work-dir') -> None:
    """Makes a folder and tries to write into it; UserError says why not, and which option names another."""
    try:
        os.makedirs(folder, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(f"{folder}: can't write there ({error.strerror}); choose another with {option}") from None


def write_json(path: str | Path, content: dict) -> None:
    """Writes a file whole or not at all."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f'.{path.name}.part')
    temporary.write_text(json.dumps(content, indent=1) + '\n')
    os.replace(temporary, path)
