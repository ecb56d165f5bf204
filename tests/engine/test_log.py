"""The reader of logs: against logs written by hand, and one that mmengine's own hook and backend write."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from mmengine.evaluator import BaseMetric
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import DataLoader

from mmext.engine.log import read_scalars
from mmext.errors import UserError


def write(work_dir: Path, time: str, records: list[dict], *, resumed: bool = False, end: str = '') -> Path:
    folder = work_dir / time / 'vis_data'
    folder.mkdir(parents=True)
    (folder / 'config.py').write_text(f'resume = {resumed}\n')
    (folder / 'scalars.json').write_text(''.join(json.dumps(record) + '\n' for record in records) + end)
    return folder / 'scalars.json'


def train(epoch: int, iteration: int, **more: float) -> dict:
    return dict(lr=0.1, loss=1.5, epoch=epoch, iter=iteration, step=iteration, **more)


def places(records: list[dict]) -> list[tuple]:
    return [(record['mode'], record.get('epoch'), record['iter']) for record in records]


class Tiny(nn.Module):
    """A model in mmengine's terms, without its base class's data preprocessor."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(1, 1)

    def train_step(self, data: torch.Tensor, optim_wrapper: object) -> dict:
        loss = self.fc(data).square().mean()
        optim_wrapper.update_params(loss)
        return dict(loss=loss)

    def val_step(self, data: torch.Tensor) -> list:
        return [data]


class Size(BaseMetric):
    """How many validated."""

    default_prefix = 'score'

    def process(self, data_batch: torch.Tensor, data_samples: list) -> None:
        self.results += data_samples

    def compute_metrics(self, results: list) -> dict:
        return dict(size=float(len(results)))


def real_run(work_dir: Path, loop: dict, by_epoch: bool, metric_by_epoch: bool) -> list[dict]:
    """Trains 35 samples, one a step; validates twice or more."""
    def loader() -> DataLoader:
        return DataLoader(torch.ones(35, 1), batch_size=1)

    runner = Runner(
        Tiny(), str(work_dir), train_dataloader=loader(), val_dataloader=loader(), val_cfg=dict(),
        val_evaluator=[Size()], train_cfg=loop, experiment_name=work_dir.name,
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)), log_processor=dict(by_epoch=by_epoch),
        default_hooks=dict(logger=dict(type='LoggerHook', interval=10, log_metric_by_epoch=metric_by_epoch),
                           checkpoint=None))
    runner.train()
    return read_scalars(work_dir)


def test_what_mmengine_writes_by_epoch(tmp_path: Path) -> None:
    """Of 35 iterations an epoch the last 5 are not logged; validations are after all 35 nevertheless."""
    records = real_run(tmp_path / 'epochs', dict(by_epoch=True, max_epochs=3, val_interval=1), True, True)
    assert places(records) == [
        *(('train', 1, i) for i in (10, 20, 30)), ('val', 1, 35), *(('train', 2, i) for i in (45, 55, 65)),
        ('val', 2, 70), *(('train', 3, i) for i in (80, 90, 100)), ('val', 3, 105)]
    assert [record['score/size'] for record in records if record['mode'] == 'val'] == [35] * 3
    assert all(record['loss'] >= 0 for record in records if record['mode'] == 'train')
    assert [record['epochs_done'] for record in records] == pytest.approx([record['iter'] / 35 for record in records])


@pytest.mark.parametrize('metric_by_epoch', [False, True])
def test_what_mmengine_writes_by_iteration(tmp_path: Path, metric_by_epoch: bool) -> None:
    """mmengine's step of a validation is the iteration, or the pass through the data, which says little."""
    loop = dict(by_epoch=False, max_iters=60, val_interval=20)
    records = real_run(tmp_path / f'iterations{metric_by_epoch}', loop, False, metric_by_epoch)
    assert places(records) == [('train', None, 10), ('train', None, 20), ('val', None, 20), ('train', None, 30),
                               ('train', None, 40), ('val', None, 40), ('train', None, 50), ('train', None, 60),
                               ('val', None, 60)]


def test_one_epoch_has_the_length_that_is_known(tmp_path: Path) -> None:
    write(tmp_path, '20260101_000000', [train(1, 10), train(1, 20), {'coco/AP': 0.5, 'step': 1}])
    assert places(read_scalars(tmp_path)) == [('train', 1, 10), ('train', 1, 20), ('val', 1, 20)]


def test_a_resumed_part_supersedes_what_it_repeats(tmp_path: Path) -> None:
    """It set in after epoch 1, and logs less often."""
    write(tmp_path, '20260101_000000', [train(1, 10), train(1, 20), {'a/b': 0.1, 'step': 1}, train(2, 30),
                                        train(2, 40), {'a/b': 0.2, 'step': 2}, train(3, 50)])
    write(tmp_path, '20260102_000000', [train(2, 40, new=1), {'a/b': 0.3, 'step': 2}, train(3, 60, new=1)],
          resumed=True)
    records = read_scalars(tmp_path)
    assert places(records) == [('train', 1, 10), ('train', 1, 20), ('val', 1, 20), ('train', 2, 40), ('val', 2, 40),
                               ('train', 3, 60)]
    assert [record.get('a/b') for record in records] == [None, None, 0.1, None, 0.3, None]
    assert [record.get('new') for record in records] == [None, None, None, 1, None, 1]
    write(tmp_path, '20260103_000000', [], resumed=True, end='{"loss": 1.')  # killed before its first record was whole
    assert read_scalars(tmp_path) == records


def test_resumed_by_iteration(tmp_path: Path) -> None:
    write(tmp_path, '20260101_000000', [dict(loss=1, iter=i, step=i) for i in (10, 20, 30, 40)])
    write(tmp_path, '20260102_000000', [dict(loss=2, iter=i, step=i) for i in (30, 40, 50)], resumed=True)
    assert [(record['iter'], record['loss']) for record in read_scalars(tmp_path)] == [
        (10, 1), (20, 1), (30, 2), (40, 2), (50, 2)]


def test_a_run_started_anew_is_the_new_one_alone(tmp_path: Path) -> None:
    write(tmp_path, '20260101_000000', [train(1, 10), train(2, 20)])
    write(tmp_path, '20260102_000000', [train(3, 30)], resumed=True)
    write(tmp_path, '20260103_000000', [train(1, 5)])
    assert places(read_scalars(tmp_path)) == [('train', 1, 5)]
    write(tmp_path, '20260104_000000', [dict(loss=1, iter=50, step=50)])  # logs less often than those before
    assert places(read_scalars(tmp_path)) == [('train', None, 50)]


def test_numbers_that_are_none(tmp_path: Path) -> None:
    log = write(tmp_path, '20260101_000000', [dict(train(1, 10), loss=float('nan'))])
    assert 'NaN' in log.read_text() and read_scalars(tmp_path)[0]['loss'] != read_scalars(tmp_path)[0]['loss']


@pytest.mark.parametrize('end', ['{"loss": 1.', '{"loss": 1.5, "it', '\0\0\0', '{'])
def test_a_line_that_was_cut_off(tmp_path: Path, end: str) -> None:
    write(tmp_path, '20260101_000000', [train(1, 10)], end=end)
    assert places(read_scalars(tmp_path)) == [('train', 1, 10)]


def test_the_last_line_may_be_whole_without_its_end(tmp_path: Path) -> None:
    write(tmp_path, '20260101_000000', [train(1, 10)], end=json.dumps(train(1, 20)))
    assert places(read_scalars(tmp_path)) == [('train', 1, 10), ('train', 1, 20)]


@pytest.mark.parametrize('line, told', [('{"loss": 1.', 'not JSON'), ('[' * 100_000, 'not JSON'),
                                        ('', 'not JSON'), ('3', 'not a log record'),
                                        ('{"loss": 1}', 'not a log record'), ('{"step": "a"}', 'not a log record')])
def test_lines_that_are_no_records(tmp_path: Path, line: str, told: str) -> None:
    log = write(tmp_path, '20260101_000000', [train(1, 10)], end=f'{line}\n{json.dumps(train(1, 20))}\n')
    for text in (log.read_text(), ''.join(log.read_text().splitlines(keepends=True)[:2])):  # in the middle, and last
        log.write_text(text)
        with pytest.raises(UserError) as raised:
            read_scalars(tmp_path)
        assert f'{log}, line 2: {told}' in str(raised.value)


@pytest.mark.parametrize('name', ['none', '.'])
def test_no_log(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match='no log of a run'):
        read_scalars(tmp_path / name)
