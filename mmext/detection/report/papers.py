"""Results on COCO that the papers print for detectors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from mmext.backbones.names import is_named
from mmext.config_tree import kind_of


@cache
def rows() -> list[dict]:
    """All rows: detector, backbone (a name of ``list_backbones()``), source, metrics (name: fraction of 1)."""
    return json.loads(Path(__file__).with_name('papers.json').read_text())


def detector_of(model: Mapping) -> str | None:
    """The kind of detector that a config's model is, if a paper has it: 'ssd300', 'faster_rcnn_c5' or None."""
    kind = kind_of(model)
    head = model.get('bbox_head') or {}
    if kind_of(head) == 'SSDHead':
        return 'ssd300' if (head.get('anchor_generator') or {}).get('input_size') == 300 else None
    return 'faster_rcnn_c5' if kind == 'FasterRCNN' and not model.get('neck') else None


def paper_row(model: Mapping) -> dict | None:
    """The row that a paper prints for the detector and the backbone of a config's ``model``; None if there is none."""
    detector, backbone = detector_of(model), model.get('backbone') or {}
    for row in rows():
        if row['detector'] == detector and is_named(backbone, row['backbone']):
            return row
    return None
