"""The tools of mmdet and mmaction2, as they are installed, on our configs and checkpoints."""

from __future__ import annotations

import importlib.util
import pickle
from pathlib import Path

import mmengine.hub
import pytest
import torch
from mmengine.registry import MODELS, DefaultScope

import mmext  # noqa: F401  registers the names
from mmext.engine.config import load_config
from tests.conftest import ROOT, Tool, run
from tests.tools.helpers import here, succeeded
from tests.warm import run_warm

CLASSES = ('circle', 'square', 'triangle')
LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')
HERE = {f'{loader}.{key}': value for loader in LOADERS for key, value in (('num_workers', 0),
                                                                         ('persistent_workers', False))}
SHORT = {**HERE, 'train_dataloader.batch_size': 2, 'train_cfg.max_epochs': 1, 'train_cfg.val_interval': 1,
         'optim_wrapper.optimizer.lr': 0.001}
FEW = {'ssd300_iresnet50_coco': {'model.test_cfg.nms_pre': 20},
       'faster_rcnn_iresnet50_fpn_coco': {f'{loader}.dataset.pipeline.1.scale': (96, 96) for loader in LOADERS[1:]}}


def tools_of(package: str) -> Path:
    """The folder of the tools that a package brings along."""
    spec = importlib.util.find_spec(package)
    assert spec and spec.origin
    return Path(spec.origin).parent / '.mim' / 'tools'


def peer(package: str, script: str, *arguments: object) -> str:
    """Runs a tool in a process that has imported mmdet already; returns what it printed."""
    return succeeded(run_warm(tools_of(package) / script, *map(str, arguments)))


def save(config: mmengine.Config, path: Path, scope: str) -> Path:
    """The weights of an untrained model."""
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope(scope):
        model = MODELS.build(config.model)
        model.init_weights()
    torch.save(dict(state_dict=model.state_dict(), meta=dict(dataset_meta=dict(classes=CLASSES))), path)
    return path


def detector(name: str, shapes: Path, folder: Path) -> tuple[Path, Path]:
    """A config as a run keeps it, and a checkpoint."""
    config = load_config(ROOT / 'configs' / f'{name}.py', data_root=str(shapes), classes='auto', backbone='iresnet18',
                         options={**SHORT, **FEW[name]})
    config.dump(folder / f'{name}.py')
    return folder / f'{name}.py', save(config, folder / f'{name}.pth', 'mmdet')


@pytest.fixture(scope='module')
def ssd(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return detector('ssd300_iresnet50_coco', shapes, tmp_path_factory.mktemp('ssd'))


@pytest.fixture(scope='module')
def predictions(ssd: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What mmdet's test writes, in a process that imports mmdet before mmext."""
    folder = tmp_path_factory.mktemp('test')
    done = run(str(tools_of('mmdet') / 'test.py'), *map(str, ssd), '--work-dir', str(folder), '--out',
               str(folder / 'found.pkl'))
    assert 'coco/AP: ' in succeeded(done)
    return folder / 'found.pkl'


def test_mmdet_tests_and_looks_at_the_results(ssd: tuple[Path, Path], predictions: Path, tmp_path: Path):
    found = pickle.loads(predictions.read_bytes())
    assert len(found) == 2 and all(len(one['pred_instances']['scores']) for one in found)
    peer('mmdet', 'analysis_tools/confusion_matrix.py', ssd[0], predictions, tmp_path / 'matrix')
    assert (tmp_path / 'matrix' / 'confusion_matrix.png').is_file()
    peer('mmdet', 'analysis_tools/analyze_results.py', ssd[0], predictions, tmp_path / 'worst', '--topk', 1)
    assert len(list((tmp_path / 'worst').rglob('*.jpg'))) == 2


def test_mmdet_trains_and_resumes(ssd: tuple[Path, Path], tmp_path: Path):
    printed = peer('mmdet', 'train.py', ssd[0], '--work-dir', tmp_path)
    assert 'Epoch(train) [1]' in printed and 'coco/AP: ' in printed
    printed = peer('mmdet', 'train.py', ssd[0], '--work-dir', tmp_path, '--resume', '--cfg-options',
                   'train_cfg.max_epochs=2', 'train_cfg.val_interval=9')
    assert 'Epoch(train) [2]' in printed and 'Epoch(train) [1]' not in printed


@pytest.mark.parametrize('name', FEW)
def test_mmdet_augments_tests(name: str, shapes: Path, tmp_path: Path):
    """The merged detections of an image and its mirror image."""
    config, checkpoint = detector(name, shapes, tmp_path)
    printed = peer('mmdet', 'test.py', config, checkpoint, '--work-dir', tmp_path / 'test', '--tta', '--out',
                   tmp_path / 'found.pkl')
    assert 'coco/AP: ' in printed
    found = pickle.loads((tmp_path / 'found.pkl').read_bytes())
    assert len(found) == 2
    for one in found:
        boxes, (height, width) = one['pred_instances']['bboxes'], one['ori_shape']
        assert 0 < len(boxes) <= 100
        assert (boxes >= -1).all() and (boxes <= torch.tensor([width, height, width, height]) + 1).all()


def test_mmdet_browses_data_and_counts_flops(ssd: tuple[Path, Path], tmp_path: Path):
    peer('mmdet', 'analysis_tools/browse_dataset.py', ssd[0], '--output-dir', tmp_path, '--not-show')
    assert len(list(tmp_path.iterdir())) == 6
    printed = peer('mmdet', 'analysis_tools/get_flops.py', ssd[0], '--num-images', 1)
    assert 'Flops: ' in printed and 'Params: ' in printed


def test_mmaction2(tool: Tool, tmp_path: Path):
    succeeded(tool('make_motion.py', tmp_path / 'motion', '--train', 1, '--val', 1, '--size', 48))
    config = load_config(ROOT / 'configs' / 'demo' / 'iresnet3d18_motion.py', data_root=str(tmp_path / 'motion'),
                         options={**SHORT, 'model.backbone.num_stages': 2, 'model.cls_head.in_channels': 128,
                                  'model.backbone.temporal_strides': (1, 2)})
    path, found = tmp_path / 'motion.py', tmp_path / 'found.pkl'
    config.dump(path)
    printed = peer('mmaction', 'train.py', path, '--work-dir', tmp_path / 'run')
    assert 'Epoch(train) [1]' in printed and 'accuracy/top1: ' in printed
    checkpoint = tmp_path / 'run' / 'epoch_1.pth'
    printed = peer('mmaction', 'test.py', path, checkpoint, '--work-dir', tmp_path / 'test', '--dump', found)
    assert 'accuracy/mean_class: ' in printed and len(pickle.loads(found.read_bytes())) == 6
    assert 'Flops: ' in peer('mmaction', 'analysis_tools/get_flops.py', path, '--shape', 1, 3, 8, 40, 40)
    succeeded(run('-m', 'mmext.compat', str(tools_of('mmaction') / 'analysis_tools' / 'confusion_matrix.py'), str(path),
                  str(checkpoint), '--out', str(tmp_path / 'matrix.pkl')))
    assert pickle.loads((tmp_path / 'matrix.pkl').read_bytes()).sum() == 6


def test_a_script_that_is_none():
    for arguments, told in (((), 'give a script'), (('none.py', ), 'none.py: no such script')):
        done = run('-m', 'mmext.compat', *arguments)
        assert done.returncode == 2 and done.stderr.startswith(f'error: {told}'), done.stderr


@pytest.mark.parametrize('name', ['ssd300_iresnet50_coco.py', 'classification/iresnet_cifar10.py',
                                  'iresnet3d50_kinetics400.py'])
def test_models_by_the_names_of_configs(name: str):
    config = mmengine.hub.get_config(f'mmext::{name}')
    with DefaultScope.overwrite_default_scope(config.get('default_scope', 'mmengine')):
        model = mmengine.hub.get_model(f'mmext::{name}', pretrained=False)
    assert type(model.backbone).__name__.startswith('IResNet')


def files_of(folder: Path) -> dict[str, int]:
    """The files in a folder with the times of their last changes."""
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob('*') if path.is_file()}


def test_a_kept_config_does_not_lead_back_to_its_run(ssd: tuple[Path, Path], tool: Tool, tmp_path: Path,
                                                     monkeypatch: pytest.MonkeyPatch):
    (config, checkpoint), runs, shown = ssd, [tmp_path / name for name in ('run', 'test')], tmp_path / 'test' / 'shown'
    train = ('train.py', config, '--work-dir', runs[0])
    succeeded(tool(*train, '--cfg-options', f'load_from={checkpoint}'))
    succeeded(tool(*train, '--resume', '--cfg-options', f'load_from={checkpoint}', 'train_cfg.max_epochs=2',
                   'train_cfg.val_interval=9'))
    trained = runs[0] / 'epoch_1.pth'
    succeeded(tool('test.py', config, trained, '--work-dir', runs[1], '--show-dir', shown, '--skip-unreadable'))
    assert len(list(shown.iterdir())) == 2 and (runs[1] / 'detections.json').is_file()
    before = {**files_of(runs[0]), **files_of(runs[1])}
    for run_of, load_from in zip(runs, (str(checkpoint), None)):
        kept = run_of / config.name
        content = mmengine.Config.fromfile(kept)
        assert content.load_from == load_from and not {'work_dir', 'resume'} & {*content}
        assert not any(str(folder) in kept.read_text() for folder in runs)
    monkeypatch.chdir(tmp_path)
    succeeded(here('test.py', kept, trained))
    assert (tmp_path / 'work_dirs' / config.stem / 'detections.json').is_file()
    peer('mmdet', 'test.py', kept, trained, '--work-dir', tmp_path / 'of_mmdet')
    assert before == {**files_of(runs[0]), **files_of(runs[1])}
