"""Checkpoints from the web, kept by their whole URL."""

from __future__ import annotations

import fcntl
import hashlib
import http.client
import os
import re
import urllib.error
import urllib.request
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from tqdm import tqdm

from mmext.errors import UserError
from mmext.files import remove_leftovers, write_whole

HASH = re.compile(r'-([0-9a-f]{8,64})\.[^.]+$')  # torchvision's and OpenMMLab's names: resnet50-0676ba61.pth
CHUNK = 1 << 20
TIMEOUT = 60  # seconds without a byte


def cache_folder() -> Path:
    """Where downloads are kept: ``$MMEXT_CACHE``, else ``mmext`` in ``$XDG_CACHE_HOME`` or ``~/.cache``."""
    default = Path(os.environ.get('XDG_CACHE_HOME') or '~/.cache', 'mmext')
    return Path(os.environ.get('MMEXT_CACHE') or default).expanduser()


def cached_path(url: str) -> Path:
    """The file that a URL's download is kept in: its own name behind a digest of the whole URL."""
    name = re.sub(r'[^\w.-]', '_', PurePosixPath(unquote(urlsplit(url).path)).name)[-80:] or 'checkpoint'
    return cache_folder() / 'checkpoints' / f'{hashlib.sha256(url.encode()).hexdigest()[:16]}-{name}'


def download(url: str) -> Path:
    """A local file with what the URL has; what was downloaded before is taken from the cache.

    The file is put into the cache when it is whole: as long as the server said, and with the SHA-256 that its name
    begins (``resnet50-0676ba61.pth``), where it names one.

    Raises:
        UserError: the server does not have it or does not answer, or what arrived is not whole.
    """
    path = cached_path(url)
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path.parent / '.lock', 'w') as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)  # of several processes one downloads, and the others wait for it
        if not path.is_file():
            remove_leftovers(path.parent)
            write_whole(path, lambda temporary: fetch(url, temporary))
    return path


def fetch(url: str, path: Path) -> None:
    """Writes what a URL has into a file. UserError where that is not whole."""
    digest, size = hashlib.sha256(), 0
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT) as answer:
            announced = answer.headers.get('Content-Length')
            total = int(announced) if announced and announced.isdigit() else None
            with open(path, 'wb') as file, tqdm(total=total, desc=url.rpartition('/')[2], unit='B', unit_scale=True,
                                                disable=None, leave=False) as bar:
                while chunk := answer.read(CHUNK):
                    file.write(chunk)
                    digest.update(chunk)
                    size += len(chunk)
                    bar.update(len(chunk))
    except urllib.error.HTTPError as error:
        raise UserError(f'{url}: the server answers {error.code} {error.reason}') from None
    except (urllib.error.URLError, TimeoutError, ConnectionError, http.client.HTTPException, ValueError) as error:
        raise UserError(f'{url}: could not be downloaded ({getattr(error, "reason", error)}); download it by other '
                        'means, and give the path of the file') from None
    if total is not None and size != total:
        raise UserError(f'{url}: {size} of {total} bytes arrived; try again')
    named = HASH.search(urlsplit(url).path)
    if named and not digest.hexdigest().startswith(named[1]):
        raise UserError(f'{url}: what arrived has the SHA-256 {digest.hexdigest()[:len(named[1])]}, and its name says '
                        f'{named[1]}; it is damaged, or another file')
