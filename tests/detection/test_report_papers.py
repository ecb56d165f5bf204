"""The papers' rows, and which configs they are of."""

from __future__ import annotations

from pathlib import Path

import pytest
from mmdet.datasets import CocoDataset
from mmengine.config import Config

import mmext
from mmext.detection.evaluation import NAMES as METRICS
from mmext.detection.report import paper_row
from mmext.detection.report.papers import rows
from mmext.detection.report.write import comparison
from mmext.engine.swap import swap_backbone

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize('classes, images, shown, noted', [(80, 5000, True, False), (80, 3, True, True),
                                                           (79, 5000, False, False)])
def test_only_coco_is_compared(classes: int, images: int, shown: bool, noted: bool):
    names = CocoDataset.METAINFO['classes'][:classes]
    paper = dict(source='Table VIII', metrics={})
    categories = [dict(id=number, name=name) for number, name in enumerate(names)]
    row, note = comparison(dict(images=[{}] * images, categories=categories), list(range(len(names))), paper)
    assert (row is paper, 'do not compare' in note) == (shown, noted)


@pytest.mark.parametrize('config, backbone, printed', [
    ('ssd300_iresnet50_coco', None, (0.2774, 0.4585)), ('ssd300_iresgroupfix101_coco', None, (0.3164, 0.5070)),
    ('ssd300_iresnet50_coco', 'iresgroup50', (0.2956, 0.4838)), ('ssd512_iresnet50_coco', None, None),
    ('ssd300_resnet50_recursive_coco', None, None), ('faster_rcnn_cresnet27_b2_c5_coco', None, (0.245, 0.423)),
    ('faster_rcnn_resnet50_c5_coco', None, (0.259, 0.435)), ('faster_rcnn_resnet50_fpn_coco', None, None),
])
def test_the_papers_row(config: str, backbone: str | None, printed: tuple | None):
    model = Config.fromfile(ROOT / f'configs/{config}.py').model
    if backbone:
        config = Config(dict(model=model))
        swap_backbone(config, backbone)
        model = config.model
    row = paper_row(model)
    assert (row and (row['metrics']['AP'], row['metrics']['AP50'])) == printed


def test_every_printed_row_is_of_a_network_of_ours():
    assert len(rows()) == 15 and {row['backbone'] for row in rows()} <= set(mmext.list_backbones())
    assert all(set(row['metrics']) <= set(METRICS) for row in rows())
    assert all(0 < value < 1 for row in rows() for value in row['metrics'].values())
