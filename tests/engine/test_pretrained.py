"""A classifier's checkpoint, as training wrote it, is what a detector starts from, with nothing edited."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmengine.registry import MODELS, init_default_scope

from mmext.checkpoints import read_checkpoint
from mmext.engine.config import load_config
from mmext.errors import UserError
from tests.classification.helpers import write_folders
from tests.conftest import CONFIG, ROOT
from tests.tools.helpers import here, succeeded

RECIPE = ROOT / 'configs' / 'classification' / 'iresnet_imagenet.py'
OPTIONS = ('train_cfg.max_epochs=1', 'train_cfg.val_interval=9', 'train_dataloader.batch_size=3',
           'train_dataloader.num_workers=0', 'train_dataloader.dataset.pipeline.1.size=64', 'val_evaluator.topk=[1]')


@pytest.fixture(scope='module')
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp('f')
    for split in ('train', 'val'):
        write_folders(root / split, {'n01': 2, 'n02': 1})
    return root


@pytest.mark.parametrize('name', ['iresnet18', 'cresnet15_a1', 'resnet18_recursive', 'rir_init32'])
def test_every_backbone_tensor_of_the_detector_is_the_classifier_s(
        name: str, folders: Path, tmp_path_factory: pytest.TempPathFactory):
    work_dir = tmp_path_factory.mktemp('w')  # short, as yapf likes it
    succeeded(here('train.py', RECIPE, '--backbone', name, '--data-root', folders, '--classes', 'auto', '--work-dir',
                   work_dir, '--seed', 0, '--cfg-options', *OPTIONS))
    checkpoint = work_dir / 'epoch_1.pth'
    options = {'model.backbone.init_cfg.type': 'Pretrained', 'model.backbone.init_cfg.checkpoint': str(checkpoint)}
    config = load_config(ROOT / CONFIG, backbone=name, options=options)
    init_default_scope('mmdet')
    detector = MODELS.build(config.model)
    trained = read_checkpoint(checkpoint)['state_dict']
    found = detector.backbone.state_dict()
    weights = [key for key in found if key.endswith('weight') and found[key].dim() > 1]
    unequal = [key for key in weights if not torch.equal(found[key], trained[f'backbone.{key}'])]
    assert weights == unequal, 'before init_weights nothing is loaded'
    detector.init_weights()
    found = detector.backbone.state_dict()
    assert len(found) > 20 and not [key for key in found if not torch.equal(found[key], trained[f'backbone.{key}'])]
    unused = {key.split('.')[1] for key in trained if key.removeprefix('backbone.') not in found} - {'weight', 'bias'}
    assert unused == (set() if name == 'rir_init32' else {'layer4'}), 'SSD300 is cut after stage 3'
    assert found['bn1.num_batches_tracked'] == 1


def test_another_network_s_checkpoint_is_refused(tmp_path: Path):
    with torch.device('meta'):
        other = MODELS.build(load_config(RECIPE, backbone='cresnet15_a1').model).state_dict()
    torch.save(dict(state_dict={key: torch.zeros(()).expand(value.shape) for key, value in other.items()}),
               tmp_path / 'epoch_1.pth')
    options = {'model.backbone.init_cfg.type': 'Pretrained',
               'model.backbone.init_cfg.checkpoint': str(tmp_path / 'epoch_1.pth')}
    init_default_scope('mmdet')
    for name in ('cresnet18_a', 'cresnet27_b', 'resnet18'):
        detector = MODELS.build(load_config(ROOT / CONFIG, backbone=name, options=options).model)
        with pytest.raises(UserError, match='epoch_1.pth: .* missing|of another shape') as caught:
            detector.init_weights()
        assert '\n' not in str(caught.value)
