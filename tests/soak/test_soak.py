"""The soak's own tools: a kill that breaks a promise is seen, failures are kept, and an interrupted soak goes on."""

from __future__ import annotations

import json
import shutil
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import strategies as st

from mmext.errors import UserError
from tests.soak import run
from tests.soak.cases import checkpoints as checkpoint_cases
from tests.soak.cases import formulas, images, lists
from tests.soak.flat import growth_of
from tests.soak.inputs import Trial
from tests.soak.kills import broken_promises
from tests.soak.ledger import Ledger, fewest


def write_checkpoints(folder: Path, *names: str) -> None:
    for name in names:
        content = checkpoint_cases.content()
        content['meta']['iter'] = int(name[-5]) * 3
        torch.save(content, folder / name)
    (folder / 'last_checkpoint').write_text(names[-1])


def test_broken_promises_are_seen(tmp_path: Path):
    write_checkpoints(tmp_path, 'best_top1_epoch_1.pth', 'epoch_2.pth')
    before = {'best_top1_epoch_1.pth', 'epoch_2.pth'}
    assert broken_promises(tmp_path, before, 3, 1) == ([], 6)
    assert 'would go on from iteration 6, and had 9' in broken_promises(tmp_path, before, 9, 1)[0][0]
    (tmp_path / 'best_top1_epoch_1.pth').unlink()
    assert 'there is no best one' in broken_promises(tmp_path, before, 3, 1)[0][0]
    shutil.copy(tmp_path / 'epoch_2.pth', tmp_path / 'epoch_1.pth')
    shutil.copy(tmp_path / 'epoch_2.pth', tmp_path / 'epoch_0.pth')
    assert 'old ones stay' in broken_promises(tmp_path, set(), 3, 1)[0][0]
    (tmp_path / 'epoch_2.pth').write_bytes(b'PK')
    wrong, _ = broken_promises(tmp_path, before, 3, 3)
    assert 'half-written' in wrong[0] and 'there is no best one' in wrong[1]


def check(example: int, folder: Path) -> None:
    if example > 20:
        raise KeyError('found')
    if example > 10:
        raise UserError('refused in a line')


def test_a_failure_is_kept_at_its_least_and_not_found_twice(tmp_path: Path):
    cases = types.SimpleNamespace(draw=st.integers(0, 1000), check=check, ALLOWED=())
    trial = Trial(cases, set(), tmp_path)
    failure = trial.draw(200, 0)
    assert failure['example'] == '21' and failure['what'] == "KeyError: 'found'" and ':check:' in failure['place']
    assert trial.draw(100, 1) is None, 'its place is known now'


@pytest.mark.parametrize('cases', [formulas, images, lists, checkpoint_cases], ids=lambda cases: cases.__name__)
def test_a_few_cases_of_each_kind(cases: types.ModuleType, tmp_path: Path):
    trial = Trial(cases, set(), tmp_path)
    assert trial.draw(20, 0) is None and trial.drawn >= 10


def test_a_soak_goes_on_and_prints_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    wanted = dict(a=2, b=4)

    def part(ledger: Ledger, place: object, deadline: float) -> None:
        kind = next(fewest(ledger, 'kills', wanted))
        ledger.add('kills', kind)
        if kind == 'a':
            ledger.fail('kills', kind, 'lost', example='x')

    monkeypatch.setattr(run.kills, 'run', part)
    monkeypatch.setattr(run.kills, 'WANTED', wanted)
    for _ in range(3):
        run.soak(Ledger(tmp_path / 'results.json'), None, ['kills'], 60)
    ledger = Ledger(tmp_path / 'results.json')
    assert ledger.part('kills')['done'] == dict(a=1, b=2)
    assert '3 of 6 kills (SIGKILL)' in run.table(ledger) and '| 1 | `make soak PARTS=kills` |' in run.table(ledger)
    assert json.loads((tmp_path / 'results.json').read_text())['parts']['kills']['failures'][0]['example'] == 'x'


def test_the_table_goes_into_the_docs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    docs = tmp_path / 'reliability.md'
    docs.write_text(f'before\n{run.BEGIN}old\n{run.END}after\n')
    monkeypatch.setattr(run, 'DOCS', docs)
    run.write_docs(Ledger(tmp_path / 'results.json'))
    text = docs.read_text()
    assert text.startswith('before\n') and text.endswith('after\n') and 'old' not in text
    assert text.count('make soak PARTS=') == len(run.PARTS)


def test_a_step_of_the_allocator_is_no_leak():
    times = np.arange(200.0) * 25
    step = np.where(times < 900, 585.0, 649.0) + 0.1 * np.sin(times)
    assert abs(growth_of(times, step) * 1000) < 1
    assert growth_of(times, step + times * 0.004) * 1000 == pytest.approx(4, abs=0.5)
