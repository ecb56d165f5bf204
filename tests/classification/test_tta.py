"""``--tta`` of classifiers: the mean over an image and its mirror image."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from mmext.classification import Classifier, ImagePreprocessor
from mmext.classification.tta import FlippedClassifier
from tests.classification.helpers import write_cifar10
from tests.conftest import ROOT
from tests.tools.helpers import here, succeeded

TINY = ('model.backbone.blocks=[1,1,1]', 'train_dataloader.batch_size=10', 'train_dataloader.num_workers=0',
        'test_dataloader.num_workers=0')


def test_probabilities_are_averaged():
    torch.manual_seed(0)
    model = Classifier(dict(type='mmext.RiR', depth=18, blocks=(1, 1, 1)), 4,
                       dict(type='mmext.ImagePreprocessor')).eval()
    assert isinstance(model.data_preprocessor, ImagePreprocessor)
    pixels, labels = torch.randint(0, 256, (3, 3, 32, 32), dtype=torch.uint8), torch.tensor([3, 0, 1])
    with torch.no_grad():
        found = FlippedClassifier(module=model).test_step(dict(inputs=pixels, labels=labels, names=['a', 'b', 'c']))
        views = [model(view / 255., mode='tensor').softmax(1) for view in (pixels, pixels.flip(-1))]
    assert [sample['gt_label'] for sample in found] == [3, 0, 1]
    torch.testing.assert_close(torch.stack([sample['pred_scores'] for sample in found]), sum(views) / 2)
    assert not torch.allclose(*views)


def test_the_command(tmp_path: Path):
    write_cifar10(tmp_path / 'cifar', 16)
    common = ('--backbone', 'rir_cnn32', '--data-root', tmp_path / 'cifar', '--work-dir', tmp_path / 'w')
    recipe = ROOT / 'configs' / 'classification' / 'rir_cifar10.py'
    succeeded(here('train.py', recipe, *common, '--epochs', 1, '--seed', 0, '--cfg-options', *TINY))
    succeeded(here('test.py', recipe, tmp_path / 'w' / 'epoch_1.pth', *common, '--tta', '--out', tmp_path / 'm.json',
                   '--cfg-options', *TINY))
    assert 0 <= json.loads((tmp_path / 'm.json').read_text())['top1'] <= 1
