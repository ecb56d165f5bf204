"""What mmaction2 imports and its wheel or its requirements lack."""

from __future__ import annotations

import importlib.metadata
from types import ModuleType

from mmext.compat.notes import note


def stand_in_for_importlib_metadata(module: ModuleType) -> None:
    """No module named 'importlib_metadata': mmaction2 uses it and does not declare it.

    No issue of its own is known. The standard library has had the same since Python 3.8.
    """
    vars(module).update({name: value for name, value in vars(importlib.metadata).items() if not name.startswith('__')})
    note(stand_in_for_importlib_metadata, 'the standard library stands in')


def stand_in_for_drn_package(module: ModuleType) -> None:
    """No module named 'mmaction.models.localizers.drn': mmaction2's wheel lacks the folder.

    https://github.com/open-mmlab/mmaction2/issues/2714
    """
    module.__path__ = []


def stand_in_for_drn(module: ModuleType) -> None:
    """The DRN localizer's place is kept, and who builds one is told.

    https://github.com/open-mmlab/mmaction2/issues/2714
    """

    class DRN:
        """Absent from the installed mmaction2."""

        def __init__(self, *args, **kwargs) -> None:
            raise ImportError('the installed mmaction2 has no DRN localizer: its wheel lacks that folder')

    vars(module)['DRN'] = DRN
    note(stand_in_for_drn, 'mmaction2 imports without its DRN localizer')


def stand_in_for_functions(module: ModuleType) -> None:
    """No module named 'mmaction.mmengine', at any look for a function: mmaction2's registry names that place for them.

    Nobody has reported it; https://github.com/open-mmlab/mmsegmentation/pull/2829 mends the same in mmsegmentation.
    """
    note(stand_in_for_functions, "mmaction2's functions can be looked for")
