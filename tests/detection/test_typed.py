"""The fast reader of annotations finds what the slow one finds, and the data list is mmdet's."""

from __future__ import annotations

import copy
import json
import os
from pathlib import Path

import numpy as np
import pytest
from mmdet.datasets import CocoDataset as MMDetCocoDataset
from PIL import Image

from mmext.data import once
from mmext.detection import CocoDataset, annotations, typed
from mmext.detection.annotations import read_annotations, read_untyped
from mmext.errors import UserError

FIELDS = dict(images=('id', 'file_name', 'height', 'width'),
              annotations=('id', 'image_id', 'category_id', 'bbox', 'area', 'iscrowd', 'ignore'),
              categories=('id', 'name'))


def made_up(rng: np.random.Generator) -> dict:
    """Objects of all kinds: crowds, outside of the image, without a size, with outlines, to be ignored."""
    images = [dict(id=int(number), file_name=f'{number}.jpg', height=80, width=100, license=1)
              for number in rng.permutation(12)]
    objects = []
    for number in range(80):
        box = np.append(rng.uniform(-30, 110, 2), rng.choice([0.0, 0.5, 7.25, 40.0], 2)).tolist()
        entry = dict(id=number if number % 7 else f'n{number}', image_id=int(rng.integers(12)), bbox=box,
                     category_id=int(rng.choice([4, 9, 2])), area=float(rng.choice([0, 1, 50.5])))
        for key in ('iscrowd', 'ignore'):
            if rng.random() < 0.3:
                entry[key] = int(rng.integers(2))
        if rng.random() < 0.5:
            entry['segmentation'] = [[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]]
        objects.append(entry)
    return dict(info={}, images=images, annotations=objects,
                categories=[dict(id=one, name=name) for one, name in ((4, 'cat'), (9, 'dog'), (2, 'eel'))])


def written(content: dict, folder: Path) -> Path:
    path = folder / 'instances.json'
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize('seed', range(5))
def test_what_is_decoded(seed: int, tmp_path: Path):
    path = written(made_up(np.random.default_rng(seed)), tmp_path)
    whole = read_untyped(path)
    kept = {key: [{field: entry[field] for field in fields if field in entry} for entry in whole[key]]
            for key, fields in FIELDS.items()}
    assert typed.decode(path) == kept
    assert read_annotations(path) == kept and read_annotations(path, outlines=True) == whole


@pytest.mark.parametrize('place, value', [
    ('iscrowd', True), ('iscrowd', 1.0), ('ignore', None), ('bbox', [1, 2, 3, 4]), ('area', 7), ('id', 'a')])
def test_what_only_the_slow_reader_takes_is_still_taken(place: str, value: object, tmp_path: Path):
    content = made_up(np.random.default_rng(0))
    content['annotations'][3][place] = value
    found = read_annotations(written(content, tmp_path))
    assert found['annotations'][3][place] == value


@pytest.mark.parametrize('content', [b'', b'{', b'null', b'[]', '{"images": "\u00e9"'.encode('latin-1')])
def test_no_annotations(content: bytes, tmp_path: Path):
    (tmp_path / 'a.json').write_bytes(content)
    assert typed.decode(tmp_path / 'a.json') is None
    assert typed.decode(tmp_path / 'none.json') is None and typed.decode(tmp_path) is None


@pytest.mark.parametrize('with_mask', [False, True])
@pytest.mark.parametrize('seed', range(3))
def test_the_data_list_is_that_of_mmdet(seed: int, with_mask: bool, tmp_path: Path):
    content = made_up(np.random.default_rng(seed))
    for image in content['images']:
        Image.new('RGB', (100, 80)).save(tmp_path / image['file_name'])
    options = dict(ann_file=str(written(content, tmp_path)), data_prefix=dict(img=str(tmp_path)), serialize_data=False,
                   metainfo=dict(classes=('cat', 'dog', 'eel')), filter_cfg=dict(filter_empty_gt=True, min_size=32),
                   pipeline=[dict(type='mmdet.LoadAnnotations', with_bbox=True, with_mask=with_mask)])
    plain = copy.deepcopy(content)
    for annotation in () if with_mask else plain['annotations']:
        annotation.pop('segmentation', None)
    (tmp_path / 'plain.json').write_text(json.dumps(plain))
    theirs = MMDetCocoDataset(**dict(options, ann_file=str(tmp_path / 'plain.json')))
    ours = CocoDataset(**options)
    assert ours.data_list == theirs.data_list and list(ours.cat_ids) == theirs.cat_ids
    assert ours.get_cat_ids(0) == theirs.get_cat_ids(0)
    assert any('mask' in instance for info in ours.data_list for instance in info['instances']) == with_mask


def test_a_file_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path, reads = written(made_up(np.random.default_rng(0)), tmp_path), []
    monkeypatch.setattr(typed, 'decode', lambda path: reads.append(path) or read_untyped(path))
    first = read_annotations(path)
    assert read_annotations(str(path)) is first and len(reads) == 1
    os.utime(path, ns=(0, 0))
    assert read_annotations(path) is not first and len(reads) == 2
    other = tmp_path / 'other.json'
    other.write_bytes(path.read_bytes())
    read_annotations(other)
    assert len(once.KEPT) == 1, 'only the last file stays in memory'
    once.forget()
    assert not once.KEPT
    other.unlink()
    with pytest.raises(UserError, match='no such annotation file'):
        read_annotations(other)


def test_without_the_fast_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(annotations, 'installed', lambda module: False)
    path = written(made_up(np.random.default_rng(0)), tmp_path)
    once.forget()
    assert read_annotations(path) == read_untyped(path)
