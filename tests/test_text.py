"""Names from files go through every output, or are refused; no name of a file leads out of the data root."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from mmext.backbones.trained import Trained
from mmext.data.video.lists import read_classes
from mmext.detection.annotations import read_annotations
from mmext.detection.report import write_report
from mmext.engine import metric_tables
from mmext.text import markdown_text, printable, require_inside
from tests.backbones.helpers import user_error

BAD = ['a\nb', 'a\x1b[31m', '\udc80', 'a\u2028b', 5, None, '', ' ']
ODD = ['a|b', '<b>x</b>', '<script>alert(1)</script>', '[red]x', '$\\x$', 'é漢', '*x*', '_x_', 'a_b', '&amp;', 'a/b',
       '"\'']


def coco(names: list, files: list[str]) -> dict:
    return dict(images=[dict(id=i, file_name=name, height=40, width=60) for i, name in enumerate(files)],
                categories=[dict(id=i, name=name) for i, name in enumerate(names)],
                annotations=[dict(id=i, image_id=0, category_id=i, bbox=[3, 3, 20, 20], area=400, iscrowd=0)
                             for i in range(len(names))])


def written(folder: Path, content: dict) -> Path:
    (folder / 'annotations.json').write_text(json.dumps(content))
    return folder / 'annotations.json'


@pytest.mark.parametrize('name', BAD)
def test_unusable_names_are_refused_where_they_are_read(name: object, tmp_path: Path):
    with user_error('annotations.json', 'of a class'):
        read_annotations(written(tmp_path, coco([name], ['x.jpg'])))
    if isinstance(name, str) and name.strip():
        torch.save(dict(state_dict={}, meta=dict(dataset_meta=dict(classes=[name]))), tmp_path / 'x.pth')
        with user_error('x.pth: its meta', 'of a class'):
            Trained.read(str(tmp_path / 'x.pth'))


def test_a_control_character_in_a_class_file(tmp_path: Path):
    (tmp_path / 'classes.txt').write_text('a\n\x1b[31mb\n')
    with user_error('classes.txt', "'\\x1b[31mb'"):
        read_classes(tmp_path / 'classes.txt')


def test_odd_names_come_out_as_they_are(tmp_path: Path, capsys: pytest.CaptureFixture):
    cv2.imwrite(str(tmp_path / 'x.jpg'), np.full((40, 60, 3), 128, np.uint8))
    annotations = written(tmp_path, coco(ODD, ['x.jpg']))
    found = [dict(image_id=0, category_id=i, bbox=[3, 3, 20, 20], score=0.9) for i in range(len(ODD))]
    page = write_report(tmp_path / 'report', 'a\n<title>', annotations, tmp_path, found).read_text(encoding='utf-8')
    assert '<script>alert' not in page and '<b>x' not in page and '&lt;script&gt;alert' in page
    classes = {name: dict(AP=0.5, objects=3) for name in ODD}
    metric_tables.print_tables(dict(AP=0.5), classes, '[red]title')
    shown = capsys.readouterr().out
    assert all(name in shown for name in (*ODD, '[red]'))
    metric_tables.write(str(tmp_path / 'x.md'), dict(AP=0.5), classes, 'title')
    rows = [line for line in (tmp_path / 'x.md').read_text(encoding='utf-8').splitlines() if line.startswith('| ')]
    assert all(line.replace(r'\|', '').count('|') == 4 for line in rows[3:])
    metric_tables.write(str(tmp_path / 'x.json'), dict(AP=0.5), classes, 'title')
    assert list(json.loads((tmp_path / 'x.json').read_text())['per_class']) == ODD


def test_markdown_is_shown_as_text():
    assert markdown_text('<b>*a* [x](y) `c` a_b _d_ \\') == r'\<b\>\*a\* \[x\](y) \`c\` a_b \_d\_ \\'
    assert printable('a\n\udc80é') == r'a\n\udc80é'


@pytest.mark.parametrize('name', ['../../secret.jpg', '../other/../../secret.jpg', '{outside}/secret.jpg', '..'])
def test_a_report_takes_nothing_from_outside(name: str, tmp_path: Path):
    images = tmp_path / 'data' / 'val'
    images.mkdir(parents=True)
    cv2.imwrite(str(tmp_path / 'secret.jpg'), np.full((40, 60, 3), 128, np.uint8))
    name = name.format(outside=tmp_path)
    annotations = written(tmp_path, coco(['a'], [name]))
    with user_error('annotations.json', name, 'leads out of the data root'):
        write_report(tmp_path / 'report', 'x', annotations, images, [],
                     data_root=tmp_path / 'data' if name != '..' else '')
    assert not (tmp_path / 'report' / 'index.html').exists()


def test_what_users_have_in_their_data_root_is_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / 'elsewhere').mkdir()
    (tmp_path / 'data').mkdir()
    (tmp_path / 'data' / 'val').symlink_to(tmp_path / 'elsewhere')
    (tmp_path / 'link').symlink_to(tmp_path / 'data')
    monkeypatch.chdir(tmp_path)
    names = ['x.jpg', 'a/b.jpg', '../train/x.jpg', f'{tmp_path}/data/val/x.jpg', 'a..b.jpg', f'{tmp_path}/link/x.jpg']
    require_inside('link', 'link/val', names, 'x.json')
    require_inside('', '', ['x.jpg', f'{tmp_path}/x.jpg'], 'x.json')
