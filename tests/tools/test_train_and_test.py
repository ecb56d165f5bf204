"""tools/train.py and tools/test.py as a user runs them: train, resume, evaluate, several processes."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import subprocess
from pathlib import Path

import cv2
import pytest
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from mmext.checkpoints import read_checkpoint
from tests.conftest import CONFIG, OPTIONS, SMALL, Tool, run
from tests.tools.helpers import here, succeeded

# A RetinaNet of 64-pixel images that is narrow behind its backbone, of which two stages train.
NARROW = ('train_dataloader.dataset.pipeline.2.scale=(64,64)', 'val_dataloader.dataset.pipeline.1.scale=(64,64)',
          'model.backbone.frozen_stages=2', 'model.neck.out_channels=16', 'model.bbox_head.in_channels=16',
          'model.bbox_head.feat_channels=16', 'model.bbox_head.stacked_convs=1')
NAMES = ['AP', 'AP50', 'AP75', 'APs', 'APm', 'APl', 'AR1', 'AR10', 'AR100', 'ARs', 'ARm', 'ARl']


def train(tool: Tool, data: Path, work_dir: Path, *options: str, flags: tuple = ()) -> subprocess.CompletedProcess:
    done = tool('train.py', CONFIG, *SMALL, '--data-root', data, '--work-dir', work_dir, *flags, '--cfg-options',
                *OPTIONS, *options)
    assert done.returncode == 0, done.stderr[-3000:]
    return done


@pytest.fixture(scope='module')
def trained(tool: Tool, shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two epochs without an interruption."""
    work_dir = tmp_path_factory.mktemp('trained')
    train(tool, shapes, work_dir, 'train_cfg.max_epochs=2', 'train_dataloader.num_workers=1')
    return work_dir


def test_outputs_are_in_the_work_dir(trained: Path):
    assert (trained / 'last_checkpoint').read_text() == 'epoch_2.pth'
    assert (trained / 'ssd300_iresnet50_coco.py').is_file()
    assert list(trained.glob('best_coco_AP_epoch_*.pth')), 'the best checkpoint is kept'
    assert not list(trained.glob('.*.part')), 'no half-written file is left'
    log = next(trained.glob('*/vis_data/scalars.json')).read_text()
    assert 'loss_bbox' in log and 'coco/APl' in log


def test_resumed_training_is_bit_equal(tool: Tool, shapes: Path, trained: Path, tmp_path: Path):
    train(tool, shapes, tmp_path, 'train_dataloader.num_workers=1')
    # No --seed here: a resumed run takes it from the checkpoint.
    resumed = tool('train.py', CONFIG, *SMALL[:4], '--data-root', shapes, '--work-dir', tmp_path, '--resume',
                   '--cfg-options', *OPTIONS, 'train_cfg.max_epochs=2', 'train_dataloader.num_workers=1')
    assert resumed.returncode == 0, resumed.stderr[-3000:]
    once, twice = read_checkpoint(trained / 'epoch_2.pth'), read_checkpoint(tmp_path / 'epoch_2.pth')
    assert once['meta']['iter'] == twice['meta']['iter'] == 6
    for name, value in once['state_dict'].items():
        assert torch.equal(value, twice['state_dict'][name]), name
    for number, state in once['optimizer']['state'].items():
        momentum = twice['optimizer']['state'][number]['momentum_buffer']
        assert torch.equal(state['momentum_buffer'], momentum), number
    assert once['param_schedulers'] == twice['param_schedulers']


def test_resumed_training_on_mmdets_runtime_is_bit_equal(shapes: Path, tmp_path: Path):
    """Its loaders keep their workers from epoch to epoch, and a new worker would flip other images."""
    def weights(name: str, epochs: int, *flags: str) -> dict:
        told = succeeded(here('train.py', 'configs/retinanet_iresnet50_fpn_coco.py', '--backbone', 'iresnet18',
                              '--data-root', shapes, '--classes', 'auto', '--seed', 3, '--work-dir', tmp_path / name,
                              *flags, '--cfg-options', *NARROW, 'val_dataloader.num_workers=0',
                              'val_dataloader.persistent_workers=False', f'train_cfg.max_epochs={epochs}'))
        assert ('batch: 2 samples per update, the recipe has 16; the learning rate stays 0.01, scaled linearly it '
                'would be 0.00125: give --auto-scale-lr') in told
        return read_checkpoint(tmp_path / name / f'epoch_{epochs}.pth')['state_dict']

    once = weights('once', 2)
    weights('twice', 1)
    twice = weights('twice', 2, '--resume')
    assert all(torch.equal(value, twice[name]) for name, value in once.items())


@pytest.mark.smoke
def test_metrics_are_those_of_pycocotools(tool: Tool, shapes: Path, trained: Path, tmp_path: Path):
    done = tool('test.py', CONFIG, trained / 'epoch_2.pth', *SMALL[:4], '--data-root', shapes, '--work-dir', tmp_path,
                '--out', tmp_path / 'metrics.json', '--show-dir', tmp_path / 'pictures', '--show-score', 0.05,
                '--per-class', '--cfg-options', *OPTIONS, f'test_evaluator.outfile_prefix={tmp_path}/found')
    assert done.returncode == 0, done.stderr[-3000:]
    metrics = json.loads((tmp_path / 'metrics.json').read_text())
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(shapes / 'annotations' / 'instances_val2017.json'))
        evaluation = COCOeval(truth, truth.loadRes(str(tmp_path / 'found.bbox.json')), 'bbox')
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    assert [metrics[name] for name in NAMES] == pytest.approx(list(evaluation.stats), abs=1e-12)
    assert all(name in done.stdout for name in NAMES)
    assert set(metrics['per_class']) == {'circle', 'square', 'triangle'}
    assert sum(row['objects'] for row in metrics['per_class'].values()) == len(truth.anns)
    pictures = sorted((tmp_path / 'pictures').glob('*.jpg'))
    assert len(pictures) == 2
    assert cv2.imread(str(pictures[0])).shape[:2] == (300, 600), 'ground truth and detections side by side'


def test_two_processes_train_and_test(tool: Tool, shapes: Path, trained: Path, tmp_path: Path):
    launch = ('-m', 'torch.distributed.run', '--nproc_per_node=2', '--master_port=29517')
    common = (*SMALL[:4], '--data-root', str(shapes), '--launcher', 'pytorch')
    done = run(*launch, 'tools/train.py', CONFIG, *common, '--seed', '0', '--work-dir', str(tmp_path / 'two'),
               '--cfg-options', *OPTIONS)
    assert done.returncode == 0, done.stderr[-3000:]
    checkpoint = read_checkpoint(tmp_path / 'two' / 'epoch_1.pth')
    assert checkpoint['meta']['iter'] == 1, '6 images, 2 a step and process, no incomplete batch'

    arguments = (CONFIG, str(trained / 'epoch_2.pth'), *SMALL[:4], '--data-root', str(shapes), '--cfg-options',
                 *OPTIONS, 'test_dataloader.batch_size=1')
    metrics = []
    for number, launcher in (('1', ()), ('2', launch)):
        out = tmp_path / f'{number}.json'
        flags = ('--work-dir', str(tmp_path / number), '--out', str(out), '--launcher',
                 'pytorch' if launcher else 'none')
        given = (*arguments[:2], *flags, *arguments[2:])
        done = run(*launcher, 'tools/test.py', *given) if launcher else tool('test.py', *given)
        assert done.returncode == 0, done.stderr[-3000:]
        metrics.append(json.loads(out.read_text()))
    assert metrics[0] == pytest.approx(metrics[1], abs=1e-9)


def test_images_without_boxes(tool: Tool, shapes: Path, tmp_path: Path):
    data = Path(shutil.copytree(shapes, tmp_path / 'data'))
    path = data / 'annotations' / 'instances_train2017.json'
    content = json.loads(path.read_text())
    content['annotations'] = [annotation for annotation in content['annotations'] if annotation['image_id'] == 1]
    path.write_text(json.dumps(content))  # five images of six are empty, so whole batches are
    done = train(tool, data, tmp_path / 'run', 'train_dataloader.dataset.filter_cfg.filter_empty_gt=False',
                 'train_cfg.val_interval=9')
    assert 'Epoch(train) [1][3/3]' in done.stderr + done.stdout


def test_real_images_with_crowds_and_tiny_boxes(tool: Tool, coco_tiny: Path, tmp_path: Path):
    done = tool('train.py', CONFIG, '--backbone', 'iresnet18', '--seed', 0, '--data-root', coco_tiny, '--work-dir',
                tmp_path, '--cfg-options', *OPTIONS, 'train_dataloader.batch_size=4', 'train_cfg.val_interval=9',
                'train_dataloader.dataset.indices=8')
    assert done.returncode == 0, done.stderr[-3000:]
    assert 'Epoch(train) [1][2/2]' in done.stderr + done.stdout
