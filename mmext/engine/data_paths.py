"""Where a config's data are: ``--data-root``, and the flags that name annotation files and image folders."""

from __future__ import annotations

import os
from collections.abc import Mapping

from mmengine.config import Config
from mmengine.logging import print_log

from mmext.config_tree import LOADERS, datasets_of, replace_values
from mmext.errors import UserError


def move_data(config: Config, data_root: str) -> None:
    """Replaces the old data root in all paths of the config that begin with it, in data sets and evaluators."""
    new = data_root.rstrip('/') + '/'
    old = {dataset['data_root'] for dataset in datasets_of(config) if dataset.get('data_root')}
    old |= {config['data_root']} if config.get('data_root') else set()
    if not old:
        raise UserError('--data-root: this config has no data_root to replace')
    before = [str(dataset) for dataset in datasets_of(config)]

    def moved(path: str) -> str:
        for root in sorted(old, key=len, reverse=True):
            if path == root or path.startswith(root.rstrip('/') + '/'):
                return new + path[len(root):].lstrip('/')
        return path

    replace_values(config._cfg_dict, lambda key, value: moved(value) if isinstance(value, str) else value)
    same = new in {root.rstrip('/') + '/' for root in old}
    if before and not same and before == [str(dataset) for dataset in datasets_of(config)]:
        raise UserError('--data-root: the data sets of this config have no data_root; name their files with '
                        '--train-json, --train-images, --val-json and --val-images')


def name_files(config: Config, files: Mapping[str, str], data_root: str | None = None) -> None:
    """Sets annotation files and image folders of detection data, in data sets and evaluators.

    Args:
        config: changed in place.
        files: 'train_json', 'train_images', 'val_json', 'val_images', 'test_json' or 'test_images' -> path. What is not
            named keeps the config's path. The test set follows the validation set if both used the same annotation
            file before.
        data_root: the folder that the paths are relative to; by default the current folder.

    Raises:
        UserError: a loader has no data set in COCO's format, or several.
    """
    before = annotation_files(config)
    follows = 'val_dataloader' in before and before['val_dataloader'] == before.get('test_dataloader')
    for loader in LOADERS:
        split = loader.removesuffix('_dataloader')
        named = {kind: files.get(f'{split}_{kind}') for kind in ('json', 'images')}
        if split == 'test' and follows:
            named = {kind: path or files.get(f'val_{kind}') for kind, path in named.items()}
        given = [kind for kind, path in named.items() if path]
        if given:
            dataset = named_dataset(config, loader, f'--{split}-{given[0]}')
            set_files(dataset, named['json'], named['images'], data_root)
    move_evaluators(config, before, tell=False)


def named_dataset(config: Config, loader: str, flag: str) -> dict:
    """The only data set of a loader. Raises a UserError if it has several, or one of another format than COCO's."""
    datasets = datasets_of(config, loader)
    if len(datasets) != 1:
        raise UserError(f'{flag}: {loader} of this config has {len(datasets) or "no"} data sets; set ann_file and '
                        'data_prefix of each in a config of your own')
    if 'ann_file' not in datasets[0] or 'img' not in (datasets[0].get('data_prefix') or {}):
        raise UserError(f"{flag}: it is for detection data in COCO's format, and {loader}.dataset of this config is "
                        f'{datasets[0]["type"]}; give --data-root')
    return datasets[0]


def set_files(dataset: dict, annotations: str | None, images: str | None, data_root: str | None) -> None:
    """Sets the annotation file and the image folder of a data set, relative to ``data_root`` or the current folder."""
    old = '' if data_root else dataset.get('data_root') or ''
    prefix = dataset['data_prefix']
    dataset['ann_file'] = annotations or os.path.join(old, dataset['ann_file'])
    dataset['data_prefix'] = dict(prefix, img=images or os.path.join(old, prefix['img']))
    dataset['data_root'] = data_root.rstrip('/') + '/' if data_root else ''


def annotation_files(config: Config) -> dict[str, str]:
    """Loader key -> full path of its annotation file, for each loader with exactly one data set."""
    files = {}
    for name in LOADERS:
        datasets = datasets_of(config, name)
        if len(datasets) == 1 and isinstance(datasets[0].get('ann_file'), str):
            files[name] = os.path.join(str(datasets[0].get('data_root') or ''), datasets[0]['ann_file'])
    return files


def move_evaluators(config: Config, before: dict[str, str], tell: bool = True) -> None:
    """Gives an evaluator the new annotation file of its data set if both used the same file before.

    Args:
        config: changed in place. An evaluator that uses another file keeps it.
        before: ``annotation_files`` of the config before the change.
        tell: whether to log it.
    """
    for loader, file in annotation_files(config).items():
        evaluator = config.get(loader.replace('_dataloader', '_evaluator'))
        for metric in evaluator if isinstance(evaluator, (list, tuple)) else [evaluator]:
            old = metric.get('ann_file') if isinstance(metric, dict) else None
            if old and old != file and os.path.normpath(old) == os.path.normpath(before.get(loader, '')):
                metric['ann_file'] = file
                if tell:
                    print_log(f'{loader.replace("_dataloader", "_evaluator")}.ann_file: set to {file}, like its data '
                              'set', 'current')
