"""NaN and infinity in a training: found at once, named truly, and nothing of it is kept."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from multiprocessing import Queue, get_context
from pathlib import Path

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement
from torch import Tensor, nn

from mmext.checkpoints.format import read_file
from mmext.engine.build import build_training
from mmext.engine.hooks import finite
from mmext.engine.hooks.numbers import Gradients, norms_of
from mmext.errors import UserError
from mmext.files import write_whole

NAN, INF = float('nan'), float('inf')


class Toy(BaseModel):
    """Images -> a loss; ``spoil(model, images, iteration)`` may do harm first, and returns a factor of the loss."""

    def __init__(self, spoil: Callable[[Toy, Tensor, int], object] = lambda *_: 1.) -> None:
        super().__init__()
        self.spoil = spoil
        self.conv, self.bn, self.fc = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 2)
        self.seen = 0

    def forward(self, inputs: list[Tensor], data_samples: object = None, mode: str = 'tensor') -> dict:
        self.seen += 1
        images = torch.stack(inputs)
        factor = self.spoil(self, images, self.seen)
        logits = self.fc(self.bn(self.conv(images)).mean((2, 3)))
        return dict(loss_cls=logits.square().mean() * (1. if factor is None else factor), accuracy=torch.tensor(NAN))


class Images(torch.utils.data.Dataset):
    metainfo: dict = {}

    def __len__(self) -> int:
        return 12

    def __getitem__(self, index: int) -> dict:
        image = torch.randn(1, 6, 6, generator=torch.Generator().manual_seed(index))
        return dict(inputs=image, data_samples=BaseDataElement(metainfo=dict(img_path=f'{index}.jpg')))


def train(tmp_path: Path, spoil: Callable | None = None, *, epochs: int = 1, lr: float = 0.01,
          optim: dict | None = None, model: Toy | None = None, schedule: dict | None = None,
          launcher: str = 'none') -> Runner:
    """Trains with our hooks, a batch of two after the other, six an epoch."""
    runner = Runner(
        model or Toy(spoil or (lambda *_: 1.)), str(tmp_path), train_cfg=dict(by_epoch=True, max_epochs=epochs),
        train_dataloader=dict(batch_size=2, dataset=Images(), sampler=dict(type='DefaultSampler', shuffle=False),
                              collate_fn=dict(type='pseudo_collate')),
        param_scheduler=schedule, optim_wrapper=dict(dict(optimizer=dict(type='SGD', lr=lr)), **(optim or {})),
        experiment_name='toy', launcher=launcher,
        cfg=dict(model_wrapper_cfg=dict(type='MMDistributedDataParallel', device_ids=None)),
        default_hooks=dict(checkpoint=dict(type='mmext.CheckpointHook', interval=1, max_keep_ckpts=1), logger=None,
                           timer=None),
        custom_hooks=[dict(type='mmext.FiniteLossHook'), dict(type='mmext.AccumulationHook')], log_level='ERROR')
    build_training(runner)
    runner.train()
    return runner


def stopped(*args, **kwargs) -> str:
    with pytest.raises(UserError) as caught:
        train(*args, **kwargs)
    assert '\n' not in str(caught.value)
    return str(caught.value)


def at(iteration: int, harm: Callable) -> Callable:
    return lambda model, images, seen: harm(model, images) if seen == iteration else None


def spoil_gradient(model: Toy, images: Tensor) -> None:
    """The bias's alone, lest the parameters before it get it too."""
    model.fc.bias.register_hook(lambda grad: grad * NAN)


def spoil_statistic(model: Toy, images: Tensor) -> None:
    model.bn.running_var.fill_(INF)  # which training does not read


def test_a_training_that_is_fine(tmp_path: Path):
    runner = train(tmp_path, epochs=2)
    assert runner.iter == 12 and (tmp_path / 'epoch_2.pth').is_file() and not (tmp_path / 'bad_batch.pth').exists()
    assert not runner.optim_wrapper.optimizer._optimizer_step_pre_hooks


CLIP = dict(clip_grad=dict(max_norm=1.))
BF16 = dict(type='mmext.ProcessorAmpOptimWrapper')


@pytest.mark.parametrize('optim', [{}, CLIP, dict(clip_grad=dict(type='value', clip_value=1.)), BF16])
@pytest.mark.parametrize(('harm', 'says'), [
    (lambda *_: NAN, 'iteration 3: loss_cls is nan, loss is nan (the weights are finite), on'),
    (lambda *_: INF, 'iteration 3: loss_cls is inf, loss is inf'),
    (spoil_gradient, 'iteration 3: the gradients of fc.bias are not finite (losses and weights are)'),
    (spoil_statistic, 'iteration 3: the statistics bn.running_var of the batch norms are not finite (the losses are)'),
])
def test_the_first_is_named_and_the_batch_is_kept(tmp_path: Path, harm: Callable, says: str, optim: dict):
    line = stopped(tmp_path, at(3, harm), optim=optim)
    assert line.startswith(says) and ', on the images or videos 4.jpg, 5.jpg' in line and 'try a lower' in line
    assert f'the batch is in {tmp_path}/bad_batch.pth' in line and 'the last checkpoint' not in line
    kept = read_file(tmp_path / 'bad_batch.pth')
    assert kept['iteration'] == 3 and kept['names'] == ['4.jpg', '5.jpg'] and kept['found'] in line
    assert torch.equal(torch.stack(kept['batch']['inputs']), torch.stack([Images()[i]['inputs'] for i in (4, 5)]))
    assert kept['batch']['data_samples'][0] == dict(img_path='4.jpg')


def test_a_weight_that_an_update_spoils(tmp_path: Path):
    line = stopped(tmp_path, at(2, lambda model, _: 1e10), lr=1e30)
    assert 'iteration 1: ' in line or 'iteration 2: ' in line
    assert 'the update has made the weights ' in line and 'infinite or NaN (losses and gradients are finite)' in line


def test_the_last_good_checkpoint_stays(tmp_path: Path):
    line = stopped(tmp_path, at(12, lambda *_: NAN), epochs=3)  # the last iteration of an epoch
    assert 'iteration 12: loss_cls' in line and 'the last checkpoint, epoch_1.pth, is from before' in line
    assert sorted(path.name for path in tmp_path.glob('*.pth')) == ['bad_batch.pth', 'epoch_1.pth']
    assert all(value.isfinite().all() for value in read_file(tmp_path / 'epoch_1.pth')['state_dict'].values())


@pytest.mark.parametrize('iteration', [2, 4, 6])
def test_accumulated_gradients_are_named_with_their_own_batch(tmp_path: Path, iteration: int):
    line = stopped(tmp_path, at(iteration, spoil_gradient), optim=dict(accumulative_counts=4))
    assert f'iteration {iteration}: the gradients of fc.bias' in line
    assert f'{2 * iteration - 2}.jpg, {2 * iteration - 1}.jpg' in line


def test_weights_that_are_bad_from_the_start(tmp_path: Path):
    model = Toy()
    with torch.no_grad():
        model.fc.weight[0, 0] = NAN
    model.fc.weight.requires_grad_(False)
    line = stopped(tmp_path, model=model)
    assert line.startswith('before the first iteration: the weights fc.weight are not finite; stopped')


def test_numbers_of_the_data_are_told_as_the_cause(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    whole = Images.__getitem__
    monkeypatch.setattr(Images, '__getitem__', lambda self, index: dict(
        whole(self, index), inputs=torch.full((1, 6, 6), INF if index == 5 else 1.)))
    assert 'the batch itself contains numbers that are not finite, check the data' in stopped(tmp_path)


def test_a_full_disk_does_not_hide_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(path: Path, *args: object, **options: object) -> None:
        if path.name == 'bad_batch.pth':
            raise OSError(28, 'No space left on device')
        write_whole(path, *args, **options)
    monkeypatch.setattr('mmext.engine.batch_file.write_whole', full)
    assert 'the batch could not be saved (No space left on device)' in stopped(tmp_path, at(1, lambda *_: NAN))


@pytest.mark.parametrize(('optimizer', 'says'), [
    (dict(lr=1e39), 'the learning rate is 1e+39, which is too large'), (dict(lr=INF), 'the learning rate is inf'),
    (dict(lr=0.1, weight_decay=1e39), 'optim_wrapper.optimizer.weight_decay is 1e+39'),
    (dict(lr=0.1, weight_decay=NAN), 'weight_decay'), (dict(lr=0.1, momentum=1e39), 'momentum is 1e+39'),
    (dict(lr=0.1, momentum=1.5), 'momentum is 1.5; need numbers from 0 to 1'),
    (dict(lr=0.1, momentum=NAN), 'momentum'), (dict(lr=-1.), 'learning rate'), (dict(lr=NAN), 'learning rate'),
    (dict(lr='x'), "lr='x': need a number"), (dict(lr=True), 'lr=True'), (dict(lr=None), 'lr=None'),
    (dict(type='Adam', lr=1e38), 'learning rate is 1e+38'),
    (dict(type='Adam', lr=0.1, betas=(0.9, 1.5)), 'beta'), (dict(type='Adam', lr=0.1, betas=0.9), 'betas'),
    (dict(type='Adam', lr=0.1, eps=-1.), 'eps'), (dict(type='RMSprop', lr=0.1, alpha=7.), 'alpha is 7.0'),
    (dict(type='AdamW', lr=0.1, weight_decay=INF), 'weight_decay is inf'),
])
def test_numbers_that_no_optimiser_can_use(tmp_path: Path, optimizer: dict, says: str):
    line = stopped(tmp_path, optim=dict(optimizer=dict(dict(type='SGD'), **optimizer)))
    assert says in line and 'iteration' not in line


def test_a_learning_rate_that_half_precision_can_not_take(tmp_path: Path):
    line = stopped(tmp_path, model=Toy().half(), lr=1e5)
    assert "is too large for the weights' type, whose limit is 6.55e+04" in line


def test_a_schedule_that_leaves_all_numbers(tmp_path: Path):
    line = stopped(tmp_path, lr=1e-3, schedule=dict(type='ExponentialLR', gamma=1e45, by_epoch=False))
    assert line.startswith('iteration 2: the learning rate is 1e+42') and 'param_scheduler' in line


def one_of_two(rank: int, folder: Path, optim: dict, told: Queue) -> None:
    """A process of a training in which the second one's loss is NaN at iteration 2."""
    os.environ['LOCAL_RANK'] = str(rank)
    store = torch.distributed.FileStore(str(folder / 'store'), 2)
    torch.distributed.init_process_group('gloo', store=store, rank=rank, world_size=2, timeout=timedelta(seconds=60))
    try:
        train(folder, at(2, lambda *_: NAN if rank else 1.), optim=optim, launcher='pytorch')
    except UserError as error:
        told.put((rank, str(error)))


@pytest.mark.parametrize('optim', [{}, dict(accumulative_counts=3)])
def test_all_processes_stop(tmp_path: Path, optim: dict):
    """While gradients are accumulated they are not summed, so that only an exchange can tell the other process."""
    context = get_context('fork')
    told = context.Queue()
    workers = [context.Process(target=one_of_two, args=(rank, tmp_path, optim, told)) for rank in range(2)]
    for worker in workers:
        worker.start()
    lines = dict(told.get(timeout=20) for _ in workers)
    for worker in workers:
        worker.join(60)
    assert lines[0].startswith('iteration 2: process 1 has found a number that is not finite, see its message; stopped')
    assert lines[1].startswith('iteration 2: loss_cls is nan') and len(read_file(tmp_path / 'bad_batch.pth')['names'])


class TestScaler:
    """fp16's scaler skips updates whose gradients overflow: these are no reason to stop, unless they are all."""

    @staticmethod
    def wrapper(scale: float) -> tuple[nn.Linear, torch.amp.GradScaler, Gradients]:
        model = nn.Linear(2, 1)
        wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1))
        wrapper.loss_scaler = torch.amp.GradScaler('cpu', init_scale=scale, enabled=True)
        return model, wrapper, Gradients(wrapper, {id(value): name for name, value in model.named_parameters()})

    @pytest.mark.parametrize('scale', [1., 1e38])
    def test_a_skipped_update_has_no_gradients(self, scale: float):
        model, wrapper, gradients = self.wrapper(scale)
        wrapper.loss_scaler.scale(model(torch.full((4, 2), 1e3)).sum()).backward()
        wrapper.loss_scaler.step(wrapper.optimizer)
        wrapper.loss_scaler.update()
        found = gradients.collect()
        assert gradients.updated is (scale == 1) and set(found) == ({'weight', 'bias'} if scale == 1 else set())
        assert all(value.isfinite() for value in found.values())

    def test_a_fused_optimiser_skips_by_itself(self):
        model, wrapper, gradients = self.wrapper(1.)
        norms = norms_of(dict(weight=torch.tensor([INF])))
        gradients.unclipped = norms
        wrapper.optimizer.found_inf = torch.tensor([1.])
        gradients.before_step(wrapper.optimizer)
        assert gradients.collect()['weight'] == 0

    def test_all_updates_skipped(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(finite, 'scales', lambda wrapper: True)
        monkeypatch.setattr(finite, 'last_checkpoint_note', lambda runner: '')
        hook = finite.FiniteLossHook()
        hook.skipped, hook.wrappers = 0, [self.wrapper(1.)[1]]
        runner = type('Runner', (), dict(iter=100))
        for _ in range(finite.MAX_SKIPPED - 1):
            hook.count_skipped(runner, updated=False)
        hook.count_skipped(runner, updated=True)
        for _ in range(finite.MAX_SKIPPED - 1):
            hook.count_skipped(runner, updated=False)
        with pytest.raises(UserError, match='iteration 101: the last 30 updates were all skipped'):
            hook.count_skipped(runner, updated=False)


def test_configs_of_earlier_versions_build_it():
    """They name an interval, which has no effect any more."""
    assert isinstance(HOOKS.build(dict(type='mmext.FiniteLossHook', interval=10)), Hook)
