"""Runs as cells of a table: which network on which data, from the config in the log."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmext.analysis.run_cells import compared_cells, drawn_cells, read_trained
from mmext.errors import UserError
from tests.tools.test_gather_runs import write_log

RIR = "dict(type='mmext.RiR', depth=32, variant='rir', stem='conv3x3')"
RESNET = "dict(depth=18, stem='conv3x3_twice', type='mmext.ResNet')"


def write_run(work_dir: Path, scores: list[float], backbone: str = RIR, data: str = 'cifar10/', kind: str = 'CIFAR10',
              seed: int = 0) -> Path:
    """A run as tools/train.py leaves it, with the parts of its config that name network and data."""
    folder = write_log(work_dir, '20260101_000000', scores, seed=seed).parent
    with open(folder / 'config.py', 'a') as file:
        file.write(f"model = dict(type='mmext.Classifier', backbone={backbone}, num_classes=10)\n"
                   f"val_dataloader = dict(dataset=dict(data_root='data/{data}', type='mmext.{kind}'))\n")
    return work_dir


def cells(*runs: Path, last: int = 1, best: bool = False) -> dict:
    return compared_cells(read_trained(runs, 'accuracy/top1', last), best)


def test_networks_and_data_by_name(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / 'a_seed0', [0.5, 0.7, 0.6]), write_run(tmp_path / 'a_seed1', [0.5, 0.6, 0.8]),
            write_run(tmp_path / 'b', [0.1, 0.2, 0.3], RESNET),
            write_run(tmp_path / 'c', [0.4, 0.5, 0.6], RIR.replace('RiR', 'RiR3d'), '/somewhere/mine', 'ImageFolder')]
    assert cells(*runs) == {('cifar10', 'rir32'): [0.6, 0.8], ('cifar10', 'resnet18'): [0.3], ('mine', 'rir32'): [0.6]}
    assert cells(*runs, last=2)['cifar10', 'rir32'] == [0.7, 0.6, 0.6, 0.8]
    assert cells(*runs, best=True)['cifar10', 'rir32'] == [0.7, 0.8]
    with pytest.raises(UserError, match='a_seed0: given twice; name each run once'):
        cells(runs[0], tmp_path / '.' / 'a_seed0')


def test_one_folder_with_data_of_two_classes(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / 'a', [0.5], data='cifar'),
            write_run(tmp_path / 'b', [0.4], data='cifar', kind='CIFAR100'),
            write_run(tmp_path / 'c', [0.4], data='', kind='MNIST')]
    named = "dict(type='mmext.MNIST')"
    config = tmp_path / 'c' / '20260101_000000' / 'vis_data' / 'config.py'
    config.write_text(config.read_text().replace("dict(data_root='data/', type='mmext.MNIST')", named))
    assert [data for data, _ in cells(*runs)] == ['cifar (CIFAR10)', 'cifar (CIFAR100)', 'MNIST']


def test_two_recipes_of_one_network(tmp_path: Path) -> None:
    """They are no repetitions: a comparison refuses them, and bars have the names of the recipes."""
    runs = [write_run(tmp_path / 'short_seed0', [0.5]), write_run(tmp_path / 'long_seed0', [0.6]),
            write_run(tmp_path / 'long_seed1', [0.7]), write_run(tmp_path / 'b', [0.3], RESNET)]
    with pytest.raises(UserError, match='have both trained rir32 on cifar10; if they are repetitions, name them'):
        cells(*runs)
    assert drawn_cells(read_trained(runs, 'accuracy/top1'), False) == {
        ('cifar10', 'short'): [0.5], ('cifar10', 'long'): [0.6, 0.7], ('cifar10', 'resnet18'): [0.3]}


def test_runs_that_do_not_say_what_they_are(tmp_path: Path) -> None:
    write_log(tmp_path / 'none_seed0', '20260101_000000', [0.5])
    own = write_run(tmp_path / 'own', [0.5], "dict(type='Own', depth=3)")
    with pytest.raises(UserError, match='none_seed0: the config in its log has no data set; write the results to'):
        cells(tmp_path / 'none_seed0')
    with pytest.raises(UserError, match='own: the config in its log has no network of a known name'):
        cells(own)
    runs = read_trained([tmp_path / 'none_seed0', own], 'accuracy/top1')
    assert drawn_cells(runs, False) == {('', 'none'): [0.5], ('cifar10', 'own'): [0.5]}


def test_a_config_is_not_run(tmp_path: Path) -> None:
    run = write_run(tmp_path / 'a', [0.5])
    config = run / '20260101_000000' / 'vis_data' / 'config.py'
    config.write_text(config.read_text() + f'other = open({str(tmp_path / "made")!r}, "w")\n')
    assert cells(run) and not (tmp_path / 'made').exists()
    config.write_text('model = dict(')
    with pytest.raises(UserError, match='a: the config in its log is not valid Python'):
        cells(run)
