"""Formats of annotations: what is read, what is written, and that both agree."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from mmext.detection.formats import FORMATS, format_of, xml
from mmext.detection.formats.convert import with_classes, with_validation, write_data
from mmext.detection.formats.pictures import Object, Picture, Source
from mmext.errors import UserError

SIZE = (100, 80)
BOXES = [(0, 0, 10, 20), (12.25, 3.1, 40.7, 1 / 3), (89.5, 70, 10.5, 10)]
PRECISION = dict(coco=0, voc=1e-12, labelme=1e-12, cvat=1e-12, yolo=1e-6)  # pixels, of an image of 100 pixels


@pytest.fixture
def source(tmp_path: Path) -> Source:
    """Two training images, one in a folder, and one for validation, which has no objects."""
    splits = {}
    for split, names in (('train', ('b.JPG', 'sub/ä b.png')), ('val', ('c.png', ))):
        splits[split] = []
        for name in names:
            path = tmp_path / 'images' / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new('RGB', SIZE).save(path)
            splits[split].append(Picture(name, path, *SIZE))
    splits['train'][0].objects += [Object('dog', BOXES[0]), Object('a & <b>', BOXES[1])]
    splits['train'][1].objects += [Object('dog', BOXES[2])]
    return Source(splits, ('dog', 'a & <b>'))


def again(kind: str, folder: Path) -> Source:
    """What is read of a data set that ``write_data`` has written."""
    read = format_of(kind).read
    if kind in ('labelme', 'cvat'):
        return with_validation(read(folder / 'train', None), read(folder / 'val', None), None, 0)
    return read(folder, None)


@pytest.mark.parametrize('link', [False, True])
@pytest.mark.parametrize('kind', FORMATS)
def test_there_and_back(source: Source, tmp_path: Path, kind: str, link: bool):
    write_data(tmp_path / 'out', source, kind, link)
    assert not list(tmp_path.glob('.*')), 'nothing else is left'
    found = again(kind, tmp_path / 'out')
    assert set(found.classes) == set(source.classes) and not found.skipped
    if kind in ('coco', 'yolo', 'cvat'):
        assert found.classes == source.classes, 'these formats list the classes'
    for split, pictures in source.splits.items():
        assert [picture.name for picture in found.splits[split]] == [picture.name for picture in pictures]
        for picture, other in zip(pictures, found.splits[split]):
            assert (other.width, other.height) == SIZE and other.path.is_symlink() == link
            assert other.path.read_bytes() == picture.path.read_bytes()
            assert [one.name for one in other.objects] == [one.name for one in picture.objects]
            for one, back in zip(picture.objects, other.objects):
                assert back.box == pytest.approx(one.box, rel=0, abs=PRECISION[kind])


@pytest.mark.parametrize('kind', FORMATS)
def test_flags(source: Source, tmp_path: Path, kind: str):
    objects = [Object('dog', BOXES[0], difficult=True), Object('dog', BOXES[1], crowd=True)]
    source.splits['train'][0].objects[:] = objects
    write_data(tmp_path / 'out', source, kind, False)
    flags = [(one.difficult, one.crowd) for one in again(kind, tmp_path / 'out').splits['train'][0].objects]
    assert flags == dict(voc=[(True, False), (True, False)], yolo=[]).get(kind, [(True, False), (False, True)])
    assert list(source.skipped.values()) == dict(voc=[1], yolo=[2]).get(kind, [])


VOC = '''<annotation><filename>other.jpg</filename><size><width>{0}</width><height>80</height></size><object>
<name> dog </name><difficult>1</difficult><bndbox><xmin>1</xmin><ymin>11</ymin><xmax>10</xmax><ymax>{1}</ymax></bndbox>
</object></annotation>'''


def voc(folder: Path, text: str = VOC.format(100, 30)) -> Path:
    """A folder with one image and its XML."""
    folder.mkdir(exist_ok=True)
    Image.new('RGB', SIZE).save(folder / 'x.jpg')
    (folder / 'x.xml').write_text(text)
    return folder


def test_pixels_of_voc_count_from_one_and_the_last_is_inside(tmp_path: Path):
    for width in (100, 0):  # 0: the size of the file is taken
        found = format_of('voc').read(voc(tmp_path / 'v', VOC.format(width, 30)), None)
        picture, = found.splits['']
        assert (picture.name, picture.width, picture.height) == ('x.jpg', *SIZE)
        assert picture.objects == [Object('dog', (0, 10, 10, 20), difficult=True)]


ENTITIES = '<!DOCTYPE a [<!ENTITY b "{}">]>' + VOC.format(100, 30).replace(' dog ', '&b;')


@pytest.mark.parametrize('text, says', [
    (ENTITIES.format('dog'), 'has a document type or entities'),
    ('<!DOCTYPE a SYSTEM "file:///etc/passwd">' + VOC.format(100, 30), 'has a document type or entities'),
    (VOC.format(100, 30)[:-20], 'not XML, or cut short'), ('', 'not XML, or cut short'),
    ('<annotations/>', 'its root element is annotations, not annotation'),
    (VOC.format(100, 5), 'object 1: the box from (0, 10) to (10, 5) has a negative size'),
    (VOC.format(100, 'x'), "object 1: 'x' is not a number"), (VOC.format(100, 'nan'), "'nan' is not a number"),
    (VOC.format('x', 30), "size: 'x' is not a number"), (VOC.format(100, ''), 'object 1: no <bndbox/ymax>'),
    (VOC.format(100, 30).replace('dog', ''), 'object 1: no <name>'),
])
def test_xml_that_is_refused(tmp_path: Path, text: str, says: str):
    with pytest.raises(UserError) as caught:
        format_of('voc').read(voc(tmp_path / 'v', text), None)
    assert f'{tmp_path}/v/x.xml: ' in str(caught.value) and says in str(caught.value) and '\n' not in str(caught.value)


def test_without_the_reader_of_xml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(xml, 'installed', lambda name: False)
    with pytest.raises(UserError, match='^reading XML needs defusedxml; pip install defusedxml$'):
        format_of('voc').read(voc(tmp_path / 'v'), None)


def test_images_that_are_missing(tmp_path: Path):
    folder = voc(tmp_path / 'v')
    (folder / 'x.jpg').rename(folder / 'other.jpg')
    assert format_of('voc').read(folder, None).splits[''][0].name == 'other.jpg', 'as <filename> names it'
    (folder / 'other.jpg').unlink()
    with pytest.raises(UserError, match=r'x.xml: no image x\.\* in .*; name the folder of the images with --images'):
        format_of('voc').read(folder, None)


def yolo(folder: Path, line: str, names: str = 'dog\ncat\n') -> Source:
    """What is read of an image with one line."""
    folder.mkdir(exist_ok=True)
    Image.new('RGB', SIZE).save(folder / 'x.png')
    (folder / 'x.txt').write_text(line + '\n')
    (folder / 'classes.txt').write_text(names)
    return format_of('yolo').read(folder, None)


def test_yolo_counts_in_fractions_from_the_centre(tmp_path: Path):
    assert yolo(tmp_path, '1 0.5 0.5 0.2 0.5').splits[''][0].objects == [Object('cat', (40, 20, 20, 40))]
    polygon = yolo(tmp_path, '0 0.1 0.5 0.2 0.25 0.4 0.75').splits[''][0].objects
    assert polygon == [Object('dog', (10, 20, 30, 40))]


@pytest.mark.parametrize('line, says', [
    ('2 0.5 0.5 0.2 0.5', "line 1: class '2' is not a number from 0 to 1"), ('dog 0.5 0.5 0.2 0.5', "class 'dog' is"),
    ('0 50 40 20 10', 'line 1: 50 is not a fraction of the image; are these pixels?'),
    ('0 0.5 0.5 0.2', 'line 1: 4 numbers; need "class x y width height"'), ('0 0.5 0.5 0.2 0.5 0.9', '6 numbers'),
    ('0 0.5 0.5 -0.2 0.5', 'has a negative size'), ('0 0.5 0.5 inf 0.5', "'inf' is not a number"),
])
def test_lines_of_yolo_that_are_refused(tmp_path: Path, line: str, says: str):
    with pytest.raises(UserError) as caught:
        yolo(tmp_path, line)
    assert f'{tmp_path}/x.txt: ' in str(caught.value) and says in str(caught.value)


@pytest.mark.parametrize('text, says', [
    ('names: [a', 'not YAML'), ('train: images', 'no names'), ('names: [a]', 'neither train nor val'),
    ('names: [a, a]\ntrain: images', 'a class is named twice'),
    ('names: {1: a}\ntrain: images', 'the numbers of its names are not 0 to 0'),
    ('names: [[a, b]]\ntrain: images', 'the name of a class is a list'), ('names: 2001-99-99', 'not YAML'),
    ('names: [a]\ntrain: none', 'train: .*none: no such folder'), ('names: [a]\ntrain: [x]', 'train is a list'),
])
def test_a_yaml_that_is_refused(tmp_path: Path, text: str, says: str):
    (tmp_path / 'data.yaml').write_text(text)
    with pytest.raises(UserError, match=f'{tmp_path}/data.yaml: .*{says}'):
        format_of('yolo').read(tmp_path, None)


def labelme(folder: Path, *shapes: dict) -> Source:
    """What is read of an image with these shapes."""
    Image.new('RGB', SIZE).save(folder / 'x.png')
    (folder / 'x.json').write_text(json.dumps(dict(shapes=shapes, imagePath='..\\y\\x.png', imageHeight=80,
                                                   imageWidth=100)))
    return format_of('labelme').read(folder, None)


def test_shapes_of_labelme(tmp_path: Path):
    found = labelme(tmp_path, dict(label='a', points=[[30, 40], [10, 5]], shape_type='rectangle'),
                    dict(label='b', points=[[1, 1], [5, 1], [3, 9]], shape_type='polygon', flags=dict(difficult=True)),
                    dict(label='c', points=[[20, 20], [23, 24]], shape_type='circle'),
                    dict(label='d', points=[[20, 20]], shape_type='point'))
    assert found.splits[''][0].objects == [Object('a', (10, 5, 20, 35)), Object('b', (1, 1, 4, 8), difficult=True),
                                           Object('c', (15, 15, 10, 10))]
    assert found.skipped == {'shapes of the type point, which have no box': 1}


@pytest.mark.parametrize('shape, says', [
    (dict(label='a'), 'no list of points'), (dict(label='a', points=[[1, 2]]), 'needs two or more points'),
    (dict(label=7, points=[[1, 2], [3, 4]]), 'the name of a class is a int, not text'),
    (dict(label='a', points=[[1, 2], [3, None]]), "'None' is not a number"),
])
def test_shapes_of_labelme_that_are_refused(tmp_path: Path, shape: dict, says: str):
    with pytest.raises(UserError, match=rf'x.json: shapes\[0\].*{says}'):
        labelme(tmp_path, shape)


def cvat(folder: Path, shapes: str, name: str = 'x.png') -> Source:
    """What is read of an image with these shapes."""
    Image.new('RGB', SIZE).save(folder / 'x.png')
    (folder / 'annotations.xml').write_text(f'<annotations><image id="0" name="{name}" width="100" height="80">{shapes}'
                                            '</image></annotations>')
    return format_of('cvat').read(folder, None)


def test_shapes_of_cvat(tmp_path: Path):
    found = cvat(tmp_path, '<box label="a" xtl="10" ytl="20" xbr="30" ybr="24"/><box label="a" xtl="10" ytl="20" '
                 'xbr="30" ybr="24" rotation="90"/><polygon label="b" points="1,1;5,1;3,9"/><ellipse label="b" cx="20" '
                 'cy="20" rx="3" ry="4"><attribute name="is_crowd">true</attribute></ellipse><mask label="b" '
                 'left="1" top="2" width="3" height="4" rle="12"/><points label="a" points="1,2"/><tag label="z"/>')
    boxes = [(10, 20, 20, 4), (18, 12, 4, 20), (1, 1, 4, 8), (17, 16, 6, 8), (1, 2, 3, 4)]
    objects = found.splits[''][0].objects
    assert [one.box for one in objects] == [pytest.approx(box) for box in boxes]
    assert [one.crowd for one in objects] == [False, False, False, True, False]
    assert found.classes == ('a', 'b') and found.skipped == {'shapes of the type points, which have no box': 1}


@pytest.mark.parametrize('shapes, name, says', [
    ('<box label="a" xtl="1"/>', 'x.png', "x.png: shape 1: ytl: 'None' is not a number"),
    ('<polygon label="a" points="1,2"/>', 'x.png', 'a polygon needs three or more points'),
    ('', '../x.png', "'../x.png' is not the name of an image in its folder"),
    ('', '/etc/x.png', "'/etc/x.png' is not the name of an image in its folder"), ('', 'y.png', r'no image y\.\*'),
    ('<box xtl="1" ytl="1" xbr="2" ybr="2"/>', 'x.png', 'the name of a class is a NoneType, not text'),
])
def test_files_of_cvat_that_are_refused(tmp_path: Path, shapes: str, name: str, says: str):
    with pytest.raises(UserError, match=f'{tmp_path}/annotations.xml: .*{says}'):
        cvat(tmp_path, shapes, name)


def test_numbers_that_a_training_would_refuse(tmp_path: Path):
    found = cvat(tmp_path, '<box label="a" xtl="1" ytl="1" xbr="1e300" ybr="2"/>')
    with pytest.raises(UserError, match=r'x.png: bbox \[1, 1, .* is not \[x, y, width, height\] in finite numbers'):
        write_data(tmp_path / 'out', with_validation(found, found, None, 0), 'coco', False)
    assert not (tmp_path / 'out').exists()


def test_videos_of_cvat(tmp_path: Path):
    (tmp_path / 'a.xml').write_text('<annotations><track id="0" label="a"/></annotations>')
    with pytest.raises(UserError, match='export the task as "CVAT for images 1.1"'):
        format_of('cvat').read(tmp_path / 'a.xml', None)


def test_names_that_both_splits_have(source: Source, tmp_path: Path):
    source.splits['val'][0].name = 'sub/ä b.png'
    write_data(tmp_path / 'out', source, 'voc', False)
    found = format_of('voc').read(tmp_path / 'out', None).splits
    assert [picture.name for picture in found['train']] == ['train_b.JPG', 'sub/train_ä b.png']
    assert [picture.name for picture in found['val']] == ['sub/val_ä b.png']


def test_classes_are_chosen_and_ordered(source: Source):
    assert with_classes(source, ['a & <b>', 'dog']).classes == ('a & <b>', 'dog')
    chosen = with_classes(source, ['dog'])
    assert [len(picture.objects) for picture in chosen.pictures] == [1, 1, 0]
    with pytest.raises(UserError, match="no class is called 'dgo'; did you mean 'dog'?"):
        with_classes(source, ['dgo'])


def test_validation_is_drawn_by_a_seed(source: Source):
    pictures = source.pictures
    draws = [[picture.name for picture in with_validation(Source({'': pictures}, ()), None, 0.34, seed).splits['val']]
             for seed in (0, 0, 1, 2, 3)]
    assert draws[0] == draws[1] and len({*map(tuple, draws)}) > 1 and all(len(draw) == 1 for draw in draws)
    for share in (0, 1, 0.01, float('nan')):
        with pytest.raises(UserError, match='--val-share'):
            with_validation(Source({'': pictures}, ()), None, share, 0)
    for other, share in ((None, None), (Source({'': []}, ()), 0.5)):
        with pytest.raises(UserError, match='either --val'):
            with_validation(Source({'': pictures}, ()), other, share, 0)
        with pytest.raises(UserError) if share else pytest.MonkeyPatch.context():
            with_validation(source, other, share, 0)


def test_a_failure_leaves_nothing(source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    source.splits['val'][0].path.unlink()
    with pytest.raises(UserError, match='c.png: No such file'):
        write_data(tmp_path / 'out', source, 'voc', False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ['images']
    source.splits['val'] = [Picture(name, source.splits['train'][0].path, *SIZE) for name in ('b.png', 'b.jpg')]
    with pytest.raises(UserError, match='would have the same name'):
        write_data(tmp_path / 'out', source, 'voc', False)
    (tmp_path / 'out').mkdir()
    (tmp_path / 'out' / 'x').touch()
    with pytest.raises(UserError, match='exists and is not empty'):
        write_data(tmp_path / 'out', source, 'coco', False)
    assert sorted(path.name for path in (tmp_path / 'out').iterdir()) == ['x']
