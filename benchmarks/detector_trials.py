"""A short training and test of every kind of detector on one small COCO-format data set.

    benchmarks/detector_trials.py data/coco_tiny                         # two epochs each, on iResNet-18
    benchmarks/detector_trials.py data/coco_tiny --detectors ssd300 --pretrained
    benchmarks/detector_trials.py data/coco_tiny --detectors ssd300 --by-heart --epochs 100

It shows that real images and annotations go through each from end to end; a few epochs of a few images teach nothing.
``--pretrained`` trains each once more from the weights of a classifier that has learnt nothing, which come in through
``init_cfg`` as real ones would and should make no difference beyond chance. Multi-scale detectors see images of at most
416 x 256 pixels, so that a processor is enough. ``--by-heart`` trains without augmentation, with AdamW and a cosine,
and tests on the training images: given epochs enough, AP50 comes close to 100, which it could not if targets, losses,
decoding and evaluation did not fit each other.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import torch
from mmengine.config import ConfigDict
from rich.console import Console
from rich.table import Table
from runs import EVERY_BATCH, ROOT, call, losses_of_epochs

import mmext
from mmext.engine import cli
from mmext.engine.config import read_config
from mmext.errors import UserError

SMALL = ['train_dataloader.dataset.pipeline.2.scale=(416,256)', 'test_dataloader.dataset.pipeline.1.scale=(416,256)']
NOT_CHANCE = {'LoadImageFromFile', 'mmext.LoadImage', 'LoadAnnotations', 'Resize', 'PackDetInputs'}
# name -> config, how many images make a step, what else is changed of it
DETECTORS = {
    'ssd300': ('ssd300_iresnet50_coco', 8, []),
    'ssd512': ('ssd512_iresnet50_coco', 8, []),
    'faster_rcnn_fpn': ('faster_rcnn_iresnet50_fpn_coco', 2, SMALL),
    'faster_rcnn_c5': ('faster_rcnn_resnet50_c5_coco', 2, SMALL),
    'retinanet': ('retinanet_iresnet50_fpn_coco', 2, SMALL),
    'cascade_rcnn': ('cascade_rcnn_iresnet50_fpn_coco', 2, SMALL),
}


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('data_root', type=Path, help="COCO's layout: annotations/, train2017/, val2017/")
    parser.add_argument('--detectors', nargs='+', choices=DETECTORS, default=list(DETECTORS))
    parser.add_argument('--backbone', default='iresnet18')
    parser.add_argument('--images', type=int, metavar='N', help='only the first N for training, and N for the test')
    parser.add_argument('--epochs', type=int, default=2)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--pretrained', action='store_true', help='train once more from a random classifier')
    parser.add_argument('--by-heart', action='store_true', help='no augmentation, and the test on the training images')
    parser.add_argument('--work-dir', type=Path, help='keep the runs there')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    if not (args.data_root / 'annotations').is_dir():
        raise UserError(f'{args.data_root}: no annotations/ there; need a data set in COCO\'s layout')
    if args.by_heart and args.images:
        raise UserError('--by-heart: it is tested on all training images; leave out --images')
    table = Table(title=f'{args.data_root}, {args.backbone}, {args.epochs} epochs')
    for name in ('detector', 'weights', 'first loss', 'last loss', 'AP, %', 'AP50, %', 'AR100, %', 'minutes'):
        table.add_column(name, justify='left' if name in ('detector', 'weights') else 'right')
    with tempfile.TemporaryDirectory() as temporary:
        folder = (args.work_dir or Path(temporary)).resolve()
        for detector in args.detectors:
            for pretrained in (False, True)[:1 + args.pretrained]:
                weights = random_classifier(folder, args.backbone) if pretrained else None
                table.add_row(detector, 'of a random classifier' if weights else 'random',
                              *trial(detector, folder / f'{detector}{"_pretrained" * pretrained}', weights, args))
    Console(width=110).print(table)


def random_classifier(folder: Path, backbone: str) -> Path:
    """A classifier's checkpoint as tools/train.py writes it, before any training."""
    path = folder / f'{backbone}.pth'
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(1)
    torch.save(dict(state_dict=mmext.create_classifier(backbone, stem='conv7x7').state_dict()), path)
    return path


def trial(detector: str, folder: Path, weights: Path | None, args: argparse.Namespace) -> list[str]:
    """One training and test; returns the cells of its row."""
    config, batch, changes = DETECTORS[detector]
    source = by_heart(config, args.epochs, folder) if args.by_heart else ROOT / f'configs/{config}.py'
    common = [source, '--backbone', args.backbone, '--data-root', args.data_root.resolve(),
              '--work-dir', folder]
    loaders = [f'{name}_dataloader.{option}' for name in ('train', 'test')
               for option in ('num_workers=0', 'persistent_workers=False')]
    if args.images:
        changes = [*changes, *(f'{name}_dataloader.dataset.indices={args.images}' for name in ('train', 'test'))]
    start = [] if weights is None else ['model.backbone.init_cfg.type=Pretrained',
                                        f'model.backbone.init_cfg.checkpoint={weights}']
    began = time.time()
    rate = [] if args.by_heart else ['--auto-scale-lr']
    call('train.py', *common, *rate, '--seed', args.seed, '--overwrite', '--cfg-options', *changes, *loaders, *start,
         f'train_cfg.max_epochs={args.epochs}', f'train_cfg.val_begin={args.epochs + 1}',
         f'train_dataloader.batch_size={batch}', EVERY_BATCH)
    call('test.py', *common, folder / f'epoch_{args.epochs}.pth', '--out', folder / 'metrics.json', '--cfg-options',
         *changes, *loaders)
    losses = losses_of_epochs(folder)
    metrics = json.loads((folder / 'metrics.json').read_text())
    return [f'{losses[0]:.2f}', f'{losses[-1]:.2f}',
            *(f'{100 * metrics[name]:.2f}' for name in ('AP', 'AP50', 'AR100')), f'{(time.time() - began) / 60:.1f}']


def by_heart(name: str, epochs: int, folder: Path) -> Path:
    """A config that trains on the images as they are, and is tested on the same."""
    config = read_config(ROOT / f'configs/{name}.py')
    images = config.train_dataloader.dataset
    images.pipeline = [step for step in images.pipeline if step.type in NOT_CHANCE]
    config.test_dataloader.dataset.update(ann_file=images.ann_file, data_prefix=images.data_prefix)
    config.test_evaluator.ann_file = images.data_root + images.ann_file
    config.optim_wrapper.optimizer = ConfigDict(type='AdamW', lr=1e-3, weight_decay=1e-4)
    config.param_scheduler = [
        ConfigDict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=20),
        ConfigDict(type='CosineAnnealingLR', eta_min=0, T_max=epochs, end=epochs, convert_to_iter_based=True)]
    folder.mkdir(parents=True, exist_ok=True)
    config.dump(folder / 'by_heart.py')
    return folder / 'by_heart.py'


if __name__ == '__main__':
    cli.run(main)
