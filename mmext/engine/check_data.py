"""The data checks of a training without the training; optionally, every file is read."""

from __future__ import annotations

from dataclasses import dataclass, field

from mmengine.config import Config
from torch.utils.data import Dataset

from mmext.config_tree import LOADERS
from mmext.data.checking import MISSING, OTHER_SIZE, UNREADABLE, FileCheck, Trouble, loading_of
from mmext.data.loading import ENOUGH
from mmext.engine.agreement import leaves, members_of, place_of, sample_count
from mmext.engine.build import build_runner, explained_build_errors
from mmext.engine.data_checks import MAX_OF_FEW, require_test_data, require_training_data
from mmext.engine.data_paths import annotation_files
from mmext.engine.wrapper import unwrap_model
from mmext.errors import UserError
from mmext.screen import progress
from mmext.task import Task, task_of
from mmext.workers import Crash


@dataclass
class Checked:
    """The result of the checks of one data set.

    Args:
        loader: the key of its loader, such as 'train_dataloader'.
        place: the annotation file or folder.
        samples: the number of samples.
        members: class -> number of objects or samples; None if they can't be counted.
        files: the number of files that were read.
        troubles: the files that can't be used.
    """

    loader: str
    place: str
    samples: int
    members: dict[str, int] | None
    files: int = 0
    troubles: list[Trouble] = field(default_factory=list)


def check_data(config: Config, every_file: bool, workers: int) -> list[Checked]:
    """Runs the checks of the data that training and testing run before they start.

    Args:
        config: the config as for training; its work dir is used for a log only.
        every_file: also read all files.
        workers: the number of processes that read files; 0 to read in this process.

    Raises:
        UserError: training or testing would refuse the data; with the same message.
    """
    config.visualizer = dict(type='Visualizer')  # nothing is drawn or written
    runner = build_runner(config)
    with explained_build_errors(config):
        require_training_data(runner, unwrap_model(runner.model))
        loaders = dict(train_dataloader=runner.train_dataloader)
        if runner._val_loop is not None:
            loaders['val_dataloader'] = runner.val_dataloader
        if runner._test_loop is not None and differs(config):
            require_test_data(runner, unwrap_model(runner.model))
            loaders['test_dataloader'] = runner.test_dataloader
    found = []
    for name in LOADERS:
        for dataset in leaves(loaders[name].dataset) if name in loaders else []:
            found.append(examine_dataset(name, dataset, task_of(config), every_file, workers))
    return found


def differs(config: Config) -> bool:
    """Whether the test data differ from the validation data."""
    files = annotation_files(config)
    names = ('val_dataloader', 'test_dataloader')
    return len({files.get(name) or str(config.get(name)) for name in names}) > 1


def examine_dataset(loader: str, dataset: Dataset, task: Task, every_file: bool, workers: int) -> Checked:
    """Checks a built data set, and all its files if ``every_file``."""
    counts, names = members_of(dataset), (getattr(dataset, 'metainfo', None) or {}).get('classes')
    members = dict(zip(names, counts)) if counts and names else None
    checked = Checked(loader, place_of(dataset), sample_count(dataset), members)
    checked.troubles = [Trouble(path, MISSING, 'no such file') for path in getattr(dataset, 'missing', ())]
    if not every_file:
        return checked
    jobs = list(task.file_checks(dataset))
    checked.files = len(jobs) + len(checked.troubles)
    for job, trouble in progress(FileCheck.__call__, jobs, workers, f'reading {loader}', trouble_kind, 'file'):
        if isinstance(trouble, Crash):
            trouble = Trouble(job.path, UNREADABLE, trouble.reason)
        if trouble:
            checked.troubles.append(trouble)
    require_few_mismatched(dataset, checked)
    return checked


def trouble_kind(trouble: Trouble | Crash | None) -> str | None:
    """The kind of a finding in the table; None if the file can be used."""
    return UNREADABLE if isinstance(trouble, Crash) else trouble.kind if trouble else None


def require_few_mismatched(dataset: Dataset, checked: Checked) -> None:
    """Raises a UserError if so many images differ in size from their annotations that training would stop."""
    loading = loading_of(dataset)
    limit = loading.max_mismatched if loading else 1.0
    limit = limit if checked.files >= ENOUGH else max(limit, MAX_OF_FEW)
    others = [trouble for trouble in checked.troubles if trouble.kind == OTHER_SIZE]
    if len(others) > limit * checked.files:
        raise UserError(f'{others[0].path}: {others[0].reason} (as {len(others)} of the {checked.files} images of '
                        f'{checked.place}, and more than {limit:.0%} stop a run: max_mismatched of mmext.LoadImage)')
