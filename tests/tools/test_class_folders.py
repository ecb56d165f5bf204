"""Class folders of a user's own, without a config of their own: trained for an epoch, and tested at two sizes."""

from __future__ import annotations

import json
from pathlib import Path
from unittest import mock

import pytest
import torch

from mmext.classification import Classifier
from tests.classification.helpers import write_folders
from tests.conftest import ROOT, error_line
from tests.html_page import Page
from tests.tools.helpers import here, succeeded

CONFIG = ROOT / 'configs' / 'classification' / 'iresnet_imagenet.py'
IN_THIS_PROCESS = [f'{split}_dataloader.num_workers=0' for split in ('train', 'val', 'test')]


@pytest.mark.smoke
@pytest.mark.parametrize(('classes', 'flags', 'told'), [
    (2, (), 'batch: 32 samples per update, of which the training set has 8, the recipe has 256; the learning rate '
     'stays 0.1, scaled linearly it would be 0.0125: give --auto-scale-lr, or use the batch size of the recipe'),
    (3, ('--accumulate', 4, '--auto-scale-lr'), 'batch: 128 samples per update (4 batches x 32), of which the training '
     'set has 12, the recipe has 256; learning rate 0.1 x 128 / 256 = 0.05'),
])
def test_a_few_classes(classes: int, flags: tuple, told: str, tmp_path_factory: pytest.TempPathFactory):
    place = tmp_path_factory.mktemp('f')
    names = ['cat', 'dog', 'eel'][:classes]
    for split, count in (('train', 4), ('val', 2)):
        write_folders(place / split, dict.fromkeys(names, count), '.jpg', (60, 80))
    printed = succeeded(here('train.py', CONFIG, '--data-root', place, '--classes', 'auto', '--work-dir', place / 'run',
                             '--seed', 0, *flags, '--cfg-options', 'train_cfg.max_epochs=1', *IN_THIS_PROCESS[:2]))
    assert told in printed and 'accuracy/top1' in printed

    for size in ((), ('--img-size', 320)):
        metrics, shapes = measured(place, size)
        again = ('--scores', place / 'test' / 'scores.npz', '--per-class', '--out', place / 'again.json')
        succeeded(here('test.py', CONFIG, *again, '--report', place / 'again'))
        assert json.loads((place / 'again.json').read_text()) == metrics
        assert set(metrics) == {'top1', 'error1', 'per_class'} and set(metrics['per_class']) == set(names)
        assert metrics['top1'] * 2 * classes in range(2 * classes + 1)
        assert shapes == {(3, *[320 if size else 224] * 2)}


def measured(place: Path, size: tuple) -> tuple[dict, set[tuple[int, ...]]]:
    """The metrics of a test, and the shapes of the images that the network saw."""
    shapes, forward = set(), Classifier.forward

    def seen(model: Classifier, inputs: torch.Tensor, *rest: object, **more: object) -> object:
        shapes.update(tuple(image.shape) for image in inputs)
        return forward(model, inputs, *rest, **more)

    with mock.patch.object(Classifier, 'forward', seen):
        succeeded(here('test.py', CONFIG, place / 'run' / 'epoch_1.pth', '--data-root', place, '--classes', 'auto',
                       '--work-dir', place / 'test', '--out', place / 'metrics.json', '--per-class', '--report',
                       place / 'page', *size, '--cfg-options', IN_THIS_PROCESS[2]))
    page = Page((place / 'page' / 'index.html').read_text())
    assert len([tag for tag, _ in page.tags if tag == 'img']) == sum(images_of_classes(page)) > 0
    return json.loads((place / 'metrics.json').read_text()), shapes


def images_of_classes(page: Page) -> list[int]:
    """The number of images of each class in the table of classes."""
    return [int(row[2]) for row in page.rows('class-table')]


def test_sizes_that_there_are_not(tmp_path: Path):
    line = error_line(here('test.py', CONFIG, 'epoch_1.pth', '--img-size', '-3', '--work-dir', tmp_path))
    assert '--img-size -3: need a positive number of pixels' in line
    line = error_line(here('test.py', CONFIG, '--detections', 'x.json', '--img-size', '320'))
    assert '--img-size: needs a checkpoint' in line
