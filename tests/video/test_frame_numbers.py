"""Folders of frames are counted from where their list says, or the run is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmext.errors import UserError
from mmext.video import FrameDataset


@pytest.mark.parametrize(('first', 'template', 'asked', 'says'), [
    (0, 'img_{:05}.jpg', 1, 'has img_00000.jpg, but start_index is 1; set start_index=0'),
    (1, 'img_{:05}.jpg', 0, 'begins with img_00001.jpg, but start_index is 0; set start_index=1'),
    (1, 'frame{:03}.png', 1, 'has no img_00001.jpg but frame001.png.*filename_tmpl'),
    (1, 'img_{:05}.jpg', 1, None), (0, 'img_{:05}.jpg', 0, None)])
@pytest.mark.parametrize('slash', ['', '/'])
def test_numbers_and_names(tmp_path: Path, first: int, template: str, asked: int, says: str | None, slash: str) -> None:
    (tmp_path / 'a').mkdir()
    for number in range(first, first + 5):
        (tmp_path / 'a' / template.format(number)).touch()
    (tmp_path / 'list.txt').write_text(f'a{slash} 5 0\n')
    given = dict(ann_file=str(tmp_path / 'list.txt'), data_prefix=dict(video=str(tmp_path)), start_index=asked)
    if says is None:
        assert len(FrameDataset(**given)) == 1
    else:
        with pytest.raises(UserError, match=says):
            FrameDataset(**given)


@pytest.mark.parametrize(('name', 'says'), [('b/', r'\(b\)'), ('b\\c', 'backslash')])
def test_a_missing_folder_is_named(tmp_path: Path, name: str, says: str) -> None:
    (tmp_path / 'list.txt').write_text(f'{name} 5 0\n')
    with pytest.raises(UserError, match=says):
        FrameDataset(ann_file=str(tmp_path / 'list.txt'), data_prefix=dict(video=str(tmp_path)))
