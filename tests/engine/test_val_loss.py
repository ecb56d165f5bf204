"""``--val-loss``: what is logged is the loss of the validation set, and the training does not notice it."""

from __future__ import annotations

import copy
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.logging import MessageHub
from mmengine.registry import DATASETS, MODELS, init_default_scope
from mmengine.runner import LogProcessor
from mmengine.structures import InstanceData
from torch import nn

from mmext.analysis.curves import make_figure, read_runs
from mmext.checkpoints import read_checkpoint
from mmext.classification.metric import log_loss
from mmext.classification.report import page as classification
from mmext.detection.report import page as detection
from mmext.detection.val_loss import resize_boxes
from mmext.engine.config import load_config, read_config
from mmext.engine.flags.training import apply_training_flags
from mmext.engine.hooks import ValLossHook
from mmext.engine.log import read_scalars
from mmext.engine.resume.generators import generator_states
from mmext.errors import UserError
from mmext.report.sections import training_curves, training_section
from mmext.task import task_of
from tests.conftest import CONFIG, ROOT
from tests.engine.resume.helpers import PARTS, differences
from tests.engine.resume.test_exact import RECIPE, cifar, classifier  # noqa: F401  a fixture
from tests.tools.helpers import here, succeeded
from tests.tools.test_video import TRAIN, configs, kinetics  # noqa: F401  fixtures

FEW = ('train_dataloader.num_workers=0', 'train_cfg.max_epochs=2')


def validations(work_dir: Path) -> list[dict]:
    return [record for record in read_scalars(work_dir) if record['mode'] == 'val']


def assert_unnoticed(plain: Path, logged: Path, name: str) -> None:
    once, twice = (read_checkpoint(folder / name) for folder in (plain, logged))
    assert [found for part in PARTS for found in differences(once.get(part), twice.get(part), part)] == []
    states = [checkpoint['meta']['resume']['ranks'][0]['generators'] for checkpoint in (once, twice)]
    assert differences(*states) == []


def test_a_classifier(cifar: Path, tmp_path: Path):  # noqa: F811
    """The logged number is the cross entropy of the checkpoint, and curves show it beside that of the training."""
    flags = ('--seed', 0, '--ema', 0.3)
    succeeded(classifier(cifar, RECIPE, *flags, options=FEW)(tmp_path / 'plain'))
    printed = succeeded(classifier(cifar, RECIPE, *flags, '--val-loss', options=FEW)(tmp_path / 'logged'))
    assert_unnoticed(tmp_path / 'plain', tmp_path / 'logged', 'epoch_2.pth')
    before, after = validations(tmp_path / 'plain'), validations(tmp_path / 'logged')
    assert [record['accuracy/top1'] for record in before] == [record['accuracy/top1'] for record in after]
    losses = [record['val_loss'] for record in after]
    assert len(losses) == 2 and all(0 < loss < 10 for loss in losses) and f'val_loss: {losses[1]:.4f}' in printed
    figure = make_figure(read_runs([tmp_path / 'logged']), ['loss', 'accuracy/top1'])
    axes = figure.axes[0]
    assert axes.get_title(loc='left') == 'loss, and val_loss (dots)'
    assert list(axes.get_lines()[1].get_ydata()) == losses


@pytest.mark.parametrize('hierarchy', [False, True])
def test_each_validation_logs_its_own_loss(hierarchy: bool):
    """mmengine alone logs the mean of all validations so far for every name with 'loss' in it: 2 and 1.5."""
    hub, hook = MessageHub(f'val_loss_{hierarchy}'), ValLossHook()
    runner = SimpleNamespace(log_processor=LogProcessor(window_size=50, log_with_hierarchy=hierarchy), message_hub=hub)
    logged = []
    for loss in (2.0, 1.0):
        hook.before_val_epoch(runner)
        hook.sums, hook.samples = dict(loss=torch.tensor(4 * loss), loss_cls=torch.tensor(8 * loss)), 4
        metrics: dict[str, float] = {}
        hook.after_val_epoch(runner, metrics)
        for name, value in metrics.items():
            hub.update_scalar(f'val/{name}', value)
        processor = runner.log_processor
        tag = processor._collect_scalars(processor._parse_windows_size(runner, 0, processor.custom_cfg), runner, 'val',
                                         hierarchy)
        logged.append({name.removeprefix('val/'): value for name, value in tag.items()})
    assert logged == [dict(val_loss=2, val_loss_cls=4), dict(val_loss=1, val_loss_cls=2)]
    assert len(runner.log_processor.custom_cfg) == 2


def test_the_loss_of_predictions_is_that_of_logits():
    logits, labels = torch.randn(7, 5, generator=torch.Generator().manual_seed(0)), [0, 1, 2, 3, 4, 0, 1]
    expected = torch.nn.functional.cross_entropy(logits, torch.tensor(labels))
    assert torch.allclose(log_loss(logits.softmax(1), labels), expected)
    assert log_loss(torch.tensor([[0., 1.]]), [0]) == pytest.approx(87.3, abs=0.1), 'finite'


@pytest.fixture(scope='module', params=[CONFIG, 'configs/faster_rcnn_iresnet50_fpn_coco.py'])
def detector(request: pytest.FixtureRequest) -> tuple[Config, nn.Module, dict]:
    """The config, the model in eval mode, and a batch of two images with objects, one of which has none."""
    config = load_config(ROOT / request.param, backbone='iresnet18')
    task = task_of(config)
    init_default_scope('mmdet')
    torch.manual_seed(0)
    model = MODELS.build(config.model).eval()
    side = 300 if request.param == CONFIG else 96
    batch = task.made_up_batch((3, side, side), 3, 80)
    batch['data_samples'][1].gt_instances = batch['data_samples'][1].gt_instances[:0]
    return config, model, batch


def test_a_detector_does_not_notice(detector: tuple[Config, nn.Module, dict]):
    """Faster R-CNN draws random regions for its loss: the same in each validation, and not from the training's."""
    config, model, batch = detector
    before = copy.deepcopy(model.state_dict()), copy.deepcopy(batch), generator_states()
    metrics, hook, processor = [], ValLossHook(), LogProcessor()
    hook.before_train(SimpleNamespace(cfg=config))
    for _ in range(2):
        hook.before_val_epoch(SimpleNamespace())
        hook.after_val_iter(SimpleNamespace(model=model), 0, batch, batch['data_samples'])
        metrics.append({})
        hook.after_val_epoch(SimpleNamespace(log_processor=processor), metrics[-1])
        assert differences(before[2], generator_states()) == []
    assert differences(before[0], model.state_dict()) == [] and not model.training
    assert all(weight.grad is None for weight in model.parameters())
    assert torch.equal(batch['data_samples'][0].gt_instances.bboxes, before[1]['data_samples'][0].gt_instances.bboxes)
    assert metrics[0] == metrics[1]
    parts = {'val_loss_cls', 'val_loss_bbox'} | (
        {'val_loss_rpn_cls', 'val_loss_rpn_bbox'} if hasattr(model, 'roi_head') else set())
    assert metrics[0].keys() == parts | {'val_loss'}
    assert metrics[0]['val_loss'] == pytest.approx(sum(metrics[0][part] for part in parts), rel=1e-5)


def test_boxes_that_are_loaded_after_the_resize(shapes: Path):
    """mmdet's test pipelines load the boxes of the original image; the loss is that of a pipeline that resizes them."""
    config = load_config(ROOT / CONFIG, backbone='iresnet18', data_root=str(shapes), classes='auto')
    init_default_scope('mmdet')
    torch.manual_seed(0)
    model = MODELS.build(config.model).eval()
    losses, pipeline = [], config.val_dataloader.dataset.pipeline
    for first in ('Resize', 'LoadAnnotations'):
        pipeline[1:3] = sorted(pipeline[1:3], key=lambda step: step.type != first)
        assert pipeline[1].type == first
        data = DATASETS.build(copy.deepcopy(config.val_dataloader.dataset))
        with torch.no_grad():
            found = task_of(config).val_loss(config)(model, pseudo_collate([data[0], data[1]]), [])
        losses.append({name: value.item() for name, value in found.items()})
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_a_recognizer(configs: Path, kinetics: Path, tmp_path: Path):  # noqa: F811
    succeeded(here('train.py', configs / 'iresnet3d50_kinetics400.py', '--data-root', kinetics, '--work-dir', tmp_path,
                   '--val-loss', *TRAIN, 'train_dataloader.dataset.max_unreadable=0.5'))
    (record, ) = validations(tmp_path)
    assert 0.1 < record['val_loss'] < 10


def test_boxes_are_those_of_the_resized_image():
    sample = DetDataSample(metainfo=dict(scale_factor=(0.5, 2.)))
    sample.gt_instances = InstanceData(bboxes=torch.tensor([[10., 10., 20., 30.]]))
    sample.ignored_instances = InstanceData(bboxes=torch.zeros(0, 4))
    resize_boxes(sample)
    np.testing.assert_array_equal(sample.gt_instances.bboxes, [[5., 20., 10., 60.]])


@pytest.mark.parametrize('task', [detection, classification])
def test_the_report_has_a_plot_of_it(task: ModuleType):
    history = [{'mode': 'val', 'iter': i, 'val_loss': 3. - i, 'val_loss_cls': 2. - i, 'coco/AP': 0.1} for i in (1, 2)]
    curves = training_curves(history, task.TRAINING)['Validation loss']
    assert ([1, 2], [2., 1.]) in curves.values()
    assert len(curves) == (2 if task is detection else 1)
    assert 'Validation loss' in dict(training_section(history, task.TRAINING))


def without_annotations(config: Config) -> None:
    pipeline = config.val_dataloader.dataset.pipeline
    config.val_dataloader.dataset.pipeline = [step for step in pipeline if step['type'] != 'LoadAnnotations']


@pytest.mark.parametrize('change, says', [
    (without_annotations, '--val-loss: the pipeline of the validation loads no annotations; add dict'),
    (lambda config: config.merge_from_dict(dict(val_cfg=None)), '--val-loss: the config has no validation'),
    (lambda config: config.model.update(roi_head=dict(mask_head=dict())), 'this model has a mask head')])
def test_what_has_no_loss(change: object, says: str):
    config = read_config(ROOT / CONFIG)
    change(config)
    with pytest.raises(UserError, match=says):
        apply_training_flags(config, val_loss=True)
