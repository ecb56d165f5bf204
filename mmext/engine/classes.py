"""The classes that ``--classes`` stands for."""

from __future__ import annotations

from collections import Counter

from mmengine.config import Config

from mmext.backbones.trained import Trained
from mmext.config_tree import datasets_of
from mmext.errors import UserError, shorten
from mmext.task import task_of


def class_names(config: Config, classes: str, checkpoint: str | None = None,
                testing: bool = False) -> tuple[tuple[str, ...], bool]:
    """The class names that ``--classes`` stands for, see ``load_config``; and whether data may have further classes.

    A checkpoint determines the order, because its scores are in the order of its classes.

    Raises:
        UserError: no class is named, one is named twice, or the checkpoint has another number of classes.
    """
    known = Trained.read(checkpoint).classes if checkpoint else None
    if classes != 'auto':
        return chosen_names(classes, known, checkpoint), True
    if known:
        return known, True
    return classes_of_data(config, testing), False


def chosen_names(classes: str, known: tuple[str, ...] | None, checkpoint: str | None) -> tuple[str, ...]:
    """The names in ``--classes a,b,c``; in the order of the checkpoint's classes if these are the same names."""
    names = tuple(name.strip() for name in classes.split(',') if name.strip())
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice or not names:
        raise UserError(f'--classes {classes}: {f"{twice[0]!r} is named twice" if twice else "it names no class"}')
    if known and len(known) != len(names):
        raise UserError(f'--classes {classes}: {checkpoint} has {len(known)} classes ({shorten(known)}); give '
                        '--classes auto')
    return known if known and set(known) == set(names) else names


def classes_of_data(config: Config, testing: bool) -> tuple[str, ...]:
    """The classes of the training data; those of the test set if ``testing`` and the training data are missing."""
    datasets = datasets_of(config)
    if not datasets:
        raise UserError('--classes auto: this config has no data set')
    task = task_of(config)
    component = task.dataset_class(datasets[0], config)
    try:
        return component.classes_from(datasets[0])
    except UserError:
        tested = datasets_of(config, 'test_dataloader')
        if not testing or not tested:
            raise
        return task.dataset_class(tested[0], config).classes_from(tested[0])
