"""One reader for every way in which a checkpoint comes; it runs nothing, and says in a line what is wrong."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import pytest
import torch
from mmengine.logging import HistoryBuffer
from mmengine.model import BaseModule
from mmengine.runner import CheckpointLoader, load_checkpoint
from torch import nn

from mmext.checkpoints import read_checkpoint, weights_of, write_weights
from mmext.checkpoints.download import cache_folder
from mmext.errors import UserError
from tests.backbones.helpers import user_error
from tests.checkpoints.conftest import Harm, Server


def through_init_cfg(source: str) -> None:
    module = BaseModule(init_cfg=dict(type='Pretrained', checkpoint=source))
    module.layer = nn.Linear(2, 2)
    module.init_weights()


WAYS: dict[str, Callable[[str], object]] = {
    'ours': read_checkpoint,
    "mmengine's loader": CheckpointLoader.load_checkpoint,
    "mmengine's load_checkpoint": lambda source: load_checkpoint(nn.Linear(2, 2), source),
    'init_cfg of any part': through_init_cfg,
}


@pytest.mark.parametrize('way', WAYS)
@pytest.mark.parametrize('remote', [False, True])
def test_code_is_not_run(way: str, remote: bool, web: tuple[Path, str], tmp_path: Path):
    folder, url = web
    torch.save(dict(state_dict=Harm(tmp_path / 'ran')), folder / 'x.pth')
    with pytest.raises(UserError, match='x.pth: holds pathlib.Path, which could run code'):
        WAYS[way](f'{url}/x.pth' if remote else str(folder / 'x.pth'))
    assert not (tmp_path / 'ran').exists()


@pytest.mark.parametrize('content', [lambda folder: [Harm(folder)], lambda folder: {Harm(folder).__reduce__()[0]: 1}])
def test_neither_hidden_nor_as_a_name_alone(content: Callable, tmp_path: Path):
    torch.save(dict(meta=content(tmp_path / 'ran')), tmp_path / 'x.pth')
    with user_error('x.pth: holds ', 'could run code'):
        read_checkpoint(tmp_path / 'x.pth')
    assert not (tmp_path / 'ran').exists()


@pytest.mark.parametrize('way', WAYS)
def test_weights_come_from_the_web(way: str, web: tuple[Path, str]):
    folder, url = web
    torch.save(dict(state_dict=nn.Linear(2, 2).state_dict()), folder / 'x.pth')
    WAYS[way](f'{url}/x.pth')
    WAYS[way](f'{url}/x.pth')
    assert Server.asked == ['/x.pth'], 'the second time from the cache'


def test_a_name_means_one_file(web: tuple[Path, str]):
    folder, url = web
    for number, place in enumerate(('x.pth', 'other/x.pth')):
        torch.save({'a': torch.tensor(float(number))}, folder / place)
    found = [read_checkpoint(f'{url}/{place}')['a'].item() for place in ('x.pth', 'other/x.pth', 'x.pth?v=2')]
    assert found == [0, 1, 0] and len(Server.asked) == 3


def test_what_arrives_is_checked(web: tuple[Path, str]):
    folder, url = web
    torch.save({'a': torch.ones(1)}, folder / 'x.pth')
    content = (folder / 'x.pth').read_bytes()
    right = hashlib.sha256(content).hexdigest()[:8]
    for name in (f'net-{right}.pth', 'net-0123abcd.pth', 'cut.pth'):
        (folder / name).write_bytes(content)
    assert read_checkpoint(f'{url}/net-{right}.pth')['a'] == 1
    with user_error('net-0123abcd.pth: the SHA-256 of the download begins with ' + right):
        read_checkpoint(f'{url}/net-0123abcd.pth')
    with user_error(f'cut.pth: received only {len(content)} of {len(content) + 100} bytes'):
        read_checkpoint(f'{url}/cut.pth')
    with user_error('none.pth: the server answers 404'):
        read_checkpoint(f'{url}/none.pth')
    kept = [path.name for path in (cache_folder() / 'checkpoints').iterdir() if path.name != '.lock']
    assert len(kept) == 1 and kept[0].endswith(f'net-{right}.pth'), 'nothing half-downloaded'


def test_a_server_that_is_not_there():
    with user_error('the download failed', 'give the path'):
        read_checkpoint('http://127.0.0.1:9/x.pth')


@pytest.mark.parametrize('source', ['s3://a/x.pth', 'petrel://a/x.pth', 'pavi://x.pth', 'open-mmlab:s3://x.pth',
                                    'ftp://a/x.pth', 'file:///x.pth', 'zoo://x'])
@pytest.mark.parametrize('way', ['ours', "mmengine's loader"])
def test_other_origins_are_refused(way: str, source: str):
    with user_error(f'{source}: checkpoints are read from a path'):
        WAYS[way](source)


def test_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    torch.save({'a': torch.ones(1)}, tmp_path / 'x.pth')
    assert read_checkpoint('~/x.pth')['a'] == 1
    with user_error('~/y.pth: no such checkpoint'):
        read_checkpoint('~/y.pth')


def test_a_statistic_of_the_user_s(tmp_path: Path):
    """Its name stands in every log of a checkpoint; it is not looked up, nor does the file change this process's."""
    HistoryBuffer()  # registers its own
    before = dict(HistoryBuffer._statistics_methods)
    HistoryBuffer.register_statistics(my_statistic)
    try:
        torch.save(dict(message_hub=dict(log_scalars={'loss': HistoryBuffer([1., 3.], [1, 1])})), tmp_path / 'x.pth')
        known = read_checkpoint(tmp_path / 'x.pth')['message_hub']['log_scalars']['loss']
        assert known.statistics('my_statistic') == 4
    finally:
        HistoryBuffer._statistics_methods.clear()
        HistoryBuffer._statistics_methods.update(before)
    unknown = read_checkpoint(tmp_path / 'x.pth')['message_hub']['log_scalars']['loss']
    assert unknown.mean() == 2 and HistoryBuffer._statistics_methods == before
    pickle.dumps(unknown)


def my_statistic(self: HistoryBuffer) -> float:
    return self._log_history.sum()


@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
def test_a_flipped_bit_is_named(suffix: str, tmp_path: Path):
    path = tmp_path / f'x{suffix}'
    write_weights(path, {'a': torch.ones(1000), 'b': torch.zeros(2, 3)})
    content = bytearray(path.read_bytes())
    place = content.find(torch.ones(8).numpy().tobytes()) + 2000
    content[place] ^= 1
    path.write_bytes(content)
    with user_error(f'{path}: damaged', 'checksum'):
        read_checkpoint(path)


def test_a_file_that_was_written_without_checksums_is_read(tmp_path: Path):
    torch.serialization.set_crc32_options(False)
    try:
        torch.save({'a': torch.ones(3)}, tmp_path / 'x.pth')
    finally:
        torch.serialization.set_crc32_options(True)
    assert read_checkpoint(tmp_path / 'x.pth')['a'].sum() == 3


@pytest.mark.parametrize('value', [float('nan'), float('inf'), -float('inf')])
@pytest.mark.parametrize('place', ['state_dict', 'ema_state_dict', 'optimizer'])
def test_a_number_that_is_not_finite_is_named(value: float, place: str, tmp_path: Path):
    bad = {'layer.weight': torch.tensor([1, value], dtype=torch.bfloat16), 'none': torch.zeros(0)}
    content = dict(state_dict={'a': torch.ones(2), 'n': torch.tensor(3)}, message_hub=dict(best=torch.tensor(value)))
    torch.save({**content, place: dict(bad) if place != 'optimizer' else dict(state={0: bad})}, tmp_path / 'x.pth')
    with user_error(f'x.pth: {place}.', 'layer.weight holds a number that is not finite'):
        read_checkpoint(tmp_path / 'x.pth')


def test_large_numbers_are_finite(tmp_path: Path):
    torch.save({'a': torch.tensor([3e38, -3e38]), 'b': torch.full((3, ), 6e4, dtype=torch.half)}, tmp_path / 'x.pth')
    assert len(read_checkpoint(tmp_path / 'x.pth')) == 2


def test_safetensors_go_in_and_out(tmp_path: Path):
    weights = {'a': torch.arange(6.).view(2, 3).t(), 'n': torch.tensor(3), 'half': torch.ones(2).half()}
    write_weights(tmp_path / 'x.safetensors', weights, classes=['é', 'b'])
    content = read_checkpoint(tmp_path / 'x.safetensors')
    assert all(torch.equal(value, content['state_dict'][name]) for name, value in weights.items())
    assert content['meta']['dataset_meta']['classes'] == ['é', 'b']
    module = nn.Linear(2, 2)
    write_weights(tmp_path / 'y.safetensors', module.state_dict())
    other = nn.Linear(2, 2)
    load_checkpoint(other, str(tmp_path / 'y.safetensors'))
    assert torch.equal(other.weight, module.weight)


def test_safetensors_of_other_programs(tmp_path: Path):
    from safetensors.torch import save_file

    save_file({'a': torch.ones(2)}, tmp_path / 'x.safetensors')
    assert weights_of(read_checkpoint(tmp_path / 'x.safetensors'))['a'].sum() == 2
    (tmp_path / 'x.safetensors').write_bytes((tmp_path / 'x.safetensors').read_bytes()[:-3])
    with user_error('x.safetensors: not a readable checkpoint'):
        read_checkpoint(tmp_path / 'x.safetensors')


def test_logs_that_come_from_a_file_alone_have_their_statistics(tmp_path: Path):
    """As in a process that resumes and has logged nothing itself."""
    torch.save(dict(state_dict={}, log=HistoryBuffer([1.0, 3.0], [1, 1])), tmp_path / 'a.pth')
    with mock.patch.dict(HistoryBuffer._statistics_methods, clear=True):
        assert read_checkpoint(tmp_path / 'a.pth')['log'].statistics('mean') == 2
