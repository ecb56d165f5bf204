"""The check of a GPU: it sees what is wrong, keeps what it has found, goes on, and ends what hangs."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
import torch

from benchmarks.gpu_check import data, models, operators, results, run, speed, trainings, worker
from benchmarks.gpu_check.case import Case, Failed, Place, Skipped, Unfinished, one_line
from benchmarks.gpu_check.cases import CASES
from benchmarks.gpu_check.ledger import Ledger
from mmext.analysis.subjects import Spec, from_spec
from mmext.benchmark.setup import Setup
from mmext.benchmark.steps import TrainingStep
from mmext.commands.train import build_parser
from mmext.errors import UserError
from tests.conftest import ROOT, Tool

SETTINGS = dict(device='cpu', quick=True)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path, 'cpu', quick=True)


def raising(error: Exception) -> Callable[[Place], dict]:
    def run(place: Place) -> dict:
        raise error
    return run


@pytest.mark.parametrize('case', operators.CASES[:3], ids=lambda case: case.name)
def test_operators_are_compared(case: Case, place: Place, monkeypatch: pytest.MonkeyPatch):
    assert case.run(place)['fp32'] <= 1e-4
    name = case.name.partition(' ')[0]
    right, calls = operators.OPERATORS[name], []

    def wrong_the_second_time(*arguments) -> list[torch.Tensor]:
        calls.append(1)
        return [value * (1 + (len(calls) > 1)) for value in right(*arguments)]

    monkeypatch.setitem(operators.OPERATORS, name, wrong_the_second_time)
    with pytest.raises(Failed, match='^fp32 differs from the processor in fp32 by'):
        case.run(place)


def test_mmcv_without_cuda_operators_fails(place: Place, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(operators, 'built_for_cuda', lambda: False)
    with pytest.raises(Failed, match='without CUDA operators'):
        operators.check('mmcv', 'nms', Place(place.folder, 'cuda'))


def test_models_are_compared(place: Place, monkeypatch: pytest.MonkeyPatch):
    for variant in ('channels last', 'bf16'):
        figures = models.check('classifier', variant, place)
        assert figures['predictions'] == 2000 and figures['cosine'] > 0.8
    with pytest.raises(Skipped):
        models.check('classifier', 'fp16', place)
    expected = models.reference('classifier', True)[2]
    for key, wrong, told in (('loss', 2 * expected['loss'], 'the loss is'),
                             ('gradient', expected['gradient'].flip(0), 'the gradient is'),
                             ('scores', 1 - expected['scores'], 'the predictions are')):
        monkeypatch.setattr(models, 'computed', lambda *arguments, wrong={**expected, key: wrong}: wrong)
        with pytest.raises(Failed, match=told):
            models.check('classifier', 'fp32', place)


def test_what_waits_in_a_step_is_counted(monkeypatch: pytest.MonkeyPatch):
    subject = from_spec(Spec(str(ROOT / 'configs/classification/rir_cifar10.py'), 'rir_cnn32'))
    assert speed.waits(subject, Setup(), 2) == '0 synchronisations, 0 operators that wait'
    right = TrainingStep.losses
    monkeypatch.setattr(TrainingStep, 'losses', lambda self, data: (data['labels'].sum().item(), right(self, data))[1])
    assert speed.waits(subject, Setup(), 2) == '0 synchronisations, 1 operators that wait'


def test_a_training_that_fails_is_told_in_one_line(place: Place, monkeypatch: pytest.MonkeyPatch):
    done = subprocess.CompletedProcess([], 2, 'epoch 1', 'Traceback\nerror: no such\nin the end\n')
    monkeypatch.setattr(trainings, 'run_python', lambda *arguments, **more: done)
    monkeypatch.setattr(trainings, 'data', lambda place, task: place.folder)
    with pytest.raises(Failed, match='^SSD300 --amp bf16: error: no such$'):
        trainings.train(place, 'SSD300', 'run', 1, '--amp', 'bf16')


def test_the_arguments_of_trainings_are_those_of_the_command(place: Place, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(trainings, 'data', lambda place, task: place.folder)
    for name, recipe in trainings.RECIPES.items():
        args = build_parser().parse_args(trainings.arguments(place, name, 'run', 1, '--amp', 'bf16'))
        assert Path(args.config).is_file() and args.work_dir == str(place.folder / 'runs' / 'run')
        assert recipe.task in data.MAKE


def test_a_result_goes_on_until_the_budget_ends(place: Place):
    full = Place(place.folder, 'cpu', data_root=place.folder, end=time.time() + 10)
    with pytest.raises(Unfinished, match='budget'):
        results.recipe('rir_cifar10', 'rir32', 92.97, full)


def test_the_outcome_of_a_case(place: Place):
    given = dict(passed=lambda place: dict(a=1), failed=raising(Failed('is\nwrong')),
                 skipped=raising(Skipped('not here')), unfinished=raising(Unfinished('half')))
    for status, case in given.items():
        found = worker.outcome(Case('speed', status, case), place)
        assert found['status'] == status and '\n' not in found.get('error', '')
    assert worker.outcome(Case('speed', 'x', raising(RuntimeError('CUDA error: bad'))), place)['error'] == (
        'RuntimeError: CUDA error: bad')
    assert one_line(Failed('is\nwrong')) == 'is wrong'


def test_the_ledger_goes_on(tmp_path: Path):
    ledger = Ledger(tmp_path / 'check.json', SETTINGS)
    ledger.machine = dict(device='a GPU', torch='2')
    ledger.add('speed: a', dict(status='passed', figures=dict(x=1.23456789, y='3 img/s'), seconds=1))
    ledger.add('speed: b', dict(status='failed', error='a | b', seconds=2))
    ledger.add('results: c', dict(status='unfinished', error='half', seconds=3))
    again = Ledger(tmp_path / 'check.json', SETTINGS)
    again.add('results: c', dict(status='passed', figures=dict(top1=90.), seconds=4))
    assert again.cases['results: c']['seconds'] == 7 and again.is_done('speed: b')
    text = (tmp_path / 'check.md').read_text()
    assert '## GPU check: a GPU' in text and '2 passed, 1 failed' in text
    assert '| a | passed | x: 1.235; y: 3 img/s | 1 |' in text and r'| b | **FAILED** | a \| b | 2 |' in text
    again.forget({'speed: a', 'speed: b'})
    assert again.is_done('speed: a') and not again.is_done('speed: b')
    with pytest.raises(UserError, match='results of .*cpu.*not of .*cuda.*--fresh'):
        Ledger(tmp_path / 'check.json', dict(device='cuda', quick=False))
    (tmp_path / 'check.json').write_text('[]')
    with pytest.raises(UserError, match='not written by this command'):
        Ledger(tmp_path / 'check.json', SETTINGS)


def pretended(place: Place, keys: list[str], log: str, connection: Connection) -> None:
    """A process that does what the names of its cases say."""
    os.setsid()
    connection.send(dict(machine=dict(device='none')))
    for key in keys:
        connection.send(dict(key=key))
        if 'dies' in key:
            os._exit(7)
        if 'hangs' in key:
            time.sleep(60)
        status = 'unfinished' if 'half' in key else 'passed'
        connection.send(dict(key=key, status=status, figures={}, error='half', seconds=0))


def test_a_case_that_dies_or_hangs_ends_alone(place: Place, monkeypatch: pytest.MonkeyPatch,
                                              capsys: pytest.CaptureFixture):
    monkeypatch.setattr(run, 'work', pretended)
    monkeypatch.setattr(run, 'START', 'fork')
    cases = [Case('speed', name, dict, limit=0.2 if name == 'hangs' else 30)
             for name in ('first', 'dies', 'second', 'hangs', 'half', 'last')]
    ledger = Ledger(place.folder / 'gpu_check.json', SETTINGS)
    assert run.check(cases, place, ledger) == 1
    found = {key.removeprefix('speed: '): case['status'] for key, case in ledger.cases.items()}
    assert found == dict(first='passed', dies='failed', second='passed', hangs='failed', half='unfinished',
                         last='passed')
    assert 'ended with code 7' in ledger.cases['speed: dies']['error']
    assert 'stopped after 0.2 s' in ledger.cases['speed: hangs']['error']
    assert '1 left' in capsys.readouterr().out
    assert run.check(cases[2:3] + cases[4:], place, ledger) == run.LEFT


def test_no_case_begins_without_time_for_it(place: Place, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(run, 'work', pretended)
    monkeypatch.setattr(run, 'START', 'fork')
    short = Place(place.folder, 'cpu', end=time.time() + 20)
    ledger = Ledger(place.folder / 'gpu_check.json', SETTINGS)
    cases = [Case('speed', 'short', dict, seconds=1), Case('speed', 'long', dict, seconds=100),
             Case('speed', 'other', dict, seconds=1)]
    assert run.check(cases, short, ledger) == run.LEFT
    assert {*ledger.cases} == {'speed: short', 'speed: other'}


def test_the_whole_check_fits_into_its_budget():
    """As estimated for one H100; the parts are in the order of their value."""
    assert sum(case.seconds for case in CASES if case.part != 'results') < 60 * run.BUDGET
    parts = [case.part for case in CASES]
    assert list(dict.fromkeys(parts)) == list(run.PARTS) and parts == sorted(parts, key=run.PARTS.index)


@pytest.mark.parametrize(('arguments', 'says'), [
    pytest.param((), 'torch finds no GPU', marks=pytest.mark.skipif(torch.cuda.is_available(), reason='a GPU')),
    (('--budget', '0'), 'need more than 0'), (('--device', 'cpu', '--only', 'results'), '--data-root'),
    (('--device', 'cpu', '--cases', 'absent'), '--list'), (('--data-root', 'absent'), 'no such folder')])
def test_mistakes_are_one_line(arguments: tuple, says: str, tmp_path: Path):
    with pytest.raises(UserError, match=says):
        run.main([*arguments, '--folder', str(tmp_path)])


def test_the_command(tool: Tool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    """In processes of its own, as a user starts it; then nothing is left to do."""
    arguments = ('--device', 'cpu', '--quick', '--folder', str(tmp_path), '--cases', 'of mmcv')
    done = tool('gpu_check.py', *arguments)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert '3 passed; 0 left' in done.stdout and 'nms of mmcv ...' in done.stdout
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '')  # the command sets it
    assert run.main(arguments) == 0
    assert '3 passed; 0 left' in (printed := capsys.readouterr().out) and 'mmcv ...' not in printed
    written = json.loads((tmp_path / 'gpu_check.json').read_text())
    assert written['machine']['torch'] == torch.__version__ and len(written['cases']) == 3
    assert (tmp_path / 'gpu_check.md').read_text() in done.stdout


@pytest.mark.skipif(not os.environ.get('MMEXT_SLOW'), reason='minutes; MMEXT_SLOW=1 runs it')
def test_the_whole_quick_check(tool: Tool, tmp_path: Path):
    done = tool('gpu_check.py', '--device', 'cpu', '--quick', '--folder', tmp_path, timeout=3000)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
