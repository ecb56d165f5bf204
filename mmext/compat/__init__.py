"""Repairs of the installed stack: one small function per defect.

Each names its symptom and upstream issue and does nothing where the defect is absent. ``install`` puts them in place
before the defective modules are imported, and imports none of them itself: a repair runs when, and only when, somebody
imports its module. When upstream mends a defect, deleting its function and its line in ``install`` is the clean-up.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable

from mmext.compat import checkpoints, mmaction, mmdet, mmengine, numpy2
from mmext.compat.notes import applied
from mmext.imports import AbsentModules, ImportHooks

__all__ = ['applied', 'install', 'installed', 'waiting']

repairs = ImportHooks()
NUMPY2 = (
    ('mmaction.datasets.transforms.pose_transforms', numpy2.give_infinity_its_old_name),
    ('mmaction.utils.misc', numpy2.give_infinity_its_old_name),
    ('mmaction.evaluation.functional.accuracy', numpy2.give_trapz_its_old_name),
    ('mmaction.evaluation.metrics.multimodal_metric', numpy2.give_in1d_its_old_name),
    ('mmdet.evaluation.functional.ytviseval', numpy2.give_float_its_old_name),
    ('mmcv.ops.pixel_group', numpy2.give_float_its_old_name),
    ('mmaction.datasets.transforms.wrappers', numpy2.keep_bool_numpys_own),
    ('mmaction.datasets.transforms.processing', numpy2.turn_hue_without_overflow),
    ('mmaction.evaluation.functional.multisports_utils', numpy2.find_tubes_frames_as_numbers),
)


def install() -> None:
    """Arranges every repair; calling it twice changes nothing."""
    if repairs in sys.meta_path:
        return
    repairs.after('mmengine.utils.package_utils', mmengine.find_packages_without_pkg_resources)
    repairs.after('mmengine.config.utils', mmengine.know_the_standard_library)
    repairs.after('mmengine.config.utils', mmengine.take_configs_of_this_package)
    repairs.after('mmengine.config.config', mmengine.keep_the_scope_of_configs)
    repairs.after('mmengine.config.config', mmengine.lay_out_configs_once)
    repairs.after('mmdet.models.dense_heads.ssd_head', mmdet.give_ssd_head_a_loss_cls)
    repairs.after('torch', checkpoints.allow_history_buffer_in_checkpoints)
    repairs.after('mmengine.runner.checkpoint', checkpoints.keep_checkpoints_from_running_code)
    repairs.after('mmengine.runner.checkpoint', checkpoints.keep_downloads_from_running_code)
    repairs.after('mmengine.fileio.backends.local_backend', mmengine.write_files_whole_or_not_at_all)
    repairs.after('mmengine.runner.runner', checkpoints.keep_resume_from_running_code)
    repairs.after('mmengine.dist.utils', mmengine.start_processes_without_a_gpu)
    for name, repair in NUMPY2:
        repairs.after(name, repair)
    for package in ('mmdet', 'mmaction'):
        repairs.around(package, lambda package=package: mmdet.newer_mmcv_accepted(package))
    sys.meta_path.insert(0, repairs)
    sys.meta_path.append(AbsentModules({
        'importlib_metadata': mmaction.stand_in_for_importlib_metadata,
        'mmaction.models.localizers.drn': mmaction.stand_in_for_drn_package,
        'mmaction.models.localizers.drn.drn': mmaction.stand_in_for_drn,
        'mmaction.mmengine': mmaction.stand_in_for_functions,
    }))


def installed(name: str) -> bool:
    """Whether a top-level package is there, without importing it."""
    return importlib.util.find_spec(name) is not None


def waiting() -> dict[Callable, list[str]]:
    """The repairs that are in place for modules that nobody has imported yet: repair -> the modules' names.

    Whether one is needed shows when its module is imported. Packages that are not installed are left out.
    """
    found: dict[Callable, list[str]] = {}
    for name, functions in repairs.functions_after.items():
        if name not in sys.modules and installed(name.partition('.')[0]):
            for function in functions:
                found.setdefault(function, []).append(name)
    return found
