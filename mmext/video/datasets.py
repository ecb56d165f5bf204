"""Data sets of labelled videos, checked when they are built, some of whose files may be missing or unreadable."""

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

ENOUGH = 20  # videos; the unreadable share of fewer means nothing


class LabelledVideos(BaseActionDataset):
    """Base class of data sets of videos. Data infos are dict(filename, label).

    Args:
        ann_file: the label file.
        pipeline: transforms of a video.
        data_prefix: ``video`` is the folder that the paths are relative to.
        num_classes: labels must be below it; by default the number of ``metainfo``'s classes, or unchecked.
        on_missing: what happens with a file that does not exist: 'skip' (it is left out, with a warning), 'raise', or
            'blank' (it stays, and the pipeline puts black frames in its place). By default 'raise' in test mode and
            'skip' otherwise.
        on_error: what happens with a file that can't be read: 'skip', 'raise' or 'blank'; see ``mmext.OpenVideo``,
            which replaces ``DecordInit``, as ``mmext.DecodeVideo`` replaces ``DecordDecode`` and ``mmext.DecodeFrames``
            ``RawFrameDecode``. By default 'raise' in test mode and 'skip' otherwise.
        log_file: where the files that can't be read are recorded.
        max_unreadable: in training, the share, from 0 to 1, of missing or unreadable files above which the run stops.
        max_refetch: how often another video is drawn in place of an unreadable one.
        kwargs: of mmengine's ``BaseDataset``.

    Attributes:
        missing: the files that do not exist, sorted.

    Raises:
        UserError: the label file can't be used, or files are missing; later: too many files are unreadable.
    """

    ann_file: str  # mmengine also allows none

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
        """Reads the label file; returns dict(filename, label) for each video, the file relative to the video folder."""
        raise NotImplementedError

    def load_data_list(self) -> list[dict]:
        """The data infos, with the paths of the files; missing files are handled as ``on_missing`` says."""
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
            self.report_missing(len(infos), len(here))
        return infos if self.on_missing == 'blank' else here

    def report_missing(self, total: int, present: int) -> None:
        """Warns of missing files; UserError where they are too many or none may be missing."""
        names = shorten(map(os.path.basename, self.missing))
        text = (f'{total - present} of the {total} videos of {self.ann_file}, which are missing ({names})'
                f'{cause_of_missing(self.missing)}')
        folder = self.data_prefix['video'] or '.'
        if not present or self.on_missing == 'raise':
            raise UserError(f'{folder}: {text}; restore them, or give --skip-unreadable to mmext test')
        if not self.test_mode and total - present > self.max_unreadable * total:
            raise UserError(f'{folder}: {text}; more than max_unreadable={self.max_unreadable:g} of them')
        print_log(f'{folder}: goes on without {text}', 'current', logging.WARNING)

    def __getitem__(self, idx: int) -> dict:
        """Passes a video through the pipeline; in training, another one is drawn in place of an unreadable one."""
        for _ in range(1 if self.test_mode else self.max_refetch + 1):
            data = self.prepare_data(idx)
            if not self.test_mode:
                self.count_result(data is None)
            if data is not None:
                return data
            if self.test_mode:
                raise UserError(f'{self.get_data_info(idx)["filename"]}: left out by the pipeline, and a test needs '
                                "every video; set on_error='raise' of the data set to see why")
            idx = self._rand_another()
        raise UserError(f'{self.ann_file}: {self.max_refetch + 1} videos drawn one after the other were unreadable')

    def count_result(self, failed: bool) -> None:
        """Counts a video that was tried; UserError where too many are unreadable.

        Each worker process counts its own, from 0 in each epoch unless workers persist.
        """
        self.tried += 1
        self.failed += failed
        if self.tried >= ENOUGH and self.failed > self.max_unreadable * self.tried:
            raise UserError(f'{self.ann_file}: {self.failed} of the {self.tried} videos tried are unreadable, more '
                            f'than max_unreadable={self.max_unreadable:g}; the log in the work dir names them')


class ListedVideos(LabelledVideos):
    """Base class of data sets in mmaction2's list files, whose labels are numbers.

    Args:
        ann_file: the list file.
        delimiter: between the fields of a line.
        class_file: names of the classes, one per line, relative to ``data_root``; where there is no such file and
            ``metainfo`` has no classes, their names are their numbers.
        kwargs: as for ``LabelledVideos``.

    Raises:
        UserError: see ``read_list``, ``read_classes`` and ``LabelledVideos``; or there are not ``num_classes`` names.
    """

    def __init__(self, ann_file: str, *args, delimiter: str = ' ', class_file: str = 'classes.txt', **kwargs) -> None:
        self.delimiter = delimiter
        self.class_file = class_file
        super().__init__(ann_file, *args, **kwargs)

    @classmethod
    def classes_from(cls, config: dict) -> tuple[str, ...]:
        """The classes of a config's data set: those of its class file, else the numbers up to the highest label."""
        root = config.get('data_root') or ''
        path = os.path.join(root, config.get('class_file', 'classes.txt'))
        if os.path.isfile(path):
            return read_classes(path)
        entries = read_list(os.path.join(root, config['ann_file']), delimiter=config.get('delimiter', ' '))
        return tuple(map(str, range(max(label for _, label in entries) + 1)))

    def find_classes(self) -> int | None:
        """The number of classes, None where only the labels tell it; puts their names into the metainfo."""
        path = os.path.join(self.data_root or '', self.class_file)
        named = read_classes(path) if os.path.isfile(path) else None
        classes = self._metainfo.get('classes') or named
        if classes and named and len(classes) < len(named):
            raise UserError(f'{path}: it names {len(named)} classes, and --classes only {len(classes)}; list files '
                            'have numbers for labels, so some of the classes need list files of their own, with their '
                            'videos and labels from 0')
        if classes and self.num_classes not in (None, len(classes)):
            raise UserError(f'{path if os.path.isfile(path) else self.ann_file}: {len(classes)} classes are named, but '
                            f'num_classes is {self.num_classes}; give --classes auto')
        self._metainfo['classes'] = tuple(classes) if classes else None
        return len(classes) if classes else self.num_classes

    def name_classes(self, infos: list[dict]) -> list[dict]:
        """Names the classes by their numbers where they have no names; returns the infos unchanged."""
        if self._metainfo['classes'] is None:
            number = self.num_classes or max(info['label'] for info in infos) + 1
            self._metainfo['classes'] = tuple(map(str, range(number)))
        return infos


@DATASETS.register_module()
class VideoDataset(ListedVideos):
    """Videos in list files of lines 'path label', as of Kinetics-400. See ``ListedVideos``."""

    def read_infos(self) -> list[dict]:
        """dict(filename, label) of each line."""
        entries = read_list(self.ann_file, self.find_classes(), self.delimiter)
        return self.name_classes([dict(filename=name, label=label) for name, label in entries])


@DATASETS.register_module()
class FrameDataset(ListedVideos):
    """Videos whose frames are extracted into a folder each, in list files of lines 'folder frames label'.

    Data infos also have frame_dir, total_frames and filename_tmpl, as mmaction2's samplers need them.

    Args:
        filename_tmpl: format of the images' names.
        start_index: number of the first image.
        kwargs: as for ``ListedVideos``.
    """

    def __init__(self, ann_file: str, *args, filename_tmpl: str = 'img_{:05}.jpg', start_index: int = 1,
                 **kwargs) -> None:
        self.filename_tmpl = filename_tmpl
        super().__init__(ann_file, *args, start_index=start_index, **kwargs)

    def read_infos(self) -> list[dict]:
        """dict(filename, total_frames, label) of each line."""
        entries = read_frame_list(self.ann_file, self.find_classes(), self.delimiter)
        return self.name_classes([dict(filename=folder, total_frames=frames, label=label)
                                  for folder, frames, label in entries])

    def load_data_list(self) -> list[dict]:
        """As ``LabelledVideos``, and checks the numbering of the images in the first folder."""
        infos = super().load_data_list()
        if infos:
            self.require_numbering(infos[0])
        return infos

    def require_numbering(self, info: dict) -> None:
        """Raises a UserError where a folder's images are numbered otherwise, which would shift all frames by one."""
        folder = info['filename'].rstrip('/')

        def exists(number: int) -> bool:
            return os.path.isfile(os.path.join(folder, self.filename_tmpl.format(number)))

        options = ('train_dataloader.dataset.{0}, val_dataloader.dataset.{0} and test_dataloader.dataset.{0} with '
                   '--cfg-options')
        if self.start_index > 0 and exists(self.start_index - 1):
            raise UserError(f'{folder}: has {self.filename_tmpl.format(self.start_index - 1)}, but start_index is '
                            f'{self.start_index}; set start_index={self.start_index - 1} as '
                            f'{options.format("start_index")}')
        if os.path.isdir(folder) and not exists(self.start_index):
            images = sorted(name for name in os.listdir(folder) if not name.startswith('.'))
            if exists(self.start_index + 1):
                raise UserError(f'{folder}: begins with {self.filename_tmpl.format(self.start_index + 1)}, but '
                                f'start_index is {self.start_index}; set start_index={self.start_index + 1} as '
                                f'{options.format("start_index")}')
            if images:
                raise UserError(f'{folder}: has no {self.filename_tmpl.format(self.start_index)} but '
                                f'{shorten(images)}; set the images\' names as {options.format("filename_tmpl")}')

    def get_data_info(self, idx: int) -> dict:
        """A video's data info, with its frame_dir and filename_tmpl."""
        info = super().get_data_info(idx)
        return dict(info, frame_dir=info['filename'], filename_tmpl=self.filename_tmpl)


@DATASETS.register_module()
class SthV2Dataset(LabelledVideos):
    """Something-Something-v2 (Goyal et al., arXiv 1706.04261) from its label files as they are downloaded.

    The classes are the templates of ``labels.json``, in the order of the labels.

    Args:
        ann_file: ``train.json`` or ``validation.json``.
        label_file: ``labels.json``, relative to ``data_root``.
        suffix: of the video files, which are named by their ids.
        kwargs: as for ``LabelledVideos``.

    Raises:
        UserError: see ``read_templates``, ``read_something`` and ``LabelledVideos``; or there are not ``num_classes``
            templates.
    """

    def __init__(self, ann_file: str, *args, label_file: str = 'labels.json', suffix: str = '.webm', **kwargs) -> None:
        self.label_file = label_file
        self.suffix = suffix
        super().__init__(ann_file, *args, **kwargs)

    @classmethod
    def classes_from(cls, config: dict) -> tuple[str, ...]:
        """The classes of a config's data set: the templates of its label file."""
        return read_templates(os.path.join(config.get('data_root') or '', config.get('label_file', 'labels.json')))

    def read_infos(self) -> list[dict]:
        """dict(filename, label) of each entry."""
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
