"""Data sets of labelled videos, checked while they are built, and watched while they are read."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence

from mmaction.datasets.base import BaseActionDataset
from mmengine.logging import print_log

from mmext.data.standard import read_with_ours
from mmext.data.unreadable import cause_of_missing
from mmext.data.video.lists import (
    missing_files,
    read_classes,
    read_frame_list,
    read_list,
    read_something,
    read_templates,
)
from mmext.errors import UserError, shorten
from mmext.registry import DATASETS
from mmext.text import require_inside

ENOUGH = 20  # videos tried before their unreadable share says anything


class LabelledVideos(BaseActionDataset):
    """What data sets of videos have in common. Data infos are dict(filename, label).

    Args:
        ann_file: the label file.
        pipeline: transforms of a video.
        data_prefix: ``video``: the folder that the paths start from.
        num_classes: labels are below it; by default the number of ``metainfo``'s classes, or unchecked.
        on_missing: what a file that is not there means: 'skip' (goes on without it and says how many), 'raise', or
            'blank' (it stays, for the pipeline to put black frames in its place). By default 'raise' in test mode and
            'skip' otherwise.
        on_error: what a file that can't be read means: 'skip', 'raise' or 'blank'; see ``mmext.OpenVideo``, which
            takes the place of ``DecordInit``, as ``mmext.DecodeVideo`` takes that of ``DecordDecode`` and
            ``mmext.DecodeFrames`` that of ``RawFrameDecode``. By default 'raise' in test mode and 'skip' otherwise.
        log_file: where the files that can't be read are noted.
        max_unreadable: in training, the share of missing or unreadable files that stops the run; 1.0 never does.
        max_refetch: how often another video is drawn in place of one that the pipeline leaves out.
        kwargs: as for mmengine's.

    Attributes:
        missing: the files that are not there, sorted.

    Raises:
        UserError: the label file can't be used, or files are missing; later: too many turn out to be unreadable.
    """

    def __init__(self, ann_file: str, pipeline: Sequence[dict | Callable] = (), data_prefix: dict | None = None,
                 num_classes: int | None = None, on_missing: str | None = None, on_error: str | None = None,
                 log_file: str | None = None, max_unreadable: float = 0.1, test_mode: bool = False,
                 max_refetch: int = 1000, **kwargs) -> None:
        if on_missing not in (None, 'skip', 'raise', 'blank'):
            raise UserError(f"{type(self).__name__}: on_missing={on_missing!r} is none of 'skip', 'raise', 'blank'")
        usual = 'raise' if test_mode else 'skip'
        self.on_missing = on_missing or usual
        self.max_unreadable = max_unreadable
        self.missing: list[str] = []
        self.tried = self.failed = 0
        super().__init__(ann_file, read_with_ours(pipeline, on_error or usual, log_file),
                         data_prefix=data_prefix or dict(video=''), num_classes=num_classes, test_mode=test_mode,
                         max_refetch=max_refetch, **kwargs)

    def read_infos(self) -> list[dict]:
        """What the label file says: dict(filename, label), the file relative to the video folder."""
        raise NotImplementedError

    def load_data_list(self) -> list[dict]:
        infos = self.read_infos()
        folder = self.data_prefix['video'] or ''
        if folder and not os.path.isdir(folder):
            raise UserError(f'{folder}: no such video folder; is --data-root right?')
        require_inside(self.data_root or '', folder, (info['filename'] for info in infos), self.ann_file)
        for info in infos:
            info['filename'] = os.path.join(folder, info['filename'].rstrip('/'))
        self.missing = missing_files(info['filename'] for info in infos)
        absent = set(self.missing)
        here = [info for info in infos if info['filename'] not in absent]
        if self.missing:
            self.tell_missing(len(infos), len(here))
        return infos if self.on_missing == 'blank' else here

    def tell_missing(self, all_of: int, here: int) -> None:
        """A warning, or an error where they are too many."""
        names = shorten(map(os.path.basename, self.missing))
        text = (f'{all_of - here} of the {all_of} videos of {self.ann_file}, which are missing ({names})'
                f'{cause_of_missing(self.missing)}')
        folder = self.data_prefix['video'] or '.'
        if not here or self.on_missing == 'raise':
            raise UserError(f'{folder}: {text}; restore them, or give --skip-unreadable to tools/test.py')
        if not self.test_mode and all_of - here > self.max_unreadable * all_of:
            raise UserError(f'{folder}: {text}; more than max_unreadable={self.max_unreadable:g} of them')
        print_log(f'{folder}: goes on without {text}', 'current', logging.WARNING)

    def __getitem__(self, idx: int) -> dict:
        """A video through the pipeline; in training another one where it can't be read."""
        for _ in range(1 if self.test_mode else self.max_refetch + 1):
            data = self.prepare_data(idx)
            if not self.test_mode:
                self.watch(data is None)
            if data is not None:
                return data
            if self.test_mode:
                raise UserError(f'{self.get_data_info(idx)["filename"]}: left out by the pipeline, and a test needs '
                                "every video; set on_error='raise' of the data set to see why")
            idx = self._rand_another()
        raise UserError(f'{self.ann_file}: {self.max_refetch + 1} videos drawn one after the other were unreadable')

    def watch(self, failed: bool) -> None:
        """Counts; each worker process its own, anew in each epoch unless workers persist."""
        self.tried += 1
        self.failed += failed
        if self.tried >= ENOUGH and self.failed > self.max_unreadable * self.tried:
            raise UserError(f'{self.ann_file}: {self.failed} of the {self.tried} videos tried are unreadable, more '
                            f'than max_unreadable={self.max_unreadable:g}; the log in the work dir names them')


class ListedVideos(LabelledVideos):
    """Videos in mmaction2's list files, whose labels are numbers.

    Args:
        ann_file: the list file.
        delimiter: between the fields of a line.
        class_file: names of the classes, one a line, relative to ``data_root``; where there is no such file and
            ``metainfo`` names none, they are called by their numbers.
        kwargs: as for ``LabelledVideos``.

    Raises:
        UserError: see ``read_list``, ``read_classes`` and ``LabelledVideos``; or the names are not ``num_classes``.
    """

    def __init__(self, ann_file: str, *args, delimiter: str = ' ', class_file: str = 'classes.txt', **kwargs) -> None:
        self.delimiter = delimiter
        self.class_file = class_file
        super().__init__(ann_file, *args, **kwargs)

    @classmethod
    def classes_from(cls, config: dict) -> tuple[str, ...]:
        """The classes of such a data set: those of its class file, else the numbers up to the highest label."""
        root = config.get('data_root') or ''
        path = os.path.join(root, config.get('class_file', 'classes.txt'))
        if os.path.isfile(path):
            return read_classes(path)
        entries = read_list(os.path.join(root, config['ann_file']), delimiter=config.get('delimiter', ' '))
        return tuple(map(str, range(max(label for _, label in entries) + 1)))

    def find_classes(self) -> int | None:
        """How many classes there are, as far as anything but the labels tells; notes their names in the metainfo."""
        path = os.path.join(self.data_root or '', self.class_file)
        classes = self._metainfo.get('classes') or (read_classes(path) if os.path.isfile(path) else None)
        if classes and self.num_classes not in (None, len(classes)):
            raise UserError(f'{path if os.path.isfile(path) else self.ann_file}: {len(classes)} classes are named, but '
                            f'num_classes is {self.num_classes}; give --classes auto')
        self._metainfo['classes'] = tuple(classes) if classes else None
        return len(classes) if classes else self.num_classes

    def name_classes(self, infos: list[dict]) -> list[dict]:
        """Numbers for names where there are no names."""
        if self._metainfo['classes'] is None:
            number = self.num_classes or max(info['label'] for info in infos) + 1
            self._metainfo['classes'] = tuple(map(str, range(number)))
        return infos


@DATASETS.register_module()
class VideoDataset(ListedVideos):
    """Videos in list files of lines 'path label', as of Kinetics-400. See ``ListedVideos``."""

    def read_infos(self) -> list[dict]:
        entries = read_list(self.ann_file, self.find_classes(), self.delimiter)
        return self.name_classes([dict(filename=name, label=label) for name, label in entries])


@DATASETS.register_module()
class FrameDataset(ListedVideos):
    """Videos extracted into a folder of images each, in list files of lines 'folder frames label'.

    Data infos have frame_dir, total_frames and filename_tmpl too, as mmaction2's samplers take them.

    Args:
        filename_tmpl: of the images.
        start_index: number of the first image.
        kwargs: as for ``ListedVideos``.
    """

    def __init__(self, ann_file: str, *args, filename_tmpl: str = 'img_{:05}.jpg', start_index: int = 1,
                 **kwargs) -> None:
        self.filename_tmpl = filename_tmpl
        super().__init__(ann_file, *args, start_index=start_index, **kwargs)

    def read_infos(self) -> list[dict]:
        entries = read_frame_list(self.ann_file, self.find_classes(), self.delimiter)
        return self.name_classes([dict(filename=folder, total_frames=frames, label=label)
                                  for folder, frames, label in entries])

    def load_data_list(self) -> list[dict]:
        infos = super().load_data_list()
        if infos:
            self.require_numbering(infos[0])
        return infos

    def require_numbering(self, info: dict) -> None:
        """The first folder has its images under the numbers that are asked for, lest all be shifted by one."""
        folder = info['filename'].rstrip('/')

        def there(number: int) -> bool:
            return os.path.isfile(os.path.join(folder, self.filename_tmpl.format(number)))

        options = ('train_dataloader.dataset.{0}, val_dataloader.dataset.{0} and test_dataloader.dataset.{0} with '
                   '--cfg-options')
        if self.start_index > 0 and there(self.start_index - 1):
            raise UserError(f'{folder}: has {self.filename_tmpl.format(self.start_index - 1)}, but start_index is '
                            f'{self.start_index}; set start_index={self.start_index - 1} as '
                            f'{options.format("start_index")}')
        if os.path.isdir(folder) and not there(self.start_index):
            images = sorted(name for name in os.listdir(folder) if not name.startswith('.'))
            if there(self.start_index + 1):
                raise UserError(f'{folder}: begins with {self.filename_tmpl.format(self.start_index + 1)}, but '
                                f'start_index is {self.start_index}; set start_index={self.start_index + 1} as '
                                f'{options.format("start_index")}')
            if images:
                raise UserError(f'{folder}: has no {self.filename_tmpl.format(self.start_index)} but '
                                f'{shorten(images)}; set the images\' names as {options.format("filename_tmpl")}')

    def get_data_info(self, idx: int) -> dict:
        info = super().get_data_info(idx)
        return dict(info, frame_dir=info['filename'], filename_tmpl=self.filename_tmpl)


@DATASETS.register_module()
class SthV2Dataset(LabelledVideos):
    """Something-Something-v2 (Goyal et al., arXiv 1706.04261) from its label files as they are downloaded.

    The classes are the templates of ``labels.json``, in the order of the labels.

    Args:
        ann_file: ``train.json`` or ``validation.json``.
        label_file: ``labels.json``; relative to ``data_root``.
        suffix: of the video files, which are named by their ids.
        kwargs: as for ``LabelledVideos``.

    Raises:
        UserError: see ``read_templates``, ``read_something`` and ``LabelledVideos``; or ``num_classes`` is not theirs.
    """

    def __init__(self, ann_file: str, *args, label_file: str = 'labels.json', suffix: str = '.webm', **kwargs) -> None:
        self.label_file = label_file
        self.suffix = suffix
        super().__init__(ann_file, *args, **kwargs)

    @classmethod
    def classes_from(cls, config: dict) -> tuple[str, ...]:
        """The templates of such a data set's label file."""
        return read_templates(os.path.join(config.get('data_root') or '', config.get('label_file', 'labels.json')))

    def read_infos(self) -> list[dict]:
        label_file = os.path.join(self.data_root or '', self.label_file)
        classes = read_templates(label_file)
        if tuple(self._metainfo.get('classes') or classes) != classes:
            raise UserError(f'{label_file}: its templates are the classes; leave out --classes, or give auto')
        if self.num_classes not in (None, len(classes)):
            raise UserError(f'{label_file}: {len(classes)} classes, but num_classes is {self.num_classes}; give '
                            '--classes auto')
        self._metainfo['classes'] = classes
        return [dict(filename=name, label=label) for name, label in read_something(self.ann_file, classes,
                                                                                   self.suffix)]
