"""A config file, and the changes to it that the command line may ask for."""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Sequence
from functools import reduce
from pathlib import Path

from mmengine.config import Config, ConfigDict
from mmengine.logging import print_log

from mmext.backbones.trained import Trained
from mmext.data.standard import read_with_ours
from mmext.engine.agreement import OTHERS, is_other
from mmext.engine.build import telling_mistakes
from mmext.engine.channels import check_channels
from mmext.engine.components import find_component
from mmext.engine.options import apply_options, at
from mmext.engine.resume.loops import use_resumable_loop
from mmext.engine.swap import swap_backbone
from mmext.engine.types import check_sections, check_types
from mmext.errors import UserError, nearest

LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')
PLAIN_COCO = ('CocoDataset', 'mmdet.CocoDataset')
SAFETY = ('mmext.EpochSeedHook', 'mmext.FiniteLossHook', 'mmext.UnreadableFilesHook', 'mmext.ProgressHook')


def load_config(path: str | Path, *, data_root: str | None = None, classes: str | None = None,
                backbone: str | None = None, options: dict | None = None, checkpoint: str | None = None,
                testing: bool = False) -> Config:
    """Reads a config and applies the command line's changes to it, each to what the one before has left.

    The order is: data root, backbone, options, classes. So an option may change what ``--data-root`` and ``--backbone``
    put in, and the classes come from the files that the options name.

    Args:
        path: of the config file.
        data_root: replaces the data root of every data set and evaluator.
        classes: 'auto' for those of the checkpoint or, where none is given or it names none, the categories of the
            training annotations; or names separated by commas.
        backbone: a name of ``mmext.list_backbones()``, put in place of the config's.
        options: dotted key -> value, refused where a key is unknown. Where they give a data set another annotation
            file, an evaluator that had the same file gets the new one too.
        checkpoint: what will be tested.
        testing: the training data may be missing; 'auto' is content with the classes of the test set then.

    Raises:
        UserError: the file is missing or broken, a change can't be made, a component does not exist or is given an
            argument that it does not have, or the neck or head is made for other channels than the backbone has.
    """
    config = read_config(path)
    if data_root:
        move_data(config, data_root)
    if backbone:
        swap_backbone(config, backbone)
    if options:
        before = annotation_files(config)
        apply_options(config, options)
        check_sections(config)
        move_evaluators(config, before)
    with telling_mistakes(config):
        if classes:
            names = class_names(config, classes, checkpoint, testing)
            require_same_number(config, options or {}, len(names))
            set_classes(config, names)
        check_types(config)
        check_channels(config)
    return config


def read_config(path: str | Path) -> Config:
    """A config file with its bases; UserError names the file and what is wrong in it."""
    path = Path(path)
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


def datasets_of(config: Config, *loaders: str) -> list[ConfigDict]:
    """The data sets of these loaders, by default of all, wrapped ones too."""
    found: list[ConfigDict] = []

    def collect(node: object) -> None:
        if isinstance(node, dict):
            if 'pipeline' in node and ('ann_file' in node or 'data_root' in node):
                found.append(node)
            for value in node.values():
                collect(value)
        elif isinstance(node, (list, tuple)):
            for value in node:
                collect(value)

    for name in loaders or LOADERS:
        collect(config.get(name))
    return found


def add_hook(config: Config, hook: dict) -> None:
    """Appends to the config's ``custom_hooks``."""
    config.custom_hooks = [*(config.get('custom_hooks') or []), hook]


def make_safe(config: Config) -> None:
    """Gives a config on another's runtime (``mmdet::``), which names no ``custom_hooks``, ours.

    ``EpochSeedHook`` is for loaders whose workers are seeded anew every epoch, so a training loader that does not say
    how they are becomes one. mmengine's ``CheckpointHook`` and its loops of training become ours in every config, and
    in a detector's so do mmdet's ``CocoDataset``, whose annotations nobody has checked, and its plain loading of
    images.
    """
    hooks = [*(config.get('default_hooks') or {}).values(), *(config.get('custom_hooks') or [])]
    for hook in hooks:
        if hook and hook.get('type') in ('CheckpointHook', 'mmengine.CheckpointHook'):
            hook['type'] = 'mmext.CheckpointHook'
    config.setdefault('default_hooks', {}).setdefault('checkpoint', dict(type='mmext.CheckpointHook', interval=1))
    use_resumable_loop(config)
    if config.get('default_scope') == 'mmdet':
        for loader in LOADERS:
            for dataset in datasets_of(config, loader):
                check_annotations_of(dataset)
            load_with_ours(config, loader)
    if 'custom_hooks' in config:
        return
    config.custom_hooks = [dict(type=kind) for kind in SAFETY]
    loader = config.get('train_dataloader')
    if loader and 'worker_init_fn' not in loader:
        loader.update(worker_init_fn=dict(type='mmext.seed_worker'), persistent_workers=False)


def load_with_ours(config: Config, loader: str) -> None:
    """Has the data sets of a loader that are not ours read images as ours do, which see to it themselves."""
    on_error = 'skip' if loader == 'train_dataloader' else 'raise'
    for dataset in datasets_of(config, loader):
        if not dataset['type'].startswith('mmext.'):
            dataset['pipeline'] = read_with_ours(dataset['pipeline'], on_error)


def check_annotations_of(dataset: ConfigDict) -> None:
    """Makes mmdet's plain ``CocoDataset`` ours, which reads local annotation files of images and checks them.

    As in mmdet's, the file may have more categories than the config has classes.
    """
    local = not dataset.get('backend_args') and dataset.get('ann_file') and 'img' in (dataset.get('data_prefix') or {})
    if dataset.get('type') in PLAIN_COCO and local and not dataset.get('lazy_init'):
        dataset.update(type='mmext.CocoDataset', subset=True)


def set_memory_format(config: Config, memory_format: str) -> None:
    """Has training and testing put the weights into a memory format, in place of one that the config names."""
    others = [hook for hook in config.get('custom_hooks') or [] if hook['type'] != 'mmext.MemoryFormatHook']
    config.custom_hooks = [*others, dict(type='mmext.MemoryFormatHook', memory_format=memory_format)]


def move_data(config: Config, data_root: str) -> None:
    """Replaces the old data root wherever a path of the config begins with it: data sets, evaluators."""
    new = data_root.rstrip('/') + '/'
    old = {dataset['data_root'] for dataset in datasets_of(config) if dataset.get('data_root')}
    old |= {config['data_root']} if config.get('data_root') else set()
    if not old:
        raise UserError('--data-root: this config has no data_root to replace')

    def moved(path: str) -> str:
        for root in sorted(old, key=len, reverse=True):
            if path == root or path.startswith(root.rstrip('/') + '/'):
                return new + path[len(root):].lstrip('/')
        return path

    replace_values(config._cfg_dict, lambda key, value: moved(value) if isinstance(value, str) else value)


def annotation_files(config: Config) -> dict[str, str]:
    """The whole path of the annotation file of each loader with one data set."""
    files = {}
    for name in LOADERS:
        datasets = datasets_of(config, name)
        if len(datasets) == 1 and isinstance(datasets[0].get('ann_file'), str):
            files[name] = os.path.join(str(datasets[0].get('data_root') or ''), datasets[0]['ann_file'])
    return files


def move_evaluators(config: Config, before: dict[str, str]) -> None:
    """Gives an evaluator the annotation file that its data set has now, where it had the same one before.

    Args:
        config: changed in place. An evaluator that has already got another file keeps it.
        before: ``annotation_files`` of the config as it was.
    """
    for loader, file in annotation_files(config).items():
        evaluator = config.get(loader.replace('_dataloader', '_evaluator'))
        for metric in evaluator if isinstance(evaluator, (list, tuple)) else [evaluator]:
            old = metric.get('ann_file') if isinstance(metric, dict) else None
            if old and old != file and os.path.normpath(old) == os.path.normpath(before.get(loader, '')):
                metric['ann_file'] = file
                print_log(f'{loader.replace("_dataloader", "_evaluator")}.ann_file: {file}, as of its data set',
                          'current')


def class_names(config: Config, classes: str, checkpoint: str | None = None, testing: bool = False) -> tuple[str, ...]:
    """What ``--classes`` stands for; see ``load_config``. The checkpoint comes first: its scores are in its order."""
    if classes != 'auto':
        return tuple(name.strip() for name in classes.split(',') if name.strip())
    datasets = datasets_of(config)
    if not datasets:
        raise UserError('--classes auto: this config has no data set')
    component = with_choice_of_classes(datasets[0], config)
    known = Trained.read(checkpoint).classes if checkpoint else None
    if known:
        return known
    try:
        return component.classes_from(datasets[0])
    except UserError:
        tested = datasets_of(config, 'test_dataloader')
        if not testing or not tested:
            raise
        return with_choice_of_classes(tested[0], config).classes_from(tested[0])


def with_choice_of_classes(dataset: dict, config: Config) -> type:
    """The class of a data set that can be given other classes; UserError where they are its own."""
    component = find_component(dataset['type'], config.get('default_scope'))
    if hasattr(component, 'classes_from'):
        return component
    if dataset['type'].rpartition('.')[2] == 'CocoDataset':
        from mmext.detection import CocoDataset
        return CocoDataset
    raise UserError(f'--classes: the classes of {dataset["type"]} are its own')


def set_classes(config: Config, classes: Sequence[str]) -> None:
    """Gives the data sets these classes, and every head their number."""
    for dataset in datasets_of(config):
        with_choice_of_classes(dataset, config)
        dataset['metainfo'] = dict(dataset.get('metainfo') or {}, classes=tuple(classes))
        if dataset.get('num_classes'):
            dataset['num_classes'] = len(classes)
    fit_heads(config, classes)


def require_same_number(config: Config, options: dict, count: int) -> None:
    """Raises a UserError where an option gives a head another number of classes than ``--classes`` does."""
    for key in options:
        if key.startswith('model.') and key.endswith('.num_classes') and not is_other(key):
            number = reduce(at, key.split('.'), config._cfg_dict)
            if number != count:
                raise UserError(f'--cfg-options {key}: --classes gives {count} classes, but {key} is {number}; '
                                'leave one of the two out')


def fit_heads(config: Config, classes: Sequence[str] | None) -> None:
    """Makes every head for the classes of a checkpoint, where it names some.

    RPNs and the like have classes of their own (``agreement.OTHERS``).
    """
    if classes:
        replace_values(config.get('model') or {}, lambda key, value: len(classes) if key == 'num_classes' else value,
                       spared=OTHERS)


def replace_values(node: object, change: Callable[[object, object], object], spared: Container[str] = ()) -> object:
    """Rewrites a tree of dicts, lists and tuples in place, leaf by leaf: ``change(key, value) -> value``.

    What stands under a key of ``spared`` stays as it is.
    """
    if isinstance(node, dict):
        for key, value in node.items():
            if key not in spared:
                dict.__setitem__(node, key, replace_values(value, change, spared) if nested(value)
                                 else change(key, value))
        return node
    return type(node)(replace_values(value, change, spared) if nested(value) else change(None, value)
                      for value in node)


def nested(value: object) -> bool:
    return isinstance(value, (dict, list, tuple))
