"""The page of a report, as a browser's parser sees it."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

import numpy as np
import pytest
from mmdet.datasets import CocoDataset
from PIL import Image

from mmext.detection.evaluation import NAMES as METRICS
from mmext.detection.report import write_report
from mmext.detection.report.analysis import analyse
from mmext.detection.report.page import metric_rows
from mmext.errors import UserError
from mmext.report.page import percent, points
from tests.html_page import Page

NAMES = ['cat', '<b>dog</b> & "co" $x_', 'a_name_of_no_less_than_' * 4]
TITLE = 'A <model> & more'
HISTORY = [dict(mode='train', iter=i, epoch=1, loss=9 - i, loss_cls=5 - i, loss_bbox=4.0, lr=0.1) for i in range(4)]
HISTORY += [dict(mode='val', iter=3, epoch=1, **{'coco/AP': 0.25, 'coco/AP50': 0.5, 'coco/APs': -1.0})]


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory) -> dict:
    """The arguments of a report of four images, one of which is missing and one broken."""
    folder = tmp_path_factory.mktemp('data')
    rng = np.random.default_rng(1)
    images = [dict(id=i, file_name=f'{i} é.jpg', width=90, height=60) for i in range(4)]
    for i in (0, 1):
        Image.fromarray(rng.integers(0, 255, (60, 90, 3), np.uint8)).save(folder / f'{i} é.jpg')
    (folder / '2 é.jpg').write_bytes(b'no image')
    objects = [dict(id=3 * i + j, image_id=i, category_id=(7, 4, 9)[j], bbox=[5 + 28 * j, 8, 20, 30], area=600)
               for i in range(4) for j in range(3)]
    found = [dict(image_id=entry['image_id'], category_id=entry['category_id'] if entry['id'] % 5 else 4,
                  bbox=[x + float(rng.normal(0, 2)) for x in entry['bbox']], score=round(float(rng.uniform(0.2, 1)), 3))
             for entry in objects for _ in range(entry['id'] % 3)]
    categories = [dict(id=id, name=name) for id, name in zip((7, 4, 9), NAMES)]
    path = folder / 'instances.json'
    path.write_text(json.dumps(dict(images=images, annotations=objects, categories=categories)))
    return dict(annotations=path, image_root=folder, detections=found)


@pytest.fixture(scope='module')
def report(data: dict, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(tmp_path_factory.mktemp('report'), TITLE, **data, history=HISTORY)


@pytest.fixture(scope='module')
def page(report: Path) -> Page:
    return Page(report.read_text(encoding='utf-8'))


@pytest.fixture(scope='module')
def analysis(data: dict):
    return analyse(json.loads(data['annotations'].read_text()), data['detections'], [7, 4, 9], 0.3)


def test_page_needs_nothing_else(page: Page, report: Path):
    assert [path.name for path in report.parent.iterdir()] == ['index.html']
    page.assert_self_contained()


def test_every_picture_has_a_text_and_every_reference_a_target(page: Page):
    pictures = [attributes for tag, attributes in page.tags if tag == 'img']
    plots = [attributes for tag, attributes in page.tags if tag == 'svg']
    assert len(pictures) == 4 and all(len(attributes['alt']) > 20 for attributes in pictures)
    assert len(plots) == 4 + 3 + 3
    assert all(attributes['role'] == 'img' and len(attributes['aria-label']) > 20 for attributes in plots)
    page.assert_references()


def test_names_are_text(page: Page):
    assert {TITLE, *NAMES} <= set(page.text.splitlines()) | {row[0] for row in page.rows('class-table')}
    assert NAMES[1] in page.text and not any(tag == 'model' for tag, _ in page.tags)


def test_tables_tell_the_numbers(page: Page, analysis):
    assert [(row[0], row[2]) for row in page.rows('metric-table')] == [
        (name, percent(analysis.metrics[name])) for name in METRICS]
    assert page.rows('class-table') == [
        [cls.name, str(cls.images), str(cls.objects), str(cls.detections), percent(cls.ap), percent(cls.ap50),
         percent(cls.ap75)] for cls in analysis.classes]
    lost, counts = analysis.errors['delta_ap'], analysis.errors['counts']
    assert [(row[0], row[2], row[3]) for row in page.rows('error-table')] == [
        (name, str(counts[kind]), f'{100 * lost[kind]:.2f}') for kind, name in (
            ('Cls', 'classification'), ('Loc', 'localisation'), ('Both', 'both'), ('Dupe', 'duplicate'),
            ('Bkg', 'background'), ('Miss', 'missed'))]
    assert page.rows('iou-table') == [
        [f'{0.5 + 0.05 * i:.2f}', percent(curves.mean())] for i, curves in enumerate(analysis.precision)]
    between = analysis.confusion[:-1, :-1]
    assert sum(int(row[2]) for row in page.rows('confusion-table')) == between.sum() - np.trace(between) > 0
    assert [row[1:] for row in page.rows('calibration-table') if row[1] != '0'] == [
        [str(entry['count']), percent(entry['avg_confidence']), percent(entry['avg_accuracy'])]
        for entry in analysis.calibration['bins'] if entry['count']]
    assert f'{percent(analysis.calibration["ece"])} %' in page.text


def test_pictures_are_the_images_with_boxes(page: Page):
    for attributes in (attributes for tag, attributes in page.tags if tag == 'img'):
        content = base64.b64decode(attributes['src'].removeprefix('data:image/jpeg;base64,'))
        assert Image.open(io.BytesIO(content)).size == (90, 60)


def test_files_that_cannot_be_read_are_named(page: Page):
    for problem in ('2 é.jpg: not an image', '3 é.jpg: No such file'):  # in the list, and in the picture's place
        assert page.text.count(problem) == 2
    assert '2 of these images could not be read' in page.text


def test_same_input_same_bytes(report: Path, data: dict, tmp_path: Path):
    assert write_report(tmp_path, TITLE, **data, history=HISTORY).read_bytes() == report.read_bytes()


def test_training(page: Page):
    assert {'Loss', 'Learning rate', 'Validation'} <= set(page.text.splitlines())
    labels = [attributes['aria-label'] for tag, attributes in page.tags if tag == 'svg'][-3:]
    assert labels == ['Loss against iterations; at the end: total 6, classes 2, boxes 4',
                      'Learning rate against iterations; at the end: learning rate 0.1',
                      'Validation against iterations; at the end: AP 25, AP50 50']


def test_metrics_of_something_else_are_refused_and_nothing_is_left(data: dict, analysis, tmp_path: Path):
    with pytest.raises(ValueError, match='AP75'):
        write_report(tmp_path, 'x', **data, metrics=dict(analysis.metrics, AP75=0.99))
    with pytest.raises(UserError, match='no such annotation file'):
        write_report(tmp_path, 'x', **dict(data, annotations=tmp_path / 'absent.json'))
    (tmp_path / 'file').touch()
    with pytest.raises(UserError, match="can't write there"):
        write_report(tmp_path / 'file', 'x', **data)
    assert [path.name for path in tmp_path.iterdir()] == ['file']


def test_a_missing_library_is_named(data: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr('mmext.report.page.installed', lambda name: name != 'hotcoco')
    with pytest.raises(UserError, match='pip install hotcoco$'):
        write_report(tmp_path, 'x', **data)


def test_the_papers_row_stands_beside_the_metrics(data: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(CocoDataset.METAINFO, 'classes', tuple(NAMES))
    paper = dict(source='Table VIII', metrics=dict(AP=0.2774, AP50=0.4585))
    page = Page(write_report(tmp_path, 'x', **data, paper=paper).read_text())
    assert 'Table VIII' in page.text and 'These are 4 images: the two do not compare' in page.text
    assert [row[3] for row in page.rows('metric-table')[:3]] == ['27.74', '45.85', '–']
    shown = [row[2:] for row in metric_rows(dict.fromkeys(METRICS, 0.3), paper)[:3]]
    assert shown == [('30.00', '27.74', '+2.26'), ('30.00', '45.85', '−15.85'), ('30.00', '–', '–')]


def test_numbers_as_text():
    assert [percent(value) for value in (0.69444, 1.0, 0.0, -1.0, None)] == ['69.44', '100.00', '0.00', '–', '–']
    assert [points(0.5, 0.25), points(0.25, 0.5)] == ['+25.00', '−25.00']
    assert [points(-1.0, 0.5), points(0.5, None)] == ['–', '–']
