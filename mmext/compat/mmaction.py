"""Stand-ins for modules that mmaction2 imports but its wheel or its requirements lack."""

from __future__ import annotations

import importlib.metadata
from types import ModuleType

from mmext.compat.notes import note


def stand_in_for_importlib_metadata(module: ModuleType) -> None:
    """No module named 'importlib_metadata': mmaction2 imports it but does not declare it as a requirement.

    No issue is known. The standard library has contained the same module since Python 3.8.
    """
    vars(module).update({name: value for name, value in vars(importlib.metadata).items() if not name.startswith('__')})
    note(stand_in_for_importlib_metadata, 'importlib_metadata is replaced by the standard library')


def stand_in_for_drn_package(module: ModuleType) -> None:
    """No module named 'mmaction.models.localizers.drn': the folder is missing from mmaction2's wheel.

    https://github.com/open-mmlab/mmaction2/issues/2714
    """
    module.__path__ = []


def stand_in_for_drn(module: ModuleType) -> None:
    """No module named 'mmaction.models.localizers.drn.drn': a stand-in class raises an error only when it is used.

    https://github.com/open-mmlab/mmaction2/issues/2714
    """

    class DRN:
        """Absent from the installed mmaction2."""

        def __init__(self, *args, **kwargs) -> None:
            raise ImportError('the installed mmaction2 has no DRN localizer: its wheel lacks that folder')

    vars(module)['DRN'] = DRN
    note(stand_in_for_drn, 'mmaction2 imports without its DRN localizer')


def stand_in_for_functions(module: ModuleType) -> None:
    """No module named 'mmaction.mmengine', at any lookup of a function: mmaction2's registry imports that module.

    No issue is known; https://github.com/open-mmlab/mmsegmentation/pull/2829 fixes the same defect in mmsegmentation.
    """
    note(stand_in_for_functions, "functions can be looked up in mmaction2's registry")
