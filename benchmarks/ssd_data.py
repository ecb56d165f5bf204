"""The data of SSD: mmdet's augmentation against ours on the same images, and what a training step waits for them.

    benchmarks/ssd_data.py                                     # generated pictures
    benchmarks/ssd_data.py --images data/coco --steps 20 --batch 8 --backbone iresnet18
    benchmarks/ssd_data.py --images data/coco --device cuda --dtype bf16 --workers 2 4 8 --only waiting

First mmdet's transforms and ours in turn, with the same draws: the config's pipeline, and the same after mmdet's
`Expand`. One thread, the processor's time of a sample; a ratio is mmdet's time over ours, its median over the repeats
and their range. `augmentation` is what comes between loading and packing, `whole` is all, decoding included.
Then a real training loop with the config's loader: the milliseconds of a step, and how many of them pass before its
batch is there. Both pipelines load with `mmext.LoadImage`.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import cv2
import numpy as np
import torch
from mmengine.logging import MMLogger
from mmengine.registry import DATASETS, DefaultScope

from mmext.analysis.subjects import Spec, Subject, from_spec
from mmext.benchmark.data import endless_loader, measure_transforms, measure_waiting, without_output
from mmext.benchmark.plan import MEMORY_FORMATS
from mmext.benchmark.setup import DTYPES, Setup
from mmext.benchmark.steps import TrainingStep
from mmext.benchmark.timing import in_turn, ratio
from mmext.engine import cli
from mmext.errors import UserError
from mmext.files import write_json

OURS = ('mmext.MinIoURandomCrop', 'mmext.PhotoMetricDistortion')
EXPAND = dict(mean=[123.675, 116.28, 103.53], to_rgb=True, ratio_range=(1, 4))  # of mmdet's configs/ssd/ssd300_coco.py


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add('config', nargs='?', default='configs/ssd300_iresnet50_coco.py', help='(default: %(default)s)')
    add('--images', metavar='FOLDER', help="a data set in COCO's layout (default: generated pictures)")
    add('--backbone', metavar='NAME', help='another network in the training loop')
    add('--samples', type=int, default=200, help='of a repeat (default: %(default)s)')
    add('--repeats', type=int, default=7, help='(default: %(default)s)')
    add('--workers', type=int, nargs='+', default=[0, 1, 2], help='of the loader (default: 0 1 2)')
    add('--batch', type=int, default=8, help='of the training step (default: %(default)s)')
    add('--steps', type=int, default=10, help='of the training loop that are timed (default: %(default)s)')
    add('--warmup', type=int, default=3, help='steps before them (default: %(default)s)')
    add('--device', choices=['cpu', 'cuda'], default='cpu')
    add('--dtype', choices=DTYPES, default='fp32', help='of the training step')
    add('--memory-format', choices=MEMORY_FORMATS, default='contiguous')
    add('--threads', type=int, help="of the training step (default: torch's)")
    add('--only', choices=['ratio', 'waiting'], help='measure this alone')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    MMLogger.get_instance('benchmark', log_level='WARNING')
    setup = Setup(args.device, args.dtype, args.memory_format, threads=args.threads)
    setup.check()
    for name in ('samples', 'repeats', 'batch', 'steps'):
        if getattr(args, name) < 1:
            raise UserError(f'--{name} {getattr(args, name)}: need 1 or more')
    with nullcontext(args.images) if args.images else tempfile.TemporaryDirectory() as folder:
        if not args.images:
            generate(Path(folder), 48, np.random.default_rng(0))
        subject = from_spec(Spec(args.config, args.backbone, folder, 'auto'))
        if not {step.type for step in subject.config.train_dataloader.dataset.get('pipeline', ())}.issuperset(OURS):
            raise UserError(f'{args.config}: its training pipeline has not {" and ".join(OURS)}; give one of SSD')
        print(f'{Path(args.config).stem}, {args.images or "generated pictures"}; torch {torch.__version__}, OpenCV '
              f'{cv2.__version__}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}')
        if args.only != 'waiting':
            tell_ratios(subject, args)
        if args.only != 'ratio':
            tell_waiting(subject, setup, args)


def pipelines(subject: Subject, expand: bool) -> dict[str, list[dict]]:
    """The config's training pipeline with mmdet's transforms and with ours."""
    ours = [dict(step) for step in subject.config.train_dataloader.dataset.pipeline]
    mmdets = [dict(step, type=step['type'].removeprefix('mmext.')) if step['type'] in OURS else step for step in ours]
    if expand:
        crop = next(i for i, step in enumerate(ours) if step['type'] == OURS[0])
        ours[crop]['expand'] = EXPAND
        mmdets.insert(crop, dict(EXPAND, type='Expand'))
    return dict(mmdet=mmdets, mmext=ours)


def tell_ratios(subject: Subject, args: argparse.Namespace) -> None:
    print(f"\nprocessor's ms of a sample, {args.samples} samples, {args.repeats} repeats")
    print(f'{"pipeline":20}{"":14}{"mmdet":>8}{"mmext":>8}{"ratio (range)":>22}')
    for name, expand in (("the config's", False), ('Expand before it', True)):
        sets = [dataset_of(subject, steps) for steps in pipelines(subject, expand).values()]
        seeds = [iter(range(args.repeats + 1)) for _ in sets]  # a repeat has its own draws, the same for both
        works = [lambda data=data, seed=seed: measure_transforms(data, args.samples, 1, time.process_time, next(seed))
                 for data, seed in zip(sets, seeds)]
        mmdets, ours = (repeats[1:] for repeats in in_turn(works, args.repeats + 1))  # the first one warms up
        for part, kinds in (('augmentation', ['augment']), ('whole', ['augment', 'decode', 'other'])):
            theirs, own = seconds(mmdets, kinds), seconds(ours, kinds)
            found = ratio(theirs, own)
            print(f'{name:20}{part:14}{1000 * np.median(theirs):8.2f}{1000 * np.median(own):8.2f}'
                  f'{found["median"]:9.2f} ({found["min"]:.2f}-{found["max"]:.2f})', flush=True)
        for rows, label in ((mmdets, 'mmdet'), (ours, 'mmext')):
            steps = [f'{row["transform"]} {1000 * np.median([repeat[i]["seconds"] for repeat in rows]):.2f}'
                     for i, row in enumerate(rows[0])]
            print(f'    {label}: {", ".join(steps)}')


def seconds(repeats: Sequence[list[dict]], kinds: Sequence[str]) -> list[float]:
    """Of each repeat, all transforms of these kinds together."""
    return [sum(row['seconds'] for row in rows if row['kind'] in kinds) for rows in repeats]


def dataset_of(subject: Subject, pipeline: list[dict]) -> object:
    config = dict(subject.config.train_dataloader.dataset, pipeline=pipeline)
    with DefaultScope.overwrite_default_scope(subject.scope):
        return without_output(lambda: DATASETS.build(config))


def tell_waiting(subject: Subject, setup: Setup, args: argparse.Namespace) -> None:
    setup.apply()
    step = TrainingStep(subject, setup)
    print(f'\ntraining steps of {args.batch} images, {args.backbone or subject.config.model.backbone.type}, '
          f'{args.device}, {args.dtype}, {torch.get_num_threads()} threads, {args.steps} steps after {args.warmup}')
    print(f'{"workers":>8}  {"pipeline":10}{"data, ms":>10}{"step, ms":>10}{"waiting":>10}')
    for workers in args.workers:
        for name, pipeline in pipelines(subject, expand=False).items():
            subject.config.train_dataloader.update(num_workers=workers)
            subject.config.train_dataloader.dataset.pipeline = pipeline
            found = measure_waiting(step, endless_loader(subject, args.batch), args.steps, args.warmup)
            print(f'{workers:8}  {name:10}{1000 * found["data"]:10.1f}{1000 * found["step"]:10.1f}'
                  f'{found["waiting_share"]:10.1%}', flush=True)


def generate(folder: Path, count: int, rng: np.random.Generator) -> None:
    """A training set of textured pictures in COCO's layout, of its sizes, with 1 to 15 boxes of 16 pixels and more."""
    (folder / 'train2017').mkdir()
    images, annotations = [], []
    for image in range(count):
        width, height = [(640, 480), (640, 427), (480, 640), (500, 375)][image % 4]
        texture = rng.integers(0, 256, (height // 8, width // 8, 3), np.uint8)
        picture = cv2.resize(texture, (width, height), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(folder / 'train2017' / f'{image}.jpg'), picture)
        images.append(dict(id=image, file_name=f'{image}.jpg', height=height, width=width))
        for _ in range(rng.integers(1, 16)):
            w, h = np.exp(rng.uniform(np.log(16), np.log((width, height))))
            x, y = rng.uniform(0, (width - w, height - h))
            annotations.append(dict(id=len(annotations), image_id=image, category_id=1, area=w * h, iscrowd=0,
                                    bbox=[x, y, w, h]))
    (folder / 'annotations').mkdir()
    write_json(folder / 'annotations' / 'instances_train2017.json',
               dict(images=images, annotations=annotations, categories=[dict(id=1, name='thing')]))


if __name__ == '__main__':
    cli.run(main)
