"""Repairs of defects in the installed libraries: one small function per defect.

The docstring of each function names the symptom and the upstream issue. A repair does nothing if the defect is absent.
``install`` registers the repairs and imports none of the defective modules itself; a repair runs when its module is
imported. Once a defect is fixed upstream, delete its function and its line in ``install``.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable

from mmext.compat import checkpoints, mmaction, mmcv, mmdet, mmengine, numpy2, stdlib
from mmext.compat.notes import applied
from mmext.imports import AbsentModules, ImportHooks

__all__ = ['applied', 'install', 'installed', 'pending']

repairs = ImportHooks()
NUMPY2 = (
    ('mmaction.datasets.transforms.pose_transforms', numpy2.restore_numpy_inf),
    ('mmaction.utils.misc', numpy2.restore_numpy_inf),
    ('mmaction.evaluation.functional.accuracy', numpy2.restore_numpy_trapz),
    ('mmaction.evaluation.metrics.multimodal_metric', numpy2.restore_numpy_in1d),
    ('mmdet.evaluation.functional.ytviseval', numpy2.restore_numpy_float),
    ('mmcv.ops.pixel_group', numpy2.restore_numpy_float),
    ('mmaction.datasets.transforms.wrappers', numpy2.protect_numpy_bool),
    ('mmaction.datasets.transforms.processing', numpy2.fix_hue_overflow),
    ('mmaction.evaluation.functional.multisports_utils', numpy2.fix_tube_frame_lookup),
)


def install() -> None:
    """Registers every repair. Calling it again has no effect."""
    if repairs in sys.meta_path:
        return
    repairs.after('inspect', stdlib.find_modules_of_frames)
    repairs.after('mmengine.utils.package_utils', mmengine.find_packages_without_pkg_resources)
    repairs.after('mmengine.config.utils', mmengine.recognize_standard_library)
    repairs.after('mmengine.config.utils', mmengine.accept_mmext_configs)
    repairs.after('mmengine.config.config', mmengine.keep_default_scope)
    repairs.after('mmengine.config.config', mmengine.cache_config_layout)
    repairs.after('mmengine.hub.hub', mmengine.build_mmext_models)
    repairs.after('mmengine.runner.checkpoint', mmengine.find_named_checkpoints)
    repairs.after('mmengine.utils.dl_utils.collect_env', stdlib.collect_environment_without_distutils)
    for name in ('mmengine.utils.dl_utils.misc', 'mmcv.utils.ext_loader'):
        repairs.after(name, stdlib.restore_find_loader)
    repairs.after('mmcv.ops.roi_align', mmcv.pool_features_of_any_memory_format)
    repairs.after('mmdet.models.dense_heads.ssd_head', mmdet.add_loss_cls_to_ssd_head)
    repairs.after('mmdet.datasets.api_wrappers.coco_api', mmdet.order_category_ids_by_class)
    repairs.after('torch', checkpoints.allow_history_buffer_in_checkpoints)
    repairs.after('mmengine.runner.checkpoint', checkpoints.keep_checkpoints_from_running_code)
    repairs.after('mmengine.runner.checkpoint', checkpoints.keep_downloads_from_running_code)
    repairs.after('mmengine.fileio.backends.local_backend', mmengine.write_files_atomically)
    repairs.after('mmengine.runner.runner', checkpoints.keep_resume_from_running_code)
    repairs.after('mmengine.optim.optimizer.amp_optimizer_wrapper', checkpoints.resume_fp16_from_other_formats)
    repairs.after('mmengine.dist.utils', mmengine.init_processes_without_gpu)
    for name, repair in NUMPY2:
        repairs.after(name, repair)
    for package in ('mmdet', 'mmaction'):
        repairs.around(package, lambda package=package: mmdet.accept_newer_mmcv(package))
    sys.meta_path.insert(0, repairs)
    sys.meta_path.append(AbsentModules({
        'importlib_metadata': mmaction.stand_in_for_importlib_metadata,
        'mmaction.models.localizers.drn': mmaction.stand_in_for_drn_package,
        'mmaction.models.localizers.drn.drn': mmaction.stand_in_for_drn,
        'mmaction.mmengine': mmaction.stand_in_for_functions,
    }))


def installed(name: str) -> bool:
    """Whether a top-level package is installed; does not import it."""
    return importlib.util.find_spec(name) is not None


def pending() -> dict[Callable, list[str]]:
    """The repairs whose modules have not been imported yet: repair -> names of the modules.

    Whether such a repair is needed is only known when its module is imported. Modules of packages that are not
    installed are left out.
    """
    found: dict[Callable, list[str]] = {}
    for name, functions in repairs.functions_after.items():
        if name not in sys.modules and installed(name.partition('.')[0]):
            for function in functions:
                found.setdefault(function, []).append(name)
    return found
