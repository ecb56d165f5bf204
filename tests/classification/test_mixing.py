"""Mixup, CutMix and label smoothing: what they compute, and the configs of docs/training.md as they are printed."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from mmcv.transforms import Compose
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from torch.nn import functional

import mmext
from mmext.classification import Classifier, ImagePreprocessor
from mmext.engine.config import load_config
from mmext.errors import UserError
from mmext.task import task_of
from tests.conftest import ROOT
from tests.engine.resume.test_exact import RECIPE, assert_exact, cifar, classifier  # noqa: F401  a fixture

MIXED = f"""
_base_ = {str(RECIPE)!r}
model = dict(label_smoothing=0.1, data_preprocessor=dict(blending=dict(
    type='mmaction.RandomBatchAugment', probs=[0.4, 0.4],
    augments=[dict(type='mmaction.MixupBlending', num_classes=10, alpha=0.8),
              dict(type='mmaction.CutmixBlending', num_classes=10, alpha=1.0)])))
"""
BACKBONE = dict(type='mmext.RiR', depth=18, blocks=(1, 1, 1))


def batch() -> dict:
    generator = torch.Generator().manual_seed(0)
    return dict(inputs=torch.randint(0, 256, (6, 3, 32, 32), generator=generator, dtype=torch.uint8),
                labels=torch.arange(6) % 4)


@pytest.mark.parametrize('kind', ['Mixup', 'Cutmix'])
def test_images_and_labels_are_mixed_alike(kind: str):
    preprocessor = ImagePreprocessor(blending=dict(type=f'mmaction.{kind}Blending', num_classes=4, alpha=1.))
    data, plain = batch(), ImagePreprocessor()(batch(), True)
    torch.manual_seed(1)
    mixed = preprocessor(data, True)
    shares = functional.one_hot(data['labels'], 4)
    torch.manual_seed(1)
    if kind == 'Mixup':
        own = preprocessor.blending.beta.sample()
        order = torch.randperm(6)
        torch.testing.assert_close(mixed['inputs'], own * plain['inputs'] + (1 - own) * plain['inputs'][order])
    else:
        order = torch.randperm(6)
        cut = (mixed['inputs'] != plain['inputs']).any(1).any(0)  # pixels of the rectangle that is another image's
        assert torch.equal(mixed['inputs'], torch.where(cut, plain['inputs'][order], plain['inputs']))
        own = 1 - cut.float().mean()
    assert 0.01 < own < 0.99
    torch.testing.assert_close(mixed['labels'], own * shares + (1 - own) * shares[order])
    assert torch.equal(preprocessor(batch(), False)['labels'], batch()['labels']), 'a test is left alone'


def test_the_loss_of_shares_and_of_smoothed_labels():
    torch.manual_seed(0)
    plain = Classifier(BACKBONE, 4).eval()
    smooth = Classifier(plain.backbone, 4, label_smoothing=0.2).eval()
    smooth.fc = plain.fc
    inputs, labels = batch()['inputs'] / 255., batch()['labels']
    logits = plain(inputs)
    shares = functional.one_hot(labels, 4).float()
    assert torch.equal(plain(inputs, labels, mode='loss')['loss'], functional.cross_entropy(logits, labels))
    hard, soft = (plain(inputs, given, mode='loss') for given in (labels, shares))
    torch.testing.assert_close(hard['loss'], soft['loss'])
    assert hard['accuracy'] == soft['accuracy']
    expected = -((0.8 * shares + 0.05) * logits.log_softmax(1)).sum(1).mean()
    torch.testing.assert_close(smooth(inputs, labels, mode='loss')['loss'], expected)


@pytest.mark.parametrize('options, says', [
    (dict(label_smoothing=1.), r'label_smoothing=1.0: need a number from 0 to 1'),
    (dict(label_smoothing='much'), "label_smoothing='much'"),
    (dict(label_smoothing=float('nan')), 'label_smoothing=nan'),
    (dict(data_preprocessor=dict(type='mmext.ImagePreprocessor', blending=dict(
        type='mmaction.MixupBlending', num_classes=9))), 'its num_classes are 9, those of the classifier 4')])
def test_unusable_settings(options: dict, says: str):
    with pytest.raises(UserError, match=says):
        Classifier(BACKBONE, 4, **options)


def test_a_training_that_is_stopped_and_resumed(cifar: Path, tmp_path: Path):  # noqa: F811
    """The weights are those of the uninterrupted training, and the checkpoint alone is a model."""
    (tmp_path / 'config.py').write_text(MIXED)
    options = ('train_dataloader.num_workers=0', 'train_cfg.max_epochs=1')
    assert_exact(classifier(cifar, tmp_path / 'config.py', options=options), tmp_path, 3, 'epoch_1.pth')
    assert len(mmext.load(tmp_path / 'whole' / 'epoch_1.pth')(np.zeros((32, 32, 3), np.uint8)).best(2)) == 2


def printed_config(name: str, folder: Path) -> Config:
    """A config of docs/training.md."""
    blocks = re.findall(r'```python\n# (\S+)\n(.*?)```', (ROOT / 'docs' / 'training.md').read_text(), re.S)
    path = folder / name
    path.write_text(dict(blocks)[name])
    return load_config(path)


def test_the_recipe_of_the_docs(tmp_path: Path):
    config = printed_config('iresnet50_mixed.py', tmp_path)
    init_default_scope(config.default_scope)
    config.model.backbone.depth = 18
    model = MODELS.build(config.model)
    assert model.label_smoothing == 0.1
    data = model.data_preprocessor(dict(inputs=batch()['inputs'], labels=batch()['labels']), True)
    assert data['labels'].shape == (6, 1000) and model(**data, mode='loss')['loss'].isfinite()
    transform = Compose([config.train_dataloader.dataset.pipeline[3]])
    image = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    found = [transform(dict(img=image.copy(), img_shape=image.shape[:2], gt_label=1))['img'] for _ in range(20)]
    assert {(one.shape, one.dtype) for one in found} == {(image.shape, image.dtype)}
    assert any((one != image).any() for one in found)


def test_the_recipe_of_recognizers(tmp_path: Path):
    config = printed_config('iresnet3d50_mixed.py', tmp_path)
    init_default_scope(config.default_scope)
    config.model.backbone.update(depth=18)
    config.model.cls_head.in_channels = 512
    model, task = MODELS.build(config.model), task_of(config)
    data = model.data_preprocessor(task.made_up_batch(task.sample_shape(config, (32, 32), 4), 2, 400), True)
    assert data['data_samples'][0].gt_label.shape == (400, )
    assert model(**data, mode='loss')['loss_cls'].isfinite()
