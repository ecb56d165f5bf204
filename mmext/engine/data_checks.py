"""Checks of a run's data before it starts: the classes, the number of batches and the image sizes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from mmengine.config import Config
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import DataLoader, Dataset

from mmext.config_tree import datasets_of
from mmext.data.checking import loading_of, steps_of
from mmext.data.loading import ENOUGH
from mmext.data.sizes import differing
from mmext.engine.agreement import leaves, place_of, require_agreement, require_members, sample_count
from mmext.engine.shared_memory import require_shared_memory
from mmext.errors import UserError, shorten

LOOKED_AT = 50  # the number of images of a data set whose sizes are checked
MAX_MISMATCHED = 0.1  # the limit for pipelines without mmext.LoadImage
MAX_OF_FEW = 0.5  # the minimal limit for fewer than ENOUGH images


def require_training_data(runner: Runner, model: nn.Module) -> None:
    """Builds the loaders of a training and checks their data.

    Raises:
        UserError: there are no images, not one whole batch, other classes than the model has, or images whose sizes
            differ from their annotations.
    """
    loaders = dict(train_dataloader=build_loader(runner.cfg, 'train_dataloader', lambda: runner.train_dataloader))
    if runner._val_loop is not None:
        loaders['val_dataloader'] = build_loader(runner.cfg, 'val_dataloader', lambda: runner.val_dataloader)
    require_batches(loaders['train_dataloader'])
    require_data(runner.cfg, model, loaders)
    require_members(loaders['train_dataloader'])


def require_test_data(runner: Runner, model: nn.Module) -> None:
    """Builds the loader of a test and checks its data, see ``require_training_data``."""
    require_data(runner.cfg, model, dict(
        test_dataloader=build_loader(runner.cfg, 'test_dataloader', lambda: runner.test_dataloader)))


def require_data(config: Config, model: nn.Module, loaders: Mapping[str, DataLoader]) -> None:
    """Checks classes and image sizes. Raises a UserError if they are wrong."""
    require_agreement(config, model, loaders)
    for loader in loaders.values():
        for dataset in leaves(loader.dataset):
            require_sizes(dataset)
    require_shared_memory(loaders)


def build_loader(config: Config, key: str, build: Callable[[], DataLoader]) -> DataLoader:
    """Builds a loader. Raises a UserError for an empty data set, which mmengine fails to serialize."""
    try:
        return build()
    except ValueError as error:
        if 'need at least one array to concatenate' not in str(error):
            raise
        places = [dataset.get('ann_file') or dataset.get('data_root') for dataset in datasets_of(config, key)]
        raise UserError(f'{shorten(places)}: no image is left after filtering. {key}.dataset.filter_cfg drops small '
                        "images (min_size) and those without objects of the config's classes (filter_empty_gt); to "
                        'take the classes from the annotations, give --classes auto') from None


def require_batches(loader: DataLoader) -> None:
    """Raises a UserError if the training set is smaller than one batch."""
    if not len(loader):
        raise UserError(f'{place_of(leaves(loader.dataset)[0])}: its {sample_count(loader.dataset)} usable samples '
                        'do not make one batch; lower train_dataloader.batch_size with --cfg-options')


def require_sizes(dataset: Dataset) -> None:
    """Compares the sizes of a sample of the images, read from their headers, with the annotations.

    ``mmext.LoadImage`` compares each image when it is read; this check finds out early if most of them differ.

    Raises:
        UserError: more than the share ``LoadImage.max_mismatched`` differ; of a few images, more than half.
    """
    steps, loading = steps_of(dataset), loading_of(dataset)
    get_data_info, count = getattr(dataset, 'get_data_info', None), sample_count(dataset)
    if not steps or get_data_info is None or getattr(steps[0], 'backend_args', None):
        return
    limit = loading.max_mismatched if loading else MAX_MISMATCHED
    chosen = np.unique(np.linspace(0, count - 1, min(LOOKED_AT, count)).astype(int)).tolist()
    reasons = {info['img_path']: differing(info['img_path'], (info['height'], info['width']), bool(
        loading and loading.ignore_orientation)) for info in map(get_data_info, chosen)
        if all(info.get(key) for key in ('img_path', 'height', 'width'))}
    found = {path: reason for path, reason in reasons.items() if reason}
    limit = limit if len(reasons) >= ENOUGH else max(limit, MAX_OF_FEW)
    if len(found) > limit * len(reasons):
        path, reason = next(iter(found.items()))
        raise UserError(f'{path}: {reason} (as {len(found)} of the {len(reasons)} images of {place_of(dataset)} that '
                        f'were checked, and more than {limit:.0%} stop a run: max_mismatched of mmext.LoadImage)')
