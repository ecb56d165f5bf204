"""mmdet's COCO data set, with checks of its files when it is built."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import cast

from mmdet.datasets import CocoDataset as MMDetCocoDataset
from mmengine.logging import print_log

from mmext.data.once import without_collection
from mmext.data.standard import read_with_ours
from mmext.data.unreadable import cause_of_missing
from mmext.detection.annotations import category_names, check_classes, read_annotations
from mmext.detection.usable import Tally
from mmext.errors import UserError, shorten
from mmext.registry import DATASETS
from mmext.text import require_inside


@DATASETS.register_module()
class CocoDataset(MMDetCocoDataset):
    """COCO-format detection data.

    Args:
        on_missing: the handling of missing image files: 'skip' (training continues without them and logs their number)
            or 'raise'. By default 'raise' in test mode and 'skip' otherwise.
        on_error: the handling of unreadable images: 'skip', 'raise' or 'blank'; see ``mmext.LoadImage``, which
            replaces ``LoadImageFromFile`` in the pipeline. By default the same as ``on_missing``.
        log_file: the file that lists unreadable images.
        subset: whether the classes may be a subset of the file's categories; objects of others are dropped and counted.
        kwargs: the arguments of mmdet's ``CocoDataset``.

    Attributes:
        missing: the missing image files, sorted.
        members: the number of objects of each class, without crowds and without images that were filtered out.

    Raises:
        UserError: the annotation file is missing or malformed, its categories are not the config's classes, images are
            missing, or nothing in a training set can be trained on.
    """

    def __init__(self, *args, on_missing: str | None = None, on_error: str | None = None, log_file: str | None = None,
                 pipeline: Sequence[dict | Callable] = (), subset: bool = False, **kwargs) -> None:
        usual = 'raise' if kwargs.get('test_mode') else 'skip'
        self.on_missing = on_missing or usual
        self.subset = subset
        self.outlines = loads_masks(pipeline)
        self.missing: list[str] = []
        self.members: list[int] = []
        self.tally = Tally()
        super().__init__(*args, pipeline=read_with_ours(pipeline, on_error or usual, log_file), **kwargs)

    @staticmethod
    def classes_from(config: dict) -> tuple[str, ...]:
        """The category names in the annotation file of a data set's config."""
        return category_names(read_annotations(os.path.join(config.get('data_root') or '', config['ann_file'])))

    def load_data_list(self) -> list[dict]:
        assert self.ann_file is not None, 'a COCO data set has an annotation file'
        content = read_annotations(self.ann_file, outlines=self.outlines)
        check_classes(self.ann_file, content, self.metainfo['classes'], self.subset)
        others = [name for name in category_names(content) if name not in self.metainfo['classes']]
        if others and self.test_mode:  # a training counts their objects, see Tally
            print_log(f'{self.ann_file}: {len(others)} of its categories are not among the classes, and do not count: '
                      f'{shorten(others)}', 'current', logging.INFO)
        folder = self.data_prefix['img']
        require_inside(self.data_root or '', folder, (image['file_name'] for image in content['images']), self.ann_file)
        entries = self.entries_of(content)
        if not entries:
            raise UserError(f'{self.ann_file}: it has no images')
        present = files_in(folder)
        here = [entry for entry in entries if entry['img_path'] in present or os.path.isfile(entry['img_path'])]
        self.missing = sorted({entry['img_path'] for entry in entries} - {entry['img_path'] for entry in here})
        if self.missing and (self.on_missing == 'raise' or not here):
            raise UserError(f'{folder}: {self.describe_missing(entries)}; restore them, or give --skip-unreadable to '
                            'mmext test')
        if self.missing:
            print_log(f'{folder}: continues without {self.describe_missing(entries)}', 'current', logging.WARNING)
        return here if self.on_missing == 'skip' else entries

    @without_collection()
    def entries_of(self, content: dict) -> list[dict]:
        """mmdet's data list, made from annotations that are already in memory, without an index of them all.

        mmdet would read the file again, and only supports UTF-8 without a byte-order mark.
        """
        ids = {category['name']: category['id'] for category in content['categories']}
        self.cat_ids = Ids(ids[name] for name in self.metainfo['classes'])
        self.cat2label = {category: label for label, category in enumerate(self.cat_ids)}
        self.cat_img_map = {category: [] for category in ids.values()}
        objects: dict[int, list[dict]] = {}
        for annotation in content['annotations']:
            objects.setdefault(annotation['image_id'], []).append(annotation)
            self.cat_img_map[annotation['category_id']].append(annotation['image_id'])
        return [cast(dict, self.parse_data_info(dict(raw_img_info=dict(image, img_id=image['id']),
                                                     raw_ann_info=objects.get(image['id'], []))))
                for image in content['images']]

    def parse_data_info(self, raw_data_info: dict) -> dict:
        info = cast(dict, super().parse_data_info(raw_data_info))
        self.tally.add(raw_data_info['raw_img_info'], raw_data_info['raw_ann_info'], info['instances'], self.cat_ids)
        return info

    def filter_data(self) -> list[dict]:
        """The data infos that remain after ``filter_cfg``. Logs what a training set has lost."""
        kept = super().filter_data()
        if not self.test_mode:
            self.tally.log_left_out(str(self.ann_file), self.data_list, kept, self.filter_cfg)
        members = Counter(instance['bbox_label'] for info in kept for instance in info['instances']
                          if not instance['ignore_flag'])
        self.members = [members[label] for label in range(len(self.metainfo['classes']))]
        return kept

    def describe_missing(self, entries: list[dict]) -> str:
        """The part of a message about missing images."""
        names = shorten(map(os.path.basename, self.missing))
        return (f'{len(self.missing)} of the {len(entries)} images of {self.ann_file}, which are missing ({names})'
                f'{cause_of_missing(self.missing)}')


class Ids(list):
    """The ids of the classes, in the order of the labels, in which a look-up takes the same time for any number."""

    def __init__(self, ids: Iterable[int]) -> None:
        super().__init__(ids)
        self.known = frozenset(self)

    def __contains__(self, one: object) -> bool:
        return one in self.known


def loads_masks(steps: object) -> bool:
    """Whether a step of a pipeline, or of one inside it, loads masks, which are made from the outlines of objects."""
    if isinstance(steps, Mapping):
        return bool(steps.get('with_mask')) or any(map(loads_masks, steps.values()))
    return isinstance(steps, (list, tuple)) and any(map(loads_masks, steps))


def files_in(folder: str) -> set[str]:
    """The paths directly in a folder. One listing is faster than checking the existence of each file.

    Raises:
        UserError: there is no such folder.
    """
    try:
        return {os.path.join(folder, name) for name in os.listdir(folder)}
    except OSError as error:
        raise UserError(f'{folder}: no such image folder ({error.strerror}); is --data-root right?') from None
