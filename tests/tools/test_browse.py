"""tools/browse.py as a user runs it: a page about the data of each task."""

from __future__ import annotations

import html
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from mmdet.models.task_modules import MaxIoUAssigner
from mmengine.registry import DefaultScope
from mmengine.structures import InstanceData

from mmext.analysis.browse import look_at
from mmext.analysis.browse.samples import best_iou
from mmext.engine.config import load_config, make_safe
from mmext.samples import Anchors
from mmext.task import task_of
from tests.classification.helpers import write_cifar10, write_folders
from tests.conftest import CONFIG, ROOT, error_line
from tests.tools.helpers import here, succeeded
from tests.video.clips import write

NASTY = '<script>alert(1)</script> & "x"'


def browsed(config: str, root: Path, out: Path, *flags: object) -> str:
    """The page."""
    printed = succeeded(here('browse.py', ROOT / config, '--data-root', root, '--out', out, *flags))
    assert f'page: {out / "index.html"}' in printed
    page = (out / 'index.html').read_text()
    assert not re.search(r'(src|href)="(?!data:|#)', page) and 'http-equiv="Content-Security-Policy"' in page
    return page


def test_a_page_about_detection_data(shapes: Path, tmp_path: Path):
    root = tmp_path / 'data'
    shutil.copytree(shapes, root)
    path = root / 'annotations' / 'instances_train2017.json'
    content = json.loads(path.read_text())
    content['categories'][0]['name'] = NASTY
    path.write_text(json.dumps(content))
    pages = [browsed(CONFIG, root, tmp_path / name, '--classes', 'auto', '--samples', 3, '--seed', seed)
             for name, seed in (('a', 1), ('b', 1), ('c', 2))]
    assert pages[0] == pages[1] != pages[2].replace('seed 2', 'seed 1')
    page = pages[0]
    assert page.count('<img src="data:image/jpeg;base64,') == 3 and page.count('<svg') == 2
    assert '<script>alert' not in page and html.escape(NASTY, quote=False)[:20] in page
    rows = re.findall(r'<th scope="row">(.*?)</th><td class="n">(\d+)</td><td class="n">[\d.]+</td><td class="wi', page)
    counts = {html.unescape(name): int(count) for name, count in rows}
    for category in content['categories']:
        objects = sum(one['category_id'] == category['id'] for one in content['annotations'])
        assert counts[category['name']] == objects
    assert 'boxes of 6 samples' in page and 'an IoU of at least 0.5' in page


def test_a_page_about_the_test_of_a_two_stage_detector(shapes: Path, tmp_path: Path):
    page = browsed('configs/faster_rcnn_iresnet50_fpn_coco.py', shapes, tmp_path, '--classes', 'circle,square',
                   '--split', 'test', '--backbone', 'iresnet18')
    assert page.count('<img src') == 2 and 'an IoU of at least 0.7' in page and '>triangle<' not in page


def test_pages_about_images(tmp_path: Path):
    write_folders(tmp_path / 'f' / 'train', dict(cat=4, dog=2), '.jpg', (60, 80))
    page = browsed('configs/classification/iresnet_imagenet.py', tmp_path / 'f', tmp_path / 'a', '--classes', 'auto')
    assert page.count('<img src') == 6 and '<th scope="row">cat</th><td class="n">4</td>' in page
    assert 'id="boxes"' not in page
    write_cifar10(tmp_path / 'cifar')
    page = browsed('configs/classification/rir_cifar10.py', tmp_path / 'cifar', tmp_path / 'b', '--samples', 5)
    assert page.count('<img src') == 5 and '<th scope="row">airplane</th>' in page


def test_a_page_about_videos(tmp_path: Path):
    (tmp_path / 'videos_train').mkdir()
    lines = []
    for i in range(3):
        write(tmp_path / 'videos_train' / f'v{i}.mp4', size=(64, 48))
        lines.append(f'v{i}.mp4 {i % 2}\n')
    (tmp_path / 'kinetics400_train_list_videos.txt').write_text(''.join(lines))
    (tmp_path / 'classes.txt').write_text('running\njumping\n')
    page = browsed('configs/iresnet3d50_kinetics400.py', tmp_path, tmp_path / 'a', '--classes', 'auto')
    assert page.count('<img src') == 3 and '<b>v1.mp4</b> jumping' in page
    assert '<th scope="row">running</th><td class="n">2</td>' in page


def test_anchors_are_those_of_the_model(shapes: Path):
    """The boxes without an anchor above the threshold are those that mmdet's assigner gives none."""
    config = load_config(ROOT / CONFIG, data_root=str(shapes), classes='auto')
    make_safe(config)
    anchors = task_of(config).anchors(config, (300, 300))
    assert isinstance(anchors, Anchors) and len(anchors.boxes) == 8732 and anchors.least_iou == 0.5
    corner = np.random.default_rng(0).uniform(0, 200, (40, 2))
    boxes = np.hstack([corner, corner + np.random.default_rng(1).uniform(3, 100, (40, 2))])
    best = best_iou(boxes, anchors.boxes)
    with DefaultScope.overwrite_default_scope('mmdet'):
        assigner = MaxIoUAssigner(0.5, 0.5, match_low_quality=False)
    assigned = assigner.assign(InstanceData(priors=torch.from_numpy(anchors.boxes)), InstanceData(
        bboxes=torch.from_numpy(boxes), labels=torch.zeros(40, dtype=torch.int64)))
    found = set(assigned.gt_inds[assigned.gt_inds > 0].tolist())
    assert 0 < len(found) < 40 and {i + 1 for i in np.flatnonzero(best >= 0.5)} >= found
    assert not {i + 1 for i in np.flatnonzero(best < 0.5)} & found


def test_samples_do_not_depend_on_their_number(shapes: Path):
    config = load_config(ROOT / CONFIG, data_root=str(shapes), classes='auto')
    make_safe(config)
    few, many = (look_at(config, 'train', count, 5).shown for count in (2, 4))
    assert all(np.array_equal(one.frames[0], other.frames[0]) for one, other in zip(few, many))


@pytest.mark.parametrize('flags, says', [
    (('--samples', 0), '--samples 0: need at least 1'), (('--seed', '-1'), '--seed -1: need a number from 0'),
    (('--data-root', 'absent'), 'absent/annotations/instances_train2017.json: no such annotation file'),
    (('--classes', 'a,b'), "is called 'a', 'b'"),
])
def test_what_is_no_page(shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: tuple, says: str):
    monkeypatch.chdir(tmp_path)
    line = error_line(here('browse.py', ROOT / CONFIG, '--data-root', shapes, '--out', 'page', *flags))
    assert says in line and not list(tmp_path.rglob('*.html'))


def test_a_page_that_cannot_be_written(shapes: Path, tmp_path: Path):
    (tmp_path / 'file').touch()
    assert "can't write there" in error_line(here('browse.py', ROOT / CONFIG, '--out', tmp_path / 'file'))
