"""Kinetics' CSVs as they are published, with every mistake that they can have."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmext.data.video.lists import read_classes
from mmext.data.video.prepare.kinetics import (
    Row,
    classes_of,
    find_files,
    labels_of,
    read_csv,
    require_same_classes,
)
from mmext.errors import UserError

HEAD = 'label,youtube_id,time_start,time_end,split,is_cc\n'


def put(root: Path, text: str) -> Path:
    (root / 'k.csv').write_text(text, encoding='utf-8')
    return root / 'k.csv'


def test_rows_with_quotes_and_commas(tmp_path: Path):
    path = put(tmp_path, '\ufeff"label","youtube_id","time_start","time_end","split","is_cc"\r\n'
               '"making snowman, outside",-abc_1,3,13,train,0\r\n"the ""splits""",b,000004,14.0,train,1\r\n'
               '"making snowman, outside",-abc_1,3,13,train,0\r\nabseiling,c,0,10,train\r\n')
    rows, splits = read_csv(path)
    assert rows == [Row('making snowman, outside', '-abc_1', 3, 13), Row('the splits', 'b', 4, 14),
                    Row('abseiling', 'c', 0, 10)] and splits == {'train'}


def test_columns_in_another_order_and_no_split(tmp_path: Path):
    rows, splits = read_csv(put(tmp_path, 'youtube_id,time_start,time_end,label\nx,1,2,a b\n'))
    assert rows == [Row('a b', 'x', 1, 2)] and splits == {''}


@pytest.mark.parametrize('text, message', [
    ('', 'no column label, youtube_id, time_start and 1 more, it has none'),
    ('youtube_id,time_start,time_end,split\nx,0,1,test\n', "no column label, it has youtube_id, time_start"),
    ('a.mp4 1\nb.mp4 2\n', 'it has a.mp4 1; a Kinetics CSV has label,youtube_id'), (HEAD, 'no rows'),
    (HEAD + 'a,x,0,10,train,0\nb,y,,10,train,0\n', 'line 3: no time_start'), (HEAD + 'a,x\n', 'line 2: no time_start'),
    (HEAD + 'a,x,zero,10,train,0\n', "line 2: time_start 'zero' or time_end '10' is not a number"),
    (HEAD + 'a,x,0,inf,train,0\n', "time_end 'inf' is not a number")])
def test_broken_csvs(tmp_path: Path, text: str, message: str):
    with pytest.raises(UserError) as caught:
        read_csv(put(tmp_path, text))
    assert message in str(caught.value) and 'k.csv' in str(caught.value) and '\n' not in str(caught.value)


def test_classes_are_numbered_as_mmaction2_does():
    names = ['tying tie', 'passing American football', 'passing soccer ball', 'abseiling', 'tying-up', 'abseiling']
    rows = [Row(name, 'x', 0, 10) for name in names]
    formal = sorted({name.replace(' ', '_') for name in names})  # its parse_kinetics_splits
    assert [name.replace(' ', '_') for name in classes_of(rows)] == formal
    assert classes_of(rows).index('tying-up') < classes_of(rows).index('tying tie'), 'where plain sorting differs'
    assert labels_of(rows, formal, 'k.csv') == {name: formal.index(name.replace(' ', '_')) for name in names}


def test_labels_must_be_in_the_class_list(tmp_path: Path):
    with pytest.raises(UserError, match=r"k.csv: 'abseilin': not in the class list; did you mean 'abseiling'\?"):
        labels_of([Row('abseilin', 'x', 0, 10)], ['abseiling', 'yoga'], 'k.csv')
    (tmp_path / 'classes.txt').write_text('a b\nc\n\na_b\n')
    with pytest.raises(UserError, match='classes.txt: a_b twice'):
        read_classes(tmp_path / 'classes.txt')
    (tmp_path / 'classes.txt').write_text('a_b\nc\n')
    assert read_classes(tmp_path / 'classes.txt') == ('a_b', 'c')
    require_same_classes(tmp_path / 'classes.txt', ['a b', 'c'])
    require_same_classes(tmp_path / 'none.txt', ['a'])
    for others in (['c', 'a b'], ['a b'], ['a b', 'c', 'd']):
        with pytest.raises(UserError, match='classes.txt: is there, with other classes'):
            require_same_classes(tmp_path / 'classes.txt', others)


@pytest.mark.parametrize('name', [
    'petting animal (not cat)/-x_y_000003_000013.mp4', 'petting_animal_(not_cat)/-x_y_000003_000013.webm',
    'petting_animal_not_cat/-x_y_3_13.mkv', '-x_y_000003_000013.MP4', '-x_y_3_13.avi', '-x_y.mp4',
    'petting_animal_(not_cat)/-x_y.mp4'])
def test_every_layout(tmp_path: Path, name: str):
    for other in (name, 'petting_animal_(not_cat)/-x_y_000004_000014.mp4', 'yoga/-x_y_000003_000013.mp4',
                  'deep/er/-x_y.mp4', '-x_y_000003_000013.txt', f'{name}.part'):
        (tmp_path / other).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / other).touch()
    row, gone = Row('petting animal (not cat)', '-x_y', 3, 13), Row('yoga', 'z', 3, 13)
    listing = find_files([row, gone], tmp_path)
    assert listing.entries == [(name, row)] and listing.absent == [gone] and not listing.shared
    assert listing.others == ['petting_animal_(not_cat)/-x_y_000004_000014.mp4', 'yoga/-x_y_000003_000013.mp4']


def test_the_more_exact_name_counts(tmp_path: Path):
    for name in ('x.mp4', 'x_000003_000013.avi', 'x_000003_000013.mp4'):
        (tmp_path / name).touch()
    assert [path for path, _ in find_files([Row('a', 'x', 3, 13)], tmp_path).entries] == ['x_000003_000013.mp4']


def test_a_file_of_two_clips_is_of_none(tmp_path: Path):
    (tmp_path / 'x.mp4').touch()
    (tmp_path / 'y.mp4').touch()
    rows = [Row('a', 'x', 0, 10), Row('a', 'y', 0, 10), Row('b', 'x', 20, 30)]
    listing = find_files(rows, tmp_path)
    assert listing.entries == [('y.mp4', rows[1])] and listing.shared == ['x.mp4'] and not listing.absent
