"""The two file formats of checkpoints: that of ``torch.save``, and safetensors for files that end with its suffix."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor
from torch.serialization import MAP_LOCATION

from mmext.checkpoints.unpickle import load
from mmext.errors import UserError
from mmext.files import write_bytes, write_whole

SAFETENSORS = '.safetensors'
KEY = 'mmext_model'  # of what ``stored.pack`` returns: in a checkpoint's meta, and in the notes of a safetensors file


def read_file(path: Path, map_location: MAP_LOCATION = 'cpu') -> object:
    """Reads a local file and verifies the checksums that it contains.

    Raises:
        UserError: The file is damaged, or contains something that could run code.
        Exception: The file has another format; the type of exception depends on its bytes.
    """
    if path.suffix.lower() == SAFETENSORS:
        return read_safetensors(path, map_location)
    require_whole_archive(path)
    return load(path, map_location)


def require_whole_archive(path: Path) -> None:
    """Raises UserError if a record of ``torch.save``'s zip archive does not match its CRC-32.

    torch writes these checksums but does not verify them. Files in older formats, or written without checksums, pass.
    """
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        if not any(record.CRC for record in archive.infolist()):
            return
        bad = archive.testzip()
    if bad:
        raise UserError(f'{path}: damaged, its part {bad} does not match its checksum; copy or download it again')


def read_safetensors(path: Path, map_location: MAP_LOCATION) -> dict:
    """Reads a safetensors file into a dict with the tensors under ``state_dict`` and any classes under ``meta``.

    Raises:
        UserError: The tensors do not match the checksum of ``write_weights``, or ``map_location`` is not a device.
    """
    from safetensors import safe_open

    with safe_open(path, framework='pt') as file:
        names = file.keys()
        weights = {name: file.get_tensor(name) for name in names}
        notes = file.metadata() or {}
    if 'sha256' in notes and notes['sha256'] != digest_of(weights):
        raise UserError(f'{path}: damaged, its tensors do not match its checksum; copy or download it again')
    if map_location not in (None, 'cpu'):
        if not isinstance(map_location, (str, torch.device)):
            raise UserError(f'{path}: the map_location of a safetensors file must be a device')
        weights = {name: value.to(map_location) for name, value in weights.items()}
    meta: dict = {}
    if 'classes' in notes:
        meta['dataset_meta'] = dict(classes=json.loads(notes['classes']))
    if KEY in notes:
        meta[KEY] = notes[KEY]
    return dict(state_dict=weights, **dict(meta=meta) if meta else {})


def write_weights(path: str | Path, weights: Mapping[str, Tensor], *, bare: bool = False,
                  classes: Iterable[str] = (), stored: str | None = None) -> None:
    """Writes weights atomically: as safetensors if the file name ends with ``.safetensors``, else with ``torch.save``.

    Args:
        path: The file to write.
        weights: The tensors by name.
        bare: Write the weights without a surrounding ``state_dict``, as other libraries expect. safetensors files never
            have one.
        classes: Names of the classes, to be stored with the weights.
        stored: What inference needs of the config, see ``stored.pack``, to be stored with the weights.
    """
    classes = list(classes)
    if Path(path).suffix.lower() == SAFETENSORS:
        from safetensors.torch import save

        weights = {name: value.detach().cpu().contiguous().clone() for name, value in weights.items()}
        notes = dict(format='pt', sha256=digest_of(weights), **dict(classes=json.dumps(classes)) if classes else {},
                     **{KEY: stored} if stored else {})
        packed = save(weights, notes)
        write_bytes(path, packed)
        return
    meta = dict(**dict(dataset_meta=dict(classes=classes)) if classes else {}, **{KEY: stored} if stored else {})
    content = dict(state_dict=weights, **dict(meta=meta) if meta else {})

    def write(temporary: Path) -> None:
        with open(temporary, 'wb') as file:
            torch.save(weights if bare else content, file)

    write_whole(path, write)


def digest_of(weights: Mapping[str, Tensor]) -> str:
    """The SHA-256, as hexadecimal text, of all names and tensors in the order of the names."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(name.encode())
        digest.update(weights[name].contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def weights_of(checkpoint: dict) -> dict[str, Tensor]:
    """The tensors of a checkpoint by name, without the prefix ``module.`` of data-parallel training."""
    for key in ('state_dict', 'model'):
        if isinstance(checkpoint.get(key), dict):
            checkpoint = checkpoint[key]
    return {name.removeprefix('module.'): value for name, value in checkpoint.items()
            if isinstance(name, str) and isinstance(value, Tensor)}
