"""Reads a config file and applies the changes that the command line asks for."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping, Sequence
from functools import reduce
from pathlib import Path

from mmengine.config import Config

from mmext.components import arguments, find_component
from mmext.config_tree import datasets_of, replace_values
from mmext.engine.agreement import OTHERS, is_other
from mmext.engine.build import explained_build_errors
from mmext.engine.channels import check_channels
from mmext.engine.classes import class_names
from mmext.engine.data_paths import annotation_files, move_data, move_evaluators, name_files
from mmext.engine.option_values import child_of
from mmext.engine.options import apply_options
from mmext.engine.resume.loops import use_resumable_loop
from mmext.engine.swap import swap_backbone
from mmext.engine.types import check_sections, check_types
from mmext.errors import UserError, nearest
from mmext.task import task_of

SAFETY = ('mmext.EpochSeedHook', 'mmext.FiniteLossHook', 'mmext.UnreadableFilesHook', 'mmext.ProgressHook')


def load_config(path: str | os.PathLike, *, data_root: str | None = None, files: Mapping[str, str] | None = None,
                classes: str | None = None, backbone: str | None = None, options: dict | None = None,
                checkpoint: str | None = None, testing: bool = False) -> Config:
    """Reads a config and applies the changes of the command line to it, one after the other.

    The order is: data root, files, backbone, options, classes. An option can therefore change what the flags before it
    have set, and the classes are taken from the files that are then named.

    Args:
        path: the config file.
        data_root: replaces the data root of every data set and evaluator.
        files: the annotation files and image folders of detection data, see ``data_paths.name_files``.
        classes: names separated by commas, which may be a subset of those in the data; or 'auto' for the classes of
            the checkpoint or, if there is none or it does not name them, for the categories of the training
            annotations.
        backbone: a name from ``mmext.list_backbones()``, which replaces the config's backbone.
        options: dotted key -> value; unknown keys are refused. If they change the annotation file of a data set, an
            evaluator that used the same file gets the new one too.
        checkpoint: the checkpoint that will be tested.
        testing: whether the training data may be missing; 'auto' then falls back on the classes of the test set.

    Raises:
        UserError: the file is missing or invalid, a change can't be made, a component does not exist or does not have
            a given argument, or the neck or a head does not fit the channels of the backbone.
    """
    config = read_config(path)
    if data_root:
        move_data(config, data_root)
    if files:
        name_files(config, files, data_root)
    if backbone:
        swap_backbone(config, backbone)
    if options:
        before = annotation_files(config)
        apply_options(config, options)
        check_sections(config)
        move_evaluators(config, before)
    with explained_build_errors(config):
        if classes:
            names, subset = class_names(config, classes, checkpoint, testing)
            require_same_number(config, options or {}, len(names))
            set_classes(config, names, subset)
        check_types(config)
        check_channels(config)
    return config


def is_config(source: str | os.PathLike) -> bool:
    """Whether a name is that of a config: a .py, .json or .yaml file, or 'mmext::<name>' for one in the package."""
    return '::' in str(source) or Path(source).suffix in ('.py', '.json', '.yaml', '.yml')


def read_config(path: str | os.PathLike) -> Config:
    """Reads a config file with its base files. Raises a UserError that names the file and what is wrong in it."""
    path = in_package(str(path)) if '::' in str(path) else Path(path)
    if not path.is_file():
        known = [str(other) for folder in {path.parent, Path('configs')} for other in sorted(folder.glob('*.py'))]
        raise UserError(f'{path}: no such config{nearest(str(path), known)}')
    try:
        return Config.fromfile(path)
    except SyntaxError as error:
        place = error.filename if error.filename and Path(error.filename).is_file() else path
        raise UserError(f'{place}, line {error.lineno}: {error.msg}') from None
    except (OSError, KeyError, TypeError, ValueError, AttributeError, NameError, ImportError) as error:
        reason = ' '.join(str(error).split())
        raise UserError(f'{path}: unusable config ({type(error).__name__}: {reason[:300]})') from None


def in_package(name: str) -> Path:
    """The file of a config in an installed package, such as 'mmext::ssd300_iresnet50_coco.py'.

    Raises:
        UserError: There is no such package, or it has no such config.
    """
    package, _, path = name.partition('::')
    found = importlib.util.find_spec(package) if package.isidentifier() else None
    if found is None or found.origin is None:
        raise UserError(f'{name}: no installed package {package}')
    root = Path(found.origin).parent / '.mim' / 'configs'
    file = root / (path if path.endswith('.py') else f'{path}.py')
    if not file.is_file():
        known = [f'{package}::{other.relative_to(root)}' for other in sorted(root.rglob('*.py'))]
        raise UserError(f'{name}: no such config{nearest(name, known)}')
    return file


def make_safe(config: Config) -> None:
    """Replaces components of a config, in place, so that runs can be interrupted, resumed and trusted.

    In every config, mmengine's ``CheckpointHook``, ``RuntimeInfoHook`` and training loops are replaced by those of
    mmext, and the task replaces fragile components of its library (``Task.make_safe``). A config without
    ``custom_hooks``, such as one that inherits the runtime of mmdet (``mmdet::``), gets the hooks in ``SAFETY``. Of
    these, ``EpochSeedHook`` requires that workers are seeded anew in every epoch, so a training loader without a
    ``worker_init_fn`` is set up that way.
    """
    hooks = [*(config.get('default_hooks') or {}).values(), *(config.get('custom_hooks') or [])]
    for hook in hooks:
        if hook and hook.get('type') in ('CheckpointHook', 'mmengine.CheckpointHook'):
            hook['type'] = 'mmext.CheckpointHook'
    config.setdefault('default_hooks', {}).setdefault('checkpoint', dict(type='mmext.CheckpointHook', interval=1))
    config.default_hooks.setdefault('runtime_info', dict(type='mmext.RuntimeInfoHook'))
    use_resumable_loop(config)
    config.setdefault('randomness', dict(seed=None))
    task_of(config).make_safe(config)
    if 'custom_hooks' in config:
        return
    config.custom_hooks = [dict(type=kind) for kind in SAFETY]
    loader = config.get('train_dataloader')
    if loader and 'worker_init_fn' not in loader:
        loader.update(worker_init_fn=dict(type='mmext.seed_worker'), persistent_workers=False)





def set_classes(config: Config, classes: Sequence[str], subset: bool = False) -> None:
    """Sets the classes of all data sets, and the number of classes of all heads.

    Args:
        config: changed in place.
        classes: the names.
        subset: whether the data may have further classes, which data sets with an argument ``subset`` leave out.
    """
    task = task_of(config)
    for dataset in datasets_of(config):
        task.dataset_class(dataset, config)
        dataset['metainfo'] = dict(dataset.get('metainfo') or {}, classes=tuple(classes))
        if subset and 'subset' in arguments(find_component(dataset['type'], config.get('default_scope'))):
            dataset['subset'] = True
        if dataset.get('num_classes'):
            dataset['num_classes'] = len(classes)
    fit_heads(config, classes)


def require_same_number(config: Config, options: dict, count: int) -> None:
    """Raises a UserError if an option sets another number of classes for a head than ``--classes``."""
    for key in options:
        if key.startswith('model.') and key.endswith('.num_classes') and not is_other(key):
            number = reduce(child_of, key.split('.'), config._cfg_dict)
            if number != count:
                raise UserError(f'--cfg-options {key}: --classes gives {count} classes, but {key} is {number}; '
                                'remove one of the two')


def fit_heads(config: Config, classes: Sequence[str] | None) -> None:
    """Sets the number of classes of every head, unless ``classes`` is empty.

    Parts such as RPNs, which do not predict the classes of the data set (``agreement.OTHERS``), are left unchanged.
    """
    if classes:
        replace_values(config.get('model') or {}, lambda key, value: len(classes) if key == 'num_classes' else value,
                       spared=OTHERS)
