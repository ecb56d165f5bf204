"""All that a training looks at in its data, without the training; and, if wanted, every file of it."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from mmengine.config import Config
from torch.utils.data import Dataset

from mmext.data.decoding import NoImage
from mmext.data.loading import ENOUGH, LoadImage, Mismatch
from mmext.engine.agreement import leaves, members_of, place_of
from mmext.engine.build import build_runner, telling_mistakes
from mmext.engine.config import LOADERS, annotation_files
from mmext.engine.data_checks import MAX_OF_FEW, loading_of, require_test_data, require_training_data
from mmext.engine.wrapper import bare
from mmext.errors import UserError, cause
from mmext.screen import progress
from mmext.workers import Crash

MISSING, UNREADABLE, OTHER_SIZE = 'missing', 'unreadable', 'of another size'
Look = tuple[Callable[[object], 'Trouble | None'], object]


@dataclass(frozen=True)
class Trouble:
    """A file that training would go on without.

    Args:
        path: of the file, or the folder of frames.
        kind: 'missing', 'unreadable' or 'of another size'.
        reason: as training's log has it.
    """

    path: str
    kind: str
    reason: str


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
        loops = dict(train_dataloader=runner.train_loop)
        if runner._val_loop is not None:
            loops['val_dataloader'] = runner.val_loop
        if runner._test_loop is not None and differs(config):
            require_test_data(runner, bare(runner.model))
            loops['test_dataloader'] = runner.test_loop
    found = []
    for name in LOADERS:
        for dataset in leaves(loops[name].dataloader.dataset) if name in loops else []:
            found.append(look_at(name, dataset, every_file, workers))
    return found


def differs(config: Config) -> bool:
    """Whether a test has other data than the validations."""
    files = annotation_files(config)
    names = ('val_dataloader', 'test_dataloader')
    return len({files.get(name) or str(config.get(name)) for name in names}) > 1


def look_at(loader: str, dataset: Dataset, every_file: bool, workers: int) -> Checked:
    """What is known of a built data set, and of its files if all are to be read."""
    counts, names = members_of(dataset), (getattr(dataset, 'metainfo', None) or {}).get('classes')
    members = dict(zip(names, counts)) if counts and names else None
    checked = Checked(loader, place_of(dataset), len(dataset), members)
    checked.troubles = [Trouble(path, MISSING, 'no such file') for path in getattr(dataset, 'missing', ())]
    if not every_file:
        return checked
    jobs = list(looks(dataset))
    checked.files = len(jobs) + len(checked.troubles)
    for (_, subject), trouble in progress(look, jobs, workers, f'reading {loader}', kind_of, 'file'):
        if isinstance(trouble, Crash):
            path = subject[1]['img_path'] if isinstance(subject[1], dict) else subject[0]
            trouble = Trouble(str(path), UNREADABLE, trouble.reason)
        if trouble:
            checked.troubles.append(trouble)
    require_few_of_another_size(dataset, checked)
    return checked


def kind_of(trouble: Trouble | Crash | None) -> str | None:
    return UNREADABLE if isinstance(trouble, Crash) else trouble.kind if trouble else None


def looks(dataset: Dataset) -> Iterable[Look]:
    """A job for each file of a data set; none for those that are read whole while the data set is built."""
    if not hasattr(dataset, 'get_data_info'):
        return
    loading = loading_of(dataset)
    if loading is None:
        loading = LoadImage(ignore_orientation=False)
    else:
        loading = copy.copy(loading)
        loading.max_mismatched = 1.0  # counted by this process, over all
    seen = set()
    for info in map(dataset.get_data_info, range(len(dataset))):
        path = info.get('img_path') or info.get('frame_dir') or info.get('filename')
        if path is None or path in seen:
            continue
        seen.add(path)
        if 'img_path' in info:
            keys = ('img_path', 'height', 'width')
            yield read_image, (loading, {key: info[key] for key in keys if key in info})
        elif 'frame_dir' in info:
            first = info.get('start_index', 1)
            yield read_frames, (path, info['filename_tmpl'], range(first, first + info['total_frames']))
        else:
            yield read_video, (path, )


def look(job: Look) -> Trouble | None:
    """Reads a file; None where it can be used."""
    function, subject = job
    return function(*subject)


def read_image(loading: LoadImage, info: dict) -> Trouble | None:
    try:
        loading.read(dict(info))
    except Mismatch as error:
        return Trouble(info['img_path'], OTHER_SIZE, str(error))
    except (OSError, NoImage) as error:
        kind = UNREADABLE if os.path.exists(info['img_path']) else MISSING
        return Trouble(info['img_path'], kind, cause(error))
    return None


def read_video(path: str) -> Trouble | None:
    from mmext.data.video.prepare import check

    finding = check.inspect((path, True))
    return Trouble(path, finding.kind(1), finding.problem) if finding.problem else None


def read_frames(folder: str, template: str, numbers: range) -> Trouble | None:
    from mmext.data.video import VideoError
    from mmext.video.transforms import read_frame

    try:
        for number in numbers:
            read_frame(folder, template.format(number))
    except VideoError as error:
        return Trouble(folder, UNREADABLE, error.reason)
    return None


def require_few_of_another_size(dataset: Dataset, checked: Checked) -> None:
    """Raises a UserError where so many images are of another size than annotated that training would stop."""
    loading = loading_of(dataset)
    limit = loading.max_mismatched if loading else 1.0
    limit = limit if checked.files >= ENOUGH else max(limit, MAX_OF_FEW)
    others = [trouble for trouble in checked.troubles if trouble.kind == OTHER_SIZE]
    if len(others) > limit * checked.files:
        raise UserError(f'{others[0].path}: {others[0].reason} (as {len(others)} of the {checked.files} images of '
                        f'{checked.place}, and more than {limit:.0%} stop a run: max_mismatched of mmext.LoadImage)')
