"""Reads text and JSON with errors of one line; writes files atomically."""

from __future__ import annotations

import codecs
import errno
import fcntl
import json
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mmext.errors import DiskFull, UserError, shorten

PART = '.part'  # suffix of the temporary files of write_whole
MARKS = {codecs.BOM_UTF8: 'utf-8-sig', codecs.BOM_UTF32_LE: 'utf-32', codecs.BOM_UTF32_BE: 'utf-32',
         codecs.BOM_UTF16_LE: 'utf-16', codecs.BOM_UTF16_BE: 'utf-16'}  # UTF-32's begins with UTF-16's
NO_INPUTS = ('thumbs.db', 'desktop.ini')  # files that operating systems put into folders


def read_text(path: str | Path, kind: str = 'file', advice: str = '') -> str:
    """Reads a text file in UTF-8, or in the encoding of its byte-order mark (UTF-16, UTF-32). Line endings become \\n.

    Args:
        path: of the file.
        kind: what the file is, for the message if it does not exist.
        advice: is appended to that message.

    Raises:
        UserError: the file does not exist, can't be read, or is not text in such an encoding.
    """
    try:
        content = Path(path).read_bytes()
    except FileNotFoundError:
        raise UserError(f'{path}: no such {kind}{advice}') from None
    except OSError as error:
        raise UserError(f'{path}: {error.strerror}') from None
    encoding = next((name for mark, name in MARKS.items() if content.startswith(mark)), 'utf-8')
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        raise UserError(f'{path}: not text in UTF-8 (byte {error.start} is not); save it as UTF-8') from None
    if '\0' in text:
        raise UserError(f'{path}: not a text file, or UTF-16 without a byte-order mark; save it as UTF-8')
    return text.replace('\r\n', '\n').replace('\r', '\n')


def read_json(path: str | Path, kind: str, advice: str = '') -> object:
    """Reads a JSON file in any encoding that ``read_text`` accepts.

    Args:
        path: of the file.
        kind: what the file is, for the message if it does not exist.
        advice: is appended to that message.

    Raises:
        UserError: the file does not exist, can't be read, or is not JSON.
    """
    try:
        return parse_json(read_text(path, kind, advice))
    except ValueError as error:
        raise UserError(f'{path}: not JSON, or cut short ({error})') from None


def parse_json(text: str) -> object:
    """The value of a JSON text. ValueError if it is not JSON, or nested too deeply."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError('its lists or objects are nested too deeply') from None


def print_left_out(folder: str | Path, names: Iterable[str], what: str = 'videos') -> None:
    """Prints on one line of stderr which files of a folder are ignored because of their suffix.

    Hidden files, and those that operating systems put into folders, are not mentioned.

    Args:
        folder: the folder.
        names: of the files in it that are ignored.
        what: the kind of files that are not ignored.
    """
    names = sorted(name for name in names if not os.path.basename(name).startswith('.')
                   and os.path.basename(name).lower() not in NO_INPUTS)
    if names:
        print(f'{folder}: left out {len(names)} files whose suffix is not that of {what} ({shorten(names)})',
              file=sys.stderr)


def require_writable(folder: str | Path, option: str = '--work-dir') -> None:
    """Creates a folder and tries to write there. UserError if that fails; it names the ``option`` for it."""
    try:
        os.makedirs(folder, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(f"{folder}: can't write there ({error.strerror}); choose another with {option}") from None


def require_target(path: str | Path, option: str = '--out') -> None:
    """Creates the folder of a file and tries to write into it. UserError if that fails, or the path is a folder."""
    if Path(path).is_dir():
        raise UserError(f"{path}: can't write there (it is a folder); give a file name with {option}")
    require_writable(Path(path).parent, option)


def write_json(path: str | Path, content: object) -> None:
    """Writes JSON with ``write_whole``."""
    write_text(path, json.dumps(content, indent=1) + '\n')


def write_text(path: str | Path, text: str) -> None:
    """Writes text in UTF-8 with ``write_whole``."""
    write_bytes(path, text.encode())


def write_bytes(path: str | Path, content: bytes) -> None:
    """Writes bytes with ``write_whole``."""
    write_whole(path, lambda temporary: temporary.write_bytes(content))


def write_whole(path: str | Path, write: Callable[[Path], object]) -> None:
    """Writes a file atomically: ``path`` holds either all of the new content or what was there before.

    ``write`` writes a temporary file in the same folder, which takes the name ``path`` only when all of its bytes are
    on the disk. So neither a killed process nor a power failure leaves half a file.

    If ``path`` is a symbolic link, its target is replaced and the link stays. A file that is replaced keeps its
    permissions. A device or a pipe is written to directly.

    Args:
        path: of the file; its folder is created if necessary.
        write: is called with the path of the temporary file, which exists and is empty, and writes it.

    Raises:
        DiskFull: there is no space left.
    """
    path = Path(os.path.realpath(path))
    with disk_full_told(path):
        if path.exists() and not path.is_file():
            write(path)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f'.{path.name[:40]}.', suffix=PART, dir=path.parent)
        temporary = Path(name)
        try:
            lock(handle)  # so that remove_leftovers of another process leaves it alone
            write(temporary)
            os.fsync(handle)
            temporary.chmod(stat.S_IMODE(path.stat().st_mode) if path.exists() else 0o666 & ~umask())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
            os.close(handle)


@contextmanager
def disk_full_told(path: str | Path) -> Iterator[None]:
    """Raises ``DiskFull``, which names the file, in place of whatever a library raises when the disk is full."""
    try:
        yield
    except Exception as error:
        if isinstance(error, UserError) or not (is_disk_full(error) or nothing_free(path)):
            raise
        raise DiskFull(path) from None


def is_disk_full(error: BaseException | None) -> bool:
    """Whether an error or one of its causes means that the disk is full, or a quota or file size limit is reached."""
    return error is not None and (getattr(error, 'errno', None) in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
                                  or is_disk_full(error.__cause__ or error.__context__))


def nothing_free(path: str | Path) -> bool:
    """Whether the disk of a file has less than 4 KiB free. Some libraries do not pass on the error of the system."""
    try:
        return shutil.disk_usage(Path(path).parent).free < 4096
    except OSError:
        return False


def remove_leftovers(folder: str | Path) -> tuple[int, int]:
    """Removes temporary files that killed processes have left in a folder, but none that is still being written.

    Returns:
        The number of files, and of their bytes.
    """
    count = size = 0
    for path in Path(folder).glob(f'.*{PART}'):
        try:
            with open(path, 'rb+') as file:
                if lock(file.fileno()):
                    size += path.stat().st_size
                    path.unlink()
                    count += 1
        except OSError:  # it has been removed meanwhile, is a folder, or belongs to another user
            continue
    return count, size


def lock(handle: int) -> bool:
    """Locks an open file until it is closed or the process ends; False if another process has locked it."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def umask() -> int:
    """The umask of this process: the permissions that new files do not get."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
