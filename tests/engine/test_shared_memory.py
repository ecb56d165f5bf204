"""Too little shared memory is found before the first batch, not by a bus error."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch.utils.data import DataLoader

from mmext import doctor
from mmext.engine import shared_memory
from mmext.engine.shared_memory import require_shared_memory
from mmext.errors import UserError
from tests.conftest import CONFIG, error_line
from tests.tools.helpers import here

SAMPLE = dict(inputs=torch.zeros(3, 100, 100, dtype=torch.uint8), label=1)  # 30 kB


class Data:
    def __init__(self) -> None:
        self.read = 0

    def __len__(self) -> int:
        return 10

    def __getitem__(self, index: int) -> dict:
        self.read += 1
        return dict(SAMPLE, noise=torch.rand(()))


def free(monkeypatch: pytest.MonkeyPatch, size: int | None) -> None:
    monkeypatch.setattr(shared_memory, 'free_bytes', lambda: size)


def test_the_line(monkeypatch: pytest.MonkeyPatch):
    free(monkeypatch, 1_000_000)
    before = torch.get_rng_state()
    line = (r'1\.0 MB are free, and val_dataloader may fill 1\.9 MB \(8 workers x 2 batches x 4 samples of 0\.0 MB\); '
            r'.* --shm-size=1g, or lower val_dataloader.num_workers')
    with pytest.raises(UserError, match=line):
        require_shared_memory(dict(val_dataloader=DataLoader(Data(), batch_size=4, num_workers=8)))
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(('size', 'workers', 'read'), [
    (1_000_000, 2, 1), (1_000_000, 0, 0), (shared_memory.PLENTY, 8, 0), (None, 8, 0)])
def test_enough(monkeypatch: pytest.MonkeyPatch, size: int | None, workers: int, read: int):
    free(monkeypatch, size)
    data = Data()
    require_shared_memory(dict(train_dataloader=DataLoader(data, batch_size=4, num_workers=workers)))
    assert data.read == read


def test_a_training_asks(monkeypatch: pytest.MonkeyPatch, shapes, tmp_path):
    free(monkeypatch, 1000)
    flags = ('train.py', CONFIG, '--backbone', 'iresnet18', '--classes', 'auto', '--data-root', shapes, '--work-dir',
             tmp_path, '--cfg-options', 'train_dataloader.batch_size=2')
    line = error_line(here(*flags))
    assert '/dev/shm: 0.0 MB are free, and train_dataloader may fill' in line


def test_the_doctor_says_so(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(doctor.shutil, 'disk_usage', lambda path: SimpleNamespace(total=64_000_000))
    assert any('/dev/shm has 64 MB' in remark and '--shm-size=8g' in remark for remark in doctor.remarks())
