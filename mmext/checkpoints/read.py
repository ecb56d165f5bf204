"""The reader that all checkpoints go through."""

from __future__ import annotations

import pickle
from pathlib import Path

from torch.serialization import MAP_LOCATION

from mmext.checkpoints.finite import first_not_finite
from mmext.checkpoints.format import read_file
from mmext.checkpoints.source import find_source
from mmext.errors import UserError


def read_checkpoint(source: str | Path, map_location: MAP_LOCATION = 'cpu') -> dict:
    """Reads a checkpoint without running any code from it.

    Args:
        source: A path or a URL (see ``source.find_source``) of a file written by ``torch.save``, or of a safetensors
            file with that suffix.
        map_location: Where to put the tensors, as for ``torch.load``. For safetensors files it must be a device.

    Returns:
        The content of the file; for safetensors files a dict with ``state_dict``.

    Raises:
        UserError: The file is missing, damaged or not a checkpoint, or contains something that could run code or a
            number that is not finite.
    """
    path = find_source(source)
    try:
        content = read_file(path, map_location)
    except UserError as error:
        raise UserError(str(error).replace(str(path), str(source), 1)) from None
    except Exception as error:  # damaged bytes can raise any exception
        reason = '' if isinstance(error, pickle.UnpicklingError) else f' ({" ".join(str(error).split())[:160]})'
        raise UserError(f'{source}: not a readable checkpoint, truncated or of another kind{reason}') from None
    if not isinstance(content, dict):
        raise UserError(f'{source}: holds a {type(content).__name__}, not a dict of weights')
    bad = first_not_finite(content)
    if bad:
        raise UserError(f'{source}: {bad} holds a number that is not finite; the training has diverged')
    return content
