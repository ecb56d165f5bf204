"""Writes the report to a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from mmext.detection.annotations import read_annotations
from mmext.report import page
from mmext.text import require_inside

VAL2017_IMAGES = 5000


def require_report(folder: str | Path) -> None:
    """Raises a UserError if a report can't be written to the folder, or a library that it needs is not installed."""
    page.require_report(folder, ('hotcoco', ))


def write_report(folder: str | Path, title: str, annotations: str | Path, image_root: str | Path,
                 detections: Sequence[Mapping], *, category_ids: Sequence[int] | None = None,
                 metrics: Mapping[str, float] | None = None, paper: dict | None = None,
                 history: Sequence[dict] = (), score: float = 0.3,
                 data_root: str | Path = '') -> Path:
    """Writes one self-contained HTML page, atomically. The same input gives the same bytes.

    Args:
        folder: where ``index.html`` is written.
        title: the heading of the page.
        annotations: the ground truth, a COCO annotation file.
        image_root: the folder that its ``file_name`` start from. Images that can't be read are named on the page.
        detections: in COCO's result format: image_id, category_id, bbox [x, y, width, height] in pixels, score.
        category_ids: the classes that are evaluated, in the order of the tables; all by default.
        metrics: the twelve metrics of these detections as fractions of 1, if they are already known, to be compared.
        paper: what a paper prints, as ``paper_row`` returns it, to be shown beside the metrics. It is left out if the
            classes are not COCO's; if the number of images is not COCO's, the page says so.
        history: records of the training, as ``mmext.engine.log.read_scalars`` returns them.
        score: detections with a lower score are left out of images, confusion matrix and choice of images.
        data_root: no ``file_name`` may lead out of this folder; ``image_root`` by default.

    Returns:
        The path of the file.

    Raises:
        UserError: the annotations are missing or malformed, a detection is of no image or class of theirs, or a
            library is not installed.
        ValueError: ``metrics`` are not those of the detections.
    """
    require_report(folder)
    from mmext.detection.report.analysis import analyse
    from mmext.detection.report.page import render

    content = read_annotations(annotations)
    require_inside(data_root, image_root, (image['file_name'] for image in content['images']), annotations)
    if category_ids is None:
        category_ids = [category['id'] for category in content['categories']]
    analysis = analyse(content, detections, list(category_ids), score)
    for name, value in analysis.metrics.items():
        if metrics and name in metrics and abs(metrics[name] - value) > 1e-6:
            raise ValueError(f'{name} is {value} of these detections, not {metrics[name]}')
    row, note = comparison(content, category_ids, paper)
    return page.write_page(folder, render(title, analysis, Path(image_root), row, note, history))


def comparison(content: dict, category_ids: Sequence[int], paper: dict | None) -> tuple[dict | None, str]:
    """The paper's row if it is of the same classes, else None, and a remark about it, or ''."""
    from mmdet.datasets import CocoDataset

    names = {category['id']: category['name'] for category in content['categories']}
    if not paper or {names[category] for category in category_ids} != set(CocoDataset.METAINFO['classes']):
        return None, ''
    images = len(content['images'])
    if images != VAL2017_IMAGES:
        return paper, (f"The paper's figures are of COCO's {VAL2017_IMAGES:,} validation images. These are {images:,} "
                       'images: the two do not compare.')
    return paper, ''
