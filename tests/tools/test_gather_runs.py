"""tools/gather_runs.py on logs of known numbers, against figures computed by hand."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from statistics import stdev

import pytest

from tests.conftest import error_line
from tests.tools.helpers import here, succeeded


def write_log(work_dir: Path, time: str, scores: Sequence[float], *, first: int = 1, seed: int | None = None,
              resumed: bool = False, metric: str = 'accuracy/top1') -> Path:
    """What one start of tools/train.py leaves: a line of training and one of validation for each epoch."""
    folder = work_dir / time / 'vis_data'
    folder.mkdir(parents=True)
    lines = []
    for epoch, score in enumerate(scores, first):
        lines += [dict(lr=0.1, loss=1 / epoch, accuracy=0.5, epoch=epoch, iter=8 * epoch, step=8 * epoch),
                  {metric: score, 'accuracy/error1': 1 - score, 'time': 0.01, 'step': epoch}]
    (folder / 'scalars.json').write_text(''.join(json.dumps(line) + '\n' for line in lines))
    (folder / 'config.py').write_text(f'randomness = dict(deterministic=False, seed={seed})\nresume = {resumed}\n'
                                      'train_dataloader = dict(sampler=dict(seed=77))\n')
    return folder / 'scalars.json'


def gathered(tmp_path: Path, *arguments: object) -> tuple[list[list[str]], dict]:
    """The printed table's rows, cell by cell, and the written figures."""
    printed = succeeded(here('gather_runs.py', *arguments, '--out', tmp_path / 'out' / 'figures.json'))
    rows = [[cell.strip() for cell in line.strip('│┃ ').split('│' if '│' in line else '┃')]
            for line in printed.splitlines() if re.match('[│┃]', line)]
    assert str(tmp_path / 'out' / 'figures.json') in printed
    return rows, json.loads((tmp_path / 'out' / 'figures.json').read_text())


@pytest.fixture
def three(tmp_path: Path) -> list[Path]:
    """Three repetitions of one recipe."""
    runs = [tmp_path / f'mine_seed{seed}' for seed in range(3)]
    for seed, scores in enumerate([(0.50, 0.70, 0.60, 0.64), (0.40, 0.60, 0.66, 0.62), (0.80, 0.50, 0.70, 0.72)]):
        write_log(runs[seed], f'2026010{seed}_000000', scores, seed=seed)
    return runs


def test_best_and_mean_of_the_last(three: list[Path], tmp_path: Path):
    rows, figures = gathered(tmp_path, *three, '--last', 2)
    assert rows == [
        ['run', 'seed', 'epochs', 'best', 'at epoch', 'mean of last 2'],
        ['mine_seed0', '0', '4', '70.00', '2', '62.00'],
        ['mine_seed1', '1', '4', '66.00', '3', '64.00'],
        ['mine_seed2', '2', '4', '80.00', '1', '71.00'],
        # 70, 66, 80: mean 72, squares 4 + 36 + 64 = 104, over 2 = 52, its root 7.2111.
        # 60, 64, 66, 62, 70, 72: mean 65 2/3, squares 32.1 + 2.8 + 0.1 + 13.4 + 18.8 + 40.1 = 107.3, over 5 = 21.47,
        # its root 4.6332.
        ['mine: best (mean +- std) of 3', '', '', '80.00 (72.00 +- 7.21)', '', '65.67 +- 4.63'],
    ]
    assert figures.pop('averaged') == 2 and list(figures) == ['metrics']
    recipe, = figures['metrics'].pop('accuracy/top1').values()
    assert not figures['metrics']
    assert recipe['best_of_runs'] == 0.8
    assert recipe['best'] == pytest.approx([0.72, 0.0721110], abs=1e-6)
    assert recipe['last'] == pytest.approx([0.6566667, 0.0463321], abs=1e-6)
    assert recipe['runs'][2] == dict(name='mine_seed2', seed='2', epochs=4, best=0.8, best_epoch=1, last=[0.70, 0.72])


def test_the_last_epoch_and_the_first_of_equal_ones(tmp_path: Path):
    write_log(tmp_path / 'mine', '20260101_000000', [0.5, 0.75, 0.75, 0.25])
    rows, figures = gathered(tmp_path, tmp_path / 'mine')
    assert rows == [['run', 'seed', 'epochs', 'best', 'at epoch', 'last'], ['mine', '-', '4', '75.00', '2', '25.00']]
    assert figures['metrics']['accuracy/top1']['mine']['best'] == [0.75, None], 'one run has no deviation'


def test_of_errors_the_least_is_best(three: list[Path], tmp_path: Path):
    rows, figures = gathered(tmp_path, *three, '--metric', 'accuracy/error1', '--last', 4)
    assert [row[3:5] for row in rows[1:4]] == [['30.00', '2'], ['34.00', '3'], ['20.00', '1']]
    assert [row[5] for row in rows[1:4]] == ['39.00', '43.00', '32.00']
    assert figures['metrics']['accuracy/error1']['mine']['best'][0] == pytest.approx(0.28)
    assert rows[4][3].startswith('20.00 (28.00 +- ')
    assert figures['metrics']['accuracy/error1']['mine']['best_of_runs'] == pytest.approx(0.2)


def test_table_vi(tmp_path: Path):
    """Five runs, best (mean +- std), of the best epochs and of the last ones: by hand.

    93, 95, 94, 96, 92 have the mean 94 and squares 1 + 1 + 0 + 4 + 4 = 10, over 4 = 2.5, its root 1.5811. The last are
    2 less each.
    """
    runs = [tmp_path / f'mine_seed{seed}' for seed in range(5)]
    for seed, best in enumerate((0.93, 0.95, 0.94, 0.96, 0.92)):
        write_log(runs[seed], '20260101_000000', [best, best - 0.02], seed=seed)
    rows, _ = gathered(tmp_path, *runs)
    assert rows[-1] == ['mine: best (mean +- std) of 5', '', '', '96.00 (94.00 +- 1.58)', '', '94.00 (92.00 +- 1.58)']


def test_the_deviation_is_over_all_values(tmp_path: Path):
    """C-ResNet's rule: of nine values 1.57, where the means of the three runs have a deviation of 0.75.

    The runs have the means 90 - 0.75, 90, 90 + 0.75, and in each the last three epochs are 1.65 below, at and above its
    mean: squares 6 * 0.5625 + 6 * 2.7225 = 19.71, over 8 = 2.4638, its root 1.5696.
    """
    runs = [tmp_path / f'mine_seed{seed}' for seed in range(3)]
    for seed, mean in enumerate((0.8925, 0.9, 0.9075)):
        write_log(runs[seed], '20260101_000000', [0.1, mean - 0.0165, mean, mean + 0.0165], seed=seed)
    rows, figures = gathered(tmp_path, *runs, '--last', 3)
    means = [float(row[-1]) for row in rows[1:4]]
    assert means == [89.25, 90.0, 90.75] and f'{stdev(means):.2f}' == '0.75'
    assert rows[-1][-1] == '90.00 +- 1.57'
    assert figures['metrics']['accuracy/top1']['mine']['last'] == pytest.approx([0.9, 0.015696], abs=1e-6)


def test_bars_of_the_same_runs(three: list[Path], tmp_path: Path):
    printed = succeeded(here('gather_runs.py', *three, '--last', 2, '--bars', tmp_path / 'new' / 'bars.svg'))
    assert f'bars: {tmp_path / "new" / "bars.svg"}' in printed
    assert (tmp_path / 'new' / 'bars.svg').read_text().startswith('<?xml')
    for arguments, told in ((['--bars', 'a.jpg'], '--bars a.jpg: need a file name that ends in .png'),
                            (['--best'], '--best: is for --bars'), (['--bars', tmp_path / 'x.png' / 'y.png'], '')):
        (tmp_path / 'x.png').write_text('')
        assert told in error_line(here('gather_runs.py', *three, *arguments))


def test_each_recipe_by_itself(three: list[Path], tmp_path: Path):
    for seed, score in ((0, 0.1), (10, 0.3)):
        write_log(tmp_path / f'mine_rir32_seed{seed}', '20260101_000000', [score], seed=seed)
    write_log(tmp_path / 'mine_seed3_again', '20260101_000000', [0.5])
    folders = [three[0], tmp_path / 'mine_rir32_seed0', three[1], tmp_path / 'mine_rir32_seed10', three[2],
               tmp_path / 'mine_seed3_again']
    rows, figures = gathered(tmp_path, *folders)
    assert [row[0] for row in rows[1:]] == [
        'mine_seed0', 'mine_seed1', 'mine_seed2', 'mine: best (mean +- std) of 3', 'mine_rir32_seed0',
        'mine_rir32_seed10',
        'mine_rir32: best (mean +- std) of 2', 'mine_seed3_again']
    assert {name: len(recipe['runs']) for name, recipe in figures['metrics']['accuracy/top1'].items()} == {
        'mine': 3, 'mine_rir32': 2, 'mine_seed3_again': 1}
    assert figures['metrics']['accuracy/top1']['mine_rir32']['best'] == pytest.approx([0.2, 0.141421], abs=1e-6)


def test_a_resumed_run_counts_once(tmp_path: Path):
    """Its seed is that of its start; epochs that were trained again count as they came out at last."""
    run = tmp_path / 'mine_seed5'
    write_log(run, '20260101_000000', [0.1, 0.2, 0.9, 0.8], seed=5)
    write_log(run, '20260102_000000', [0.3, 0.4], first=3, resumed=True)
    rows, figures = gathered(tmp_path, run)
    assert rows[1:] == [['mine_seed5', '5', '4', '40.00', '4', '40.00']]
    write_log(run, '20260103_000000', [0.35], first=3, resumed=True)  # once more from epoch 2, and not as far yet
    assert gathered(tmp_path, run)[0][1:] == [['mine_seed5', '5', '3', '35.00', '3', '35.00']]


def test_a_run_started_anew_is_the_new_one_alone(tmp_path: Path):
    run = tmp_path / 'mine_seed5'
    write_log(run, '20260101_000000', [0.9, 0.9, 0.9], seed=4)
    write_log(run, '20260102_000000', [0.95], first=4, resumed=True)
    write_log(run, '20260103_000000', [0.1, 0.2], seed=5)
    (run / '20260104_000000' / 'vis_data').mkdir(parents=True)  # a test writes no scalars
    assert gathered(tmp_path, run)[0][1:] == [['mine_seed5', '5', '2', '20.00', '2', '20.00']]
    write_log(run, '20260105_000000', [0.3], first=3, resumed=True)
    assert gathered(tmp_path, run)[0][1:] == [['mine_seed5', '5', '3', '30.00', '3', '30.00']]


def test_detectors_too(tmp_path: Path):
    write_log(tmp_path / 'ssd', '20260101_000000', [0.2, 0.25], metric='coco/AP')
    assert gathered(tmp_path, tmp_path / 'ssd', '--metric', 'coco/AP')[0][1][3] == '25.00'


def test_losses_are_printed_as_they_are(tmp_path: Path):
    runs = [tmp_path / f'mine_seed{seed}' for seed in range(2)]
    for run, losses in zip(runs, [(0.50, 0.25), (0.75, 0.35)]):
        write_log(run, '20260101_000000', losses, metric='val_loss')
    rows, _ = gathered(tmp_path, *runs, '--metric', 'val_loss', '--bars', tmp_path / 'bars.png')
    assert rows[-1][-1] == '0.25 (0.30 +- 0.07)' and (tmp_path / 'bars.png').is_file()


def test_several_metrics(tmp_path: Path):
    """By hand: AP .2 and .3 have the mean .25 and the deviation .0707; COCO's -1 is no number. The first log counts."""
    for recipe, values in (('ssd', (0.2, 0.3)), ('rcnn', (0.5, ))):
        for seed, value in enumerate(values):
            log = write_log(tmp_path / f'{recipe}_seed{seed}', '20260101_000000', [0.1, value], metric='coco/AP')
            log.write_text(log.read_text().replace('"accuracy/error1"', '"coco/APs": -1, "coco/cat/AP"'))
    runs = sorted(tmp_path.glob('*_seed*'), reverse=True)
    rows, figures = gathered(tmp_path, *runs, '--metric', 'coco/AP*')
    assert rows == [['metric', 'ssd, 2 runs', 'rcnn'], ['coco/AP, %', '25.00 +- 7.07', '50.00'],
                    ['coco/APs, %', '-', '-']]
    assert figures['metrics']['coco/AP']['ssd']['last'] == pytest.approx([0.25, 0.0707107], abs=1e-6)
    line = error_line(here('gather_runs.py', *runs, '--metric', 'coco/A*', '--bars', tmp_path / 'bars.png'))
    assert line == 'error: --bars: draws one metric, and coco/A* matches coco/AP, coco/APs'
    assert not (tmp_path / 'bars.png').exists()


def test_a_run_counts_once(three: list[Path]):
    again = f'{three[0]}/../{three[0].name}'
    assert error_line(here('gather_runs.py', *three, again)) == f'error: {three[0]}: given twice; name each run once'


def test_mistakes(three: list[Path], tmp_path: Path):
    def refused(*arguments: object) -> str:
        return error_line(here('gather_runs.py', *arguments))

    assert f'{tmp_path / "none"}: no log of a run' in refused(three[0], tmp_path / 'none')
    line = refused(three[0], '--metric', 'accuracy/top2')
    assert f"{three[0]}: no 'accuracy/top2' in its log" in line and "did you mean 'accuracy/top1'" in line
    # The accuracy of training batches is logged too, and is not what a paper reports.
    assert "no 'accuracy' in its log, which has accuracy/error1, accuracy/top1" in refused(three[0], '--metric',
                                                                                           'accuracy')
    assert f'{three[0]}: only 4 validations, and 20 are to be averaged' in refused(*three, '--last', 20)
    assert '--last 0: need 1 or more' in refused(*three, '--last', 0)
    assert f"{tmp_path}: can't write there" in refused(*three, '--out', tmp_path)
    a_file = three[0] / '20260100_000000' / 'vis_data' / 'config.py'
    assert "can't write there" in refused(*three, '--out', a_file / 'figures.json')

    log = write_log(tmp_path / 'torn', '20260101_000000', [0.2, 0.25])
    whole = log.read_text()
    log.write_text(whole[:-20])  # as a crash leaves it: without its last validation
    assert gathered(tmp_path, tmp_path / 'torn')[0][1] == ['torn', '-', '1', '20.00', '1', '20.00']
    log.write_text(whole.replace('"step": 8}', '', 1))
    assert f'{log}, line 1: not JSON; remove the line' in refused(tmp_path / 'torn')
    log.write_text('')
    assert 'in its log, which has no metrics' in refused(tmp_path / 'torn')
