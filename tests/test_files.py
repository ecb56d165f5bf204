"""Text is read alike whatever its encoding and line ends, or refused in one line."""

from __future__ import annotations

import codecs
from pathlib import Path

import pytest

from mmext.data.video.lists import read_classes, read_list
from mmext.errors import UserError
from mmext.files import print_left_out, read_json, read_text


@pytest.mark.parametrize(('mark', 'encoding'), [
    (b'', 'utf-8'), (codecs.BOM_UTF8, 'utf-8'), (codecs.BOM_UTF16_LE, 'utf-16-le'), (codecs.BOM_UTF16_BE, 'utf-16-be'),
    (codecs.BOM_UTF32_LE, 'utf-32-le')])
@pytest.mark.parametrize('end', ['\n', '\r\n', '\r'])
def test_every_encoding(tmp_path: Path, mark: bytes, encoding: str, end: str) -> None:
    def written(text: str) -> Path:
        path = tmp_path / 'a.txt'
        path.write_bytes(mark + text.replace('\n', end).encode(encoding))
        return path

    assert read_text(written('größe\nb\n')) == 'größe\nb\n'
    assert read_json(written('{"größe":\n1}'), 'file') == {'größe': 1}
    assert read_list(written('größe.mp4 0\nb.mp4 1\n')) == [('größe.mp4', 0), ('b.mp4', 1)]
    assert read_classes(written('größe\nb\n')) == ('größe', 'b')


@pytest.mark.parametrize(('content', 'says'), [
    ('größe'.encode('latin-1'), 'not text in UTF-8 .*save it as UTF-8'), ('ab'.encode('utf-16-le'), 'UTF-16 without'),
    (codecs.BOM_UTF16_LE + b'a', 'not text')])
def test_other_encodings_are_refused(tmp_path: Path, content: bytes, says: str) -> None:
    (tmp_path / 'a.txt').write_bytes(content)
    for read in (read_text, read_classes, read_list, lambda path: read_json(path, 'file')):
        with pytest.raises(UserError, match=f'a.txt: .*{says}'):
            read(tmp_path / 'a.txt')


def test_what_is_left_out_is_told(capsys: pytest.CaptureFixture) -> None:
    print_left_out('in', ['a.doc', '.hidden', 'Thumbs.db', 'b.xyz'])
    assert capsys.readouterr().err == 'in: left out 2 files whose suffix is not that of videos (a.doc, b.xyz)\n'
