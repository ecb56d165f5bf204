"""Files are read whole, or refused in one line; a pickle can't run code."""

from __future__ import annotations

import gzip
import os
import pickle
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from mmext.classification.readers import locate, read_idx, read_mat, read_pickle
from tests.classification.helpers import pixels, python2, python3, refused, write_idx, write_svhn

HINT = 'get it from https://example.org'


class Evil:
    """Leaves a file behind when it is unpickled without care."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path), )


@pytest.mark.parametrize('protocol', range(6))
def test_pickles_of_python_3(tmp_path: Path, protocol: int):
    content = {'data': pixels(3, 7), b'labels': [1, np.int64(2)], 'names': [b'a', 'b'], 'order': np.asfortranarray(
        pixels(2, 3))}
    python3(tmp_path / 'batch', content, protocol)
    read = read_pickle(tmp_path / 'batch', HINT)
    assert np.array_equal(read['data'], content['data']) and np.array_equal(read['order'], content['order'])
    assert read['labels'] == [1, 2] and read['names'] == [b'a', 'b']


def test_pickles_of_python_2(tmp_path: Path):
    data = pixels(3, 7)
    python2(tmp_path / 'batch', {'data': data, 'labels': [1, 2], 'names': ['a']})
    assert b'numpy.core.multiarray' in (tmp_path / 'batch').read_bytes()
    read = read_pickle(tmp_path / 'batch', HINT)
    assert np.array_equal(read['data'], data) and read['labels'] == [1, 2] and read['names'] == ['a']


@pytest.mark.parametrize('protocol', range(6))
def test_a_pickle_runs_no_code(tmp_path: Path, protocol: int):
    python3(tmp_path / 'batch', {'data': Evil(tmp_path / 'made')}, protocol)
    line = refused(lambda: read_pickle(tmp_path / 'batch', HINT))
    assert f'{tmp_path}/batch: ' in line and 'mkdir, which is not loaded for safety' in line and line.endswith(HINT)
    assert not (tmp_path / 'made').exists()
    with open(tmp_path / 'batch', 'rb') as file:
        pickle.load(file)
    assert (tmp_path / 'made').is_dir(), 'the pickle would have done harm'


@pytest.mark.parametrize('name', ['builtins\neval', 'builtins\ngetattr', 'numpy\nload',
                                  'numpy.core.multiarray\nfromfile'])
def test_other_functions_are_refused(tmp_path: Path, name: str):
    (tmp_path / 'batch').write_bytes(f'c{name}\n(Vx\ntR.'.encode())
    assert name.replace('\n', '.') in refused(lambda: read_pickle(tmp_path / 'batch', HINT))


def test_other_codecs_are_refused(tmp_path: Path):
    (tmp_path / 'batch').write_bytes(b'c_codecs\nencode\n(Vx\nVidna\ntR.')
    assert "it uses the codec 'idna'" in refused(lambda: read_pickle(tmp_path / 'batch', HINT))


@pytest.mark.parametrize('share', [0, 0.1, 0.5, 0.99])
@pytest.mark.parametrize('write', [python2, python3])
def test_a_truncated_pickle(tmp_path: Path, write, share: float):
    write(tmp_path / 'batch', {'data': pixels(30, 70), 'labels': [1, 2]})
    content = (tmp_path / 'batch').read_bytes()
    (tmp_path / 'batch').write_bytes(content[:int(len(content) * share)])
    assert 'batch: truncated, damaged' in refused(lambda: read_pickle(tmp_path / 'batch', HINT))


def test_damaged_pickles_end_in_one_line(tmp_path: Path):
    python2(tmp_path / 'batch', {'data': pixels(4, 5), 'labels': [1, 2]})
    content = (tmp_path / 'batch').read_bytes()
    generator = np.random.default_rng(0)
    outcomes = set()
    for _ in range(200):
        damaged = bytearray(content)
        damaged[generator.integers(len(content))] = generator.integers(256)
        (tmp_path / 'batch').write_bytes(damaged)
        try:
            outcomes.add(type(read_pickle(tmp_path / 'batch', HINT)))
        except Exception as error:  # whatever it is, it has to be a UserError
            outcomes.add(type(error))
    assert {outcome.__name__ for outcome in outcomes} == {'dict', 'UserError'}


def test_a_pickle_of_something_else(tmp_path: Path):
    python3(tmp_path / 'batch', [1, 2])
    assert 'it holds a list, not a dict' in refused(lambda: read_pickle(tmp_path / 'batch', HINT))


@pytest.mark.parametrize('packed', ['', '.gz'])
@pytest.mark.parametrize('shape', [(3, 4, 5), (7, ), (0, 4, 4)])
def test_idx(tmp_path: Path, shape: tuple[int, ...], packed: str):
    array = pixels(*shape)
    write_idx(tmp_path / f'file{packed}', array)
    read = read_idx(tmp_path / f'file{packed}', len(shape), HINT)
    assert np.array_equal(read, array) and read.flags.writeable


@pytest.mark.parametrize(('damage', 'words'), [
    (lambda content: content[:-1], 'announces 3 x 4 x 5 = 60 bytes, but 59 follow'),
    (lambda content: content + b'x', '61 or more follow'),
    (lambda content: content[:4] + b'\xff' * 12 + content[16:], '60 follow'),
    (lambda content: content[:10], 'begins with'),
    (lambda content: b'', 'this one with nothing'),
    (lambda content: b'<html>' + content, 'this one with 3c68746d'),
])
def test_damaged_idx(tmp_path: Path, damage, words: str):
    path = tmp_path / 'images-idx3-ubyte'
    write_idx(path, pixels(3, 4, 5))
    path.write_bytes(damage(path.read_bytes()))
    line = refused(lambda: read_idx(path, 3, HINT))
    assert str(path) in line and words in line and line.endswith(HINT)


def test_a_packed_file_is_read_as_far_as_its_header_says(tmp_path: Path):
    write_idx(tmp_path / 'file.gz', pixels(3, 4, 5))
    content = gzip.decompress((tmp_path / 'file.gz').read_bytes())
    (tmp_path / 'file.gz').write_bytes(gzip.compress(content + bytes(300 << 20), 1))  # 300 MiB of nothing
    tracemalloc.start()
    line = refused(lambda: read_idx(tmp_path / 'file.gz', 3, HINT))
    assert '61 or more follow' in line and tracemalloc.get_traced_memory()[1] < 20 << 20
    tracemalloc.stop()


def test_idx_of_labels_instead_of_images(tmp_path: Path):
    write_idx(tmp_path / 'file', pixels(60))
    assert 'of 3 dimensions begins with 00000803, this one with 00000801' in refused(
        lambda: read_idx(tmp_path / 'file', 3, HINT))


@pytest.mark.parametrize('content', [b'', b'text', gzip.compress(bytes(range(200)))[:-9]])
def test_damaged_gzip(tmp_path: Path, content: bytes):
    (tmp_path / 'file.gz').write_bytes(content)
    assert 'file.gz: truncated, damaged' in refused(lambda: read_idx(tmp_path / 'file.gz', 1, HINT))


@pytest.mark.parametrize('content', [b'', b'text', b'x' * 500, 'truncated'])
def test_damaged_mat(tmp_path: Path, content: bytes | str):
    write_svhn(tmp_path)
    path = tmp_path / 'train_32x32.mat'
    path.write_bytes(path.read_bytes()[:-1000] if content == 'truncated' else content)
    assert 'train_32x32.mat: truncated, damaged' in refused(lambda: read_mat(path, ('X', 'y'), HINT))


def test_mat_without_a_variable(tmp_path: Path):
    write_svhn(tmp_path)
    assert 'it has no variable z' in refused(lambda: read_mat(tmp_path / 'train_32x32.mat', ('X', 'z'), HINT))


def test_files_are_sought_where_most_of_them_are(tmp_path: Path):
    (tmp_path / 'raw').mkdir()
    for path in ('raw/a', 'b', 'c.gz'):
        (tmp_path / path).touch()
    files = [('b', ), ('c', 'c.gz')]
    assert locate(tmp_path, ['raw', 'other'], files, HINT) == [tmp_path / 'b', tmp_path / 'c.gz']
    (tmp_path / 'raw' / 'b').touch()
    (tmp_path / 'raw' / 'c').touch()
    assert locate(tmp_path, ['raw', 'other'], files, HINT) == [tmp_path / 'raw' / 'b', tmp_path / 'raw' / 'c']


def test_missing_files_are_named_and_so_is_what_is_there(tmp_path: Path):
    assert 'missing: no such folder' in refused(lambda: locate(tmp_path / 'missing', [], [('a', )], HINT))
    assert f'{tmp_path}: no a, b (it is empty); {HINT}' == refused(
        lambda: locate(tmp_path, [], [('a', ), ('b', )], HINT))
    (tmp_path / 'raw').mkdir()
    (tmp_path / 'raw' / 'a').touch()
    (tmp_path / 'raw' / 'archive.tar.gz').touch()
    assert f'{tmp_path}/raw: no b (it holds a, archive.tar.gz); {HINT}' == refused(
        lambda: locate(tmp_path, ['raw'], [('a', ), ('b', 'b.gz')], HINT))
