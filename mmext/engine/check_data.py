"""All that a training looks at in its data, without the training; and, if wanted, every file of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from mmengine.config import Config
from torch.utils.data import Dataset

from mmext.config_tree import LOADERS
from mmext.data.checking import MISSING, OTHER_SIZE, UNREADABLE, FileCheck, Trouble, loading_of
from mmext.data.loading import ENOUGH
from mmext.engine.agreement import leaves, members_of, place_of, sample_count
from mmext.engine.build import build_runner, telling_mistakes
from mmext.engine.config import annotation_files
from mmext.engine.data_checks import MAX_OF_FEW, require_test_data, require_training_data
from mmext.engine.wrapper import bare
from mmext.errors import UserError
from mmext.screen import progress
from mmext.task import Task, task_of
from mmext.workers import Crash


@dataclass
class Checked:
    """What is known of a data set of a loader.

    Args:
        loader: 'train_dataloader' and so on.
        place: the label file or folder.
        samples: how many there are for the loader.
        members: how many objects or samples each class has; None where the data set does not count them.
        files: how many files were read.
        troubles: those of them that can't be used.
    """

    loader: str
    place: str
    samples: int
    members: dict[str, int] | None
    files: int = 0
    troubles: list[Trouble] = field(default_factory=list)


def check_data(config: Config, every_file: bool, workers: int) -> list[Checked]:
    """Checks the data of a config as its training and its test would before they start.

    Args:
        config: as training would take it; its work dir is not used for anything but a log.
        every_file: read all files, too.
        workers: how many processes read; 0 for this one alone.

    Raises:
        UserError: the line with which training would stop, or a test.
    """
    config.visualizer = dict(type='Visualizer')  # nothing is drawn or written
    runner = build_runner(config)
    with telling_mistakes(config):
        require_training_data(runner, bare(runner.model))
        loaders = dict(train_dataloader=runner.train_dataloader)
        if runner._val_loop is not None:
            loaders['val_dataloader'] = runner.val_dataloader
        if runner._test_loop is not None and differs(config):
            require_test_data(runner, bare(runner.model))
            loaders['test_dataloader'] = runner.test_dataloader
    found = []
    for name in LOADERS:
        for dataset in leaves(loaders[name].dataset) if name in loaders else []:
            found.append(look_at(name, dataset, task_of(config), every_file, workers))
    return found


def differs(config: Config) -> bool:
    """Whether a test has other data than the validations."""
    files = annotation_files(config)
    names = ('val_dataloader', 'test_dataloader')
    return len({files.get(name) or str(config.get(name)) for name in names}) > 1


def look_at(loader: str, dataset: Dataset, task: Task, every_file: bool, workers: int) -> Checked:
    """What is known of a built data set, and of its files if all are to be read."""
    counts, names = members_of(dataset), (getattr(dataset, 'metainfo', None) or {}).get('classes')
    members = dict(zip(names, counts)) if counts and names else None
    checked = Checked(loader, place_of(dataset), sample_count(dataset), members)
    checked.troubles = [Trouble(path, MISSING, 'no such file') for path in getattr(dataset, 'missing', ())]
    if not every_file:
        return checked
    jobs = list(task.file_checks(dataset))
    checked.files = len(jobs) + len(checked.troubles)
    for job, trouble in progress(FileCheck.__call__, jobs, workers, f'reading {loader}', kind_of, 'file'):
        if isinstance(trouble, Crash):
            trouble = Trouble(job.path, UNREADABLE, trouble.reason)
        if trouble:
            checked.troubles.append(trouble)
    require_few_of_another_size(dataset, checked)
    return checked


def kind_of(trouble: Trouble | Crash | None) -> str | None:
    """What the table calls a finding; None where the file can be used."""
    return UNREADABLE if isinstance(trouble, Crash) else trouble.kind if trouble else None


def require_few_of_another_size(dataset: Dataset, checked: Checked) -> None:
    """Raises a UserError where so many images are of another size than annotated that training would stop."""
    loading = loading_of(dataset)
    limit = loading.max_mismatched if loading else 1.0
    limit = limit if checked.files >= ENOUGH else max(limit, MAX_OF_FEW)
    others = [trouble for trouble in checked.troubles if trouble.kind == OTHER_SIZE]
    if len(others) > limit * checked.files:
        raise UserError(f'{others[0].path}: {others[0].reason} (as {len(others)} of the {checked.files} images of '
                        f'{checked.place}, and more than {limit:.0%} stop a run: max_mismatched of mmext.LoadImage)')
