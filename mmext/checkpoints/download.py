"""Download of checkpoints into a cache whose key is the full URL."""

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

HASH = re.compile(r'-([0-9a-f]{8,64})\.[^.]+$')  # as in names of torchvision and OpenMMLab: resnet50-0676ba61.pth
CHUNK = 1 << 20  # bytes
TIMEOUT = 60  # seconds without receiving data


def cache_folder() -> Path:
    """The folder for downloads: ``$MMEXT_CACHE``, else ``mmext`` in ``$XDG_CACHE_HOME`` or ``~/.cache``."""
    default = Path(os.environ.get('XDG_CACHE_HOME') or '~/.cache', 'mmext')
    return Path(os.environ.get('MMEXT_CACHE') or default).expanduser()


def cached_path(url: str) -> Path:
    """The cache file of a URL: a digest of the full URL, followed by the file name in the URL."""
    name = re.sub(r'[^\w.-]', '_', PurePosixPath(unquote(urlsplit(url).path)).name)[-80:] or 'checkpoint'
    return cache_folder() / 'checkpoints' / f'{hashlib.sha256(url.encode()).hexdigest()[:16]}-{name}'


def download(url: str) -> Path:
    """Downloads a URL, unless it is in the cache already, and returns the path of the cached file.

    A file enters the cache only if it is complete: its length must be what the server announced, and its SHA-256 must
    begin with the digits in its name (``resnet50-0676ba61.pth``), if there are any.

    Raises:
        UserError: The server does not have the file or does not answer, or the download is incomplete.
    """
    path = cached_path(url)
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path.parent / '.lock', 'w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one of several processes downloads, and the others wait for it
        if not path.is_file():
            remove_leftovers(path.parent)
            write_whole(path, lambda temporary: fetch(url, temporary))
    return path


def fetch(url: str, path: Path) -> None:
    """Downloads a URL into a file. Raises UserError if that fails or the result is incomplete."""
    digest, size = hashlib.sha256(), 0
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT) as response:
            announced = response.headers.get('Content-Length')
            total = int(announced) if announced and announced.isdigit() else None
            with open(path, 'wb') as file, tqdm(total=total, desc=url.rpartition('/')[2], unit='B', unit_scale=True,
                                                disable=None, leave=False) as bar:
                while chunk := response.read(CHUNK):
                    file.write(chunk)
                    digest.update(chunk)
                    size += len(chunk)
                    bar.update(len(chunk))
    except urllib.error.HTTPError as error:
        raise UserError(f'{url}: the server answers {error.code} {error.reason}') from None
    except (urllib.error.URLError, TimeoutError, ConnectionError, http.client.HTTPException, ValueError) as error:
        raise UserError(f'{url}: the download failed ({getattr(error, "reason", error)}); download it by other '
                        'means, and give the path of the file') from None
    if total is not None and size != total:
        raise UserError(f'{url}: received only {size} of {total} bytes; try again')
    named = HASH.search(urlsplit(url).path)
    if named and not digest.hexdigest().startswith(named[1]):
        raise UserError(f'{url}: the SHA-256 of the download begins with {digest.hexdigest()[:len(named[1])]}, but '
                        f'should begin with {named[1]} as in its name; it is damaged, or another file')
