"""Trainings as a user starts them: some steps, a validation, a resumed epoch; precision, compilation, processes."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu_check.case import ROOT, Case, Failed, Figures, Place, Skipped, last_line, require, run_python
from benchmarks.gpu_check.data import data
from mmext.checkpoints import read_checkpoint, weights_of
from mmext.engine.log import read_scalars

AT_ONCE = 4  # trainings; most of a short one is its start
SMALL_IMAGES = ('train_dataloader.dataset.pipeline.2.scale=(416,256)',
                'val_dataloader.dataset.pipeline.1.scale=(416,256)')


@dataclass(frozen=True)
class Recipe:
    """A config, the task of its data, and options for a short training on few small images."""

    config: str
    task: str
    options: Sequence[str] = ()


RECIPES = {
    'SSD300': Recipe('ssd300_iresnet50_coco', 'detection'),
    'RetinaNet': Recipe('retinanet_iresnet50_fpn_coco', 'detection', SMALL_IMAGES),
    'Faster R-CNN with FPN': Recipe('faster_rcnn_iresnet50_fpn_coco', 'detection', SMALL_IMAGES),
    'Faster R-CNN on C5': Recipe('faster_rcnn_resnet50_c5_coco', 'detection', SMALL_IMAGES),
    'classifier': Recipe('classification/iresnet_imagenet', 'classification'),
    'recognizer': Recipe('demo/iresnet3d18_motion', 'recognition'),
}
QUICK = ('SSD300', 'classifier', 'recognizer')


def arguments(place: Place, name: str, run: str, epochs: int, *flags: str, options: Sequence[str] = ()) -> list[str]:
    """Of ``mmext train``: a recipe with made-up data, in the run's own work dir."""
    recipe = RECIPES[name]
    workers = 0 if place.quick else 2
    given = [f'train_cfg.max_epochs={epochs}', 'train_cfg.val_interval=1', 'train_dataloader.batch_size=2',
             *(f'{split}_dataloader.{key}' for split in ('train', 'val')
               for key in (f'num_workers={workers}', 'persistent_workers=False')),
             'optim_wrapper.optimizer.lr=0.001', 'default_hooks.logger.interval=1', *recipe.options, *options]
    named = [] if recipe.task == 'recognition' else ['--classes', 'auto']
    small = ['--backbone', 'iresnet18'] if place.quick and recipe.task != 'recognition' else []
    return [str(ROOT / 'configs' / f'{recipe.config}.py'), '--data-root', str(data(place, recipe.task)), '--work-dir',
            str(place.folder / 'runs' / run), '--seed', '0', *named, *small, *flags, '--cfg-options', *given]


def train(place: Place, name: str, run: str, epochs: int, *flags: str, options: Sequence[str] = (),
          start: Sequence[str] = ('-m', 'mmext', 'train'), env: dict[str, str] | None = None) -> Path:
    """Runs a training and returns its last checkpoint. Raises ``Failed`` with its one-line error."""
    threads = {} if place.device == 'cuda' else dict(OMP_NUM_THREADS=os.environ.get('OMP_NUM_THREADS', '1'),
                                                     CUDA_VISIBLE_DEVICES='')
    done = run_python(*start, *arguments(place, name, run, epochs, *flags, options=options),
                      env={**threads, **(env or {})})
    folder = place.folder / 'runs' / run
    folder.mkdir(parents=True, exist_ok=True)
    (folder / 'printed.log').write_text(done.stdout + done.stderr)
    require(done.returncode == 0, f'{name} {" ".join(flags)}: {last_line(done.stderr, done.returncode)}')
    checkpoint = folder / f'epoch_{epochs}.pth'
    require(checkpoint.exists(), f'{name} {" ".join(flags)}: it has written no {checkpoint.name}')
    return checkpoint


def losses(place: Place, run: str) -> list[float]:
    """The logged losses of a run, in order."""
    return [record['loss'] for record in read_scalars(place.folder / 'runs' / run) if 'loss' in record]


def whole(name: str, precision: str, place: Place) -> Figures:
    """20 steps, a validation, and the same again, resumed, with a number format."""
    run = f'{name}_{precision}'.replace(' ', '_')
    flags = () if precision == 'fp32' else ('--amp', precision)
    train(place, name, run, 1, *flags, '--overwrite')
    validated = [record for record in read_scalars(place.folder / 'runs' / run) if record['mode'] == 'val']
    require(bool(validated), f'{name}: nothing was validated')
    train(place, name, run, 2, *flags, '--resume')
    found = losses(place, run)
    return dict(steps=len(found), first_loss=found[0], last_loss=found[-1])


def every_task(precision: str, place: Place) -> Figures:
    """``whole`` for all tasks, several at a time; the error names each that has failed."""
    if precision == 'fp16' and place.device == 'cpu':
        raise Skipped('fp16 is for GPUs')
    names = tuple(RECIPES) if not place.quick else QUICK if precision == 'fp32' else QUICK[1:2]
    for task in {RECIPES[name].task for name in names}:
        data(place, task)
    failed, figures = [], {}
    with ThreadPoolExecutor(AT_ONCE if place.device == 'cuda' else 1) as pool:
        runs = {name: pool.submit(whole, name, precision, place) for name in names}
        for name, run in runs.items():
            try:
                figures[name] = '{first_loss:.3f} to {last_loss:.3f} in {steps} steps'.format(**run.result())
            except Failed as error:
                failed.append(str(error))
    require(not failed, '; '.join(failed))
    return figures


def settling(place: Place) -> Figures:
    """fp16's loss scale stops falling within 30 steps, with accumulation, clipping and an average of the weights."""
    precision = 'fp16' if place.device == 'cuda' else 'bf16'
    checkpoint = train(place, 'SSD300', 'settling', 1 if place.quick else 3, '--amp', precision, '--accumulate', '2',
                       '--clip-grad', '10', '--ema', '--overwrite')
    found = losses(place, 'settling')
    if place.device == 'cpu':
        return {'steps': len(found), 'last loss': found[-1]}
    scale = read_checkpoint(str(checkpoint))['optimizer']['loss_scaler']
    require(scale['_growth_tracker'] > 0, f'the last update was skipped; the scale is {scale["scale"]:g}')
    return {'steps': len(found), 'last loss': found[-1], 'scale': scale['scale'],
            'updates since it fell': scale['_growth_tracker']}


def deterministic(name: str, place: Place) -> Figures:
    """Two trainings with ``--deterministic`` have the same weights, bit for bit."""
    first, second = (weights_of(read_checkpoint(str(train(
        place, name, f'deterministic_{name}_{number}', 1, '--deterministic', '--overwrite')))) for number in range(2))
    other = [key for key in first if not torch.equal(first[key], second[key])]
    require(not other, f'{len(other)} of {len(first)} weights differ, the first is {other[:1]}')
    return {'equal weights': len(first)}


def compiled(name: str, mode: str, place: Place, *, processes: int = 0) -> Figures:
    """Steps and a validation with ``torch.compile``; with processes, of a checkpointed network in torch's DDP.

    A quick check leaves compilation out, which would take minutes on a processor.
    """
    run = f'compile_{mode}_{name}_{processes}'.replace(' ', '_')
    flags = ['--compile', mode, '--overwrite', *(('--amp', 'bf16') if place.device == 'cuda' else ())]
    options = ['model.backbone.with_cp=True'] if processes else []
    if name == 'SSD300':
        flags += ['--backbone', 'iresnet18']
    more: dict[str, Any] = dict(start=launcher(processes)) if processes else {}
    flags += ['--launcher', 'pytorch'] if processes else []
    env = dict(TORCH_COMPILE_DISABLE='1') if place.quick else {}
    train(place, name, run, 1, *flags, options=options, env=env, **more)
    found = losses(place, run)
    return {'steps': len(found), 'last loss': found[-1]}


def launcher(processes: int) -> tuple[str, ...]:
    """The start of a training in several processes."""
    return ('-m', 'torch.distributed.run', '--standalone', f'--nproc_per_node={processes}', '-m', 'mmext', 'train')


def ranks(name: str, place: Place) -> Figures:
    """DDP, with synchronised batch norms on GPUs, in one process, and in two where there are two GPUs."""
    count = torch.cuda.device_count() if place.device == 'cuda' else 1
    figures: dict[str, object] = {}
    for processes in range(1, min(count, 2) + 1):
        flags = ['--launcher', 'pytorch', '--overwrite', *(['--sync-bn'] if place.device == 'cuda' else [])]
        run = f'ranks_{processes}_{name}'.replace(' ', '_')
        train(place, name, run, 1, *flags, start=launcher(processes))
        figures[f'{processes} processes'] = f'last loss {losses(place, run)[-1]:.3f}'
    return figures


def training_case(title: str, run: Callable[[Place], Figures], seconds: float) -> Case:
    return Case('correctness', title, run, seconds, limit=600)


CASES = [
    *(training_case(f'training, validation and resume of every task, {precision}', partial(every_task, precision), 60)
      for precision in ('fp32', 'fp16', 'bf16')),
    training_case("fp16's loss scale with accumulation, clipping and EMA", settling, 25),
    training_case('DDP and synchronised batch norm, SSD300', partial(ranks, 'SSD300'), 25),
    *(training_case(f'compiled, {mode}: SSD300 and a validation', partial(compiled, 'SSD300', mode), 60)
      for mode in ('default', 'reduce-overhead')),
    *(training_case(f'two trainings with --deterministic, {name}', partial(deterministic, name), 25) for name in QUICK),
    training_case('compiled, reduce-overhead: Faster R-CNN and a validation',
                  partial(compiled, 'Faster R-CNN with FPN', 'reduce-overhead'), 60),
    training_case('compiled, checkpointed, DDP: SSD300', partial(compiled, 'SSD300', 'default', processes=1), 60),
    training_case('compiled, max-autotune: SSD300 and a validation', partial(compiled, 'SSD300', 'max-autotune'), 180),
]
