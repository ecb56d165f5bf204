"""Counts the boxes and images of a training set that can't be used, and refuses a set without usable ones."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence

from mmengine.logging import print_log

from mmext.errors import UserError

CROWD = 'a crowd'


def why_left_out(annotation: dict, image: dict, category_ids: Sequence[int]) -> str | None:
    """Why mmdet's CocoDataset ignores an annotation; None if it does not.

    Args:
        annotation: an entry of a COCO annotation file.
        image: the image to which it belongs.
        category_ids: the category ids of the classes.
    """
    x, y, width, height = annotation['bbox']
    if annotation.get('ignore'):
        return 'marked to be ignored'
    if min(x + width, image['width']) <= max(x, 0) or min(y + height, image['height']) <= max(y, 0):
        return 'outside of the image' if width and height else 'without width or height'
    if annotation['area'] <= 0:
        return 'of area 0'
    if width < 1 or height < 1:
        return 'smaller than a pixel'
    return None if annotation['category_id'] in category_ids else 'of no class of the config'


class Tally:
    """Counts the boxes of a training set while it is loaded.

    Attributes:
        boxes: the number of all boxes.
        left_out: reason -> number of boxes that are not used.
        largest: the largest number in all boxes.
    """

    def __init__(self) -> None:
        self.boxes = 0
        self.left_out: Counter[str] = Counter()
        self.largest = 0.0

    def add(self, image: dict, annotations: Sequence[dict], instances: Sequence[dict],
            category_ids: Sequence[int]) -> None:
        """Counts the annotations of an image, and those that became instances."""
        self.boxes += len(annotations)
        self.largest = max(self.largest, max((max(annotation['bbox']) for annotation in annotations), default=0))
        if len(instances) < len(annotations):
            reasons = (why_left_out(annotation, image, category_ids) for annotation in annotations)
            self.left_out.update(reason for reason in reasons if reason)

    def log_left_out(self, place: str, before: Sequence[dict], after: Sequence[dict],
                     filter_cfg: Mapping | None) -> None:
        """Logs how many boxes and images of a training set are not used.

        Args:
            place: the annotation file.
            before: the data infos that were loaded.
            after: the data infos that remain after filtering.
            filter_cfg: the ``filter_cfg`` of mmdet's data sets.

        Raises:
            UserError: nothing is left to train on. A set of images without annotations is accepted if ``filter_cfg``
                keeps them, because it may be part of a larger set.
        """
        crowds = sum(instance['ignore_flag'] for info in before for instance in info['instances'])
        of_boxes = counts({**self.left_out, CROWD: crowds})
        if not self.boxes:
            if after:  # background images, to be combined with other sets
                return
            raise UserError(f'{place}: it has no annotations, so there is nothing to train on')
        if sum(self.left_out.values()) + crowds >= self.boxes:
            hint = ('; they look like fractions of the image size, but COCO\'s are in pixels'
                    if self.largest <= 1.5 else '')
            raise UserError(f'{place}: none of its {self.boxes} boxes can be trained on: {of_boxes}{hint}')
        of_images = counts(self.why_filtered(before, after, filter_cfg or {}))
        if not any(not instance['ignore_flag'] for info in after for instance in info['instances']):
            raise UserError(f'{place}: none of its {len(before)} images can be trained on: {of_images}; change '
                            'min_size or filter_empty_gt of train_dataloader.dataset.filter_cfg')
        unused = [f'{sum(self.left_out.values())} of the {self.boxes} boxes ({counts(self.left_out)})'] \
            if self.left_out else []
        unused += [f'{len(before) - len(after)} of the {len(before)} images ({of_images})'] \
            if len(after) < len(before) else []
        if unused:
            print_log(f'{place}: trains without {" and ".join(unused)}', 'current', logging.INFO)

    @staticmethod
    def why_filtered(before: Sequence[dict], after: Sequence[dict], filter_cfg: Mapping) -> Counter[str]:
        """Reason -> number of images that the filter removed."""
        kept = {info['img_id'] for info in after}
        smallest = filter_cfg.get('min_size', 0)
        return Counter(f'with a side below filter_cfg.min_size={smallest}' if
                       min(info['width'], info['height']) < smallest else 'without an object' for info in before
                       if info['img_id'] not in kept)


def counts(reasons: Mapping[str, int]) -> str:
    """Counts as text, the largest first, such as '3 outside of the image, 1 of area 0'."""
    return ', '.join(f'{count} {reason}' for reason, count in sorted(reasons.items(), key=lambda item: -item[1])
                     if count)
