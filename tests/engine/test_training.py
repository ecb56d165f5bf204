"""The flags of tools/train.py: what they write into a config, and what that does."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import pytest
import torch
from mmengine.config import Config
from mmengine.model import convert_sync_batchnorm
from mmengine.optim import build_optim_wrapper
from mmengine.registry import VISUALIZERS, DefaultScope
from mmengine.visualization import Visualizer
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmext import create_backbone
from mmext.engine import batch, launch
from mmext.engine.config import make_safe, read_config
from mmext.engine.flags.training import apply_training_flags, require_average
from mmext.engine.hooks import ProgressHook
from mmext.errors import UserError
from tests.conftest import CONFIG, ROOT

# config -> samples an update that its learning rate is for, processes that share them. SSD512, the 3D nets of other
# papers and Faster R-CNN have the recipe of the paper or library that their schedule comes from; the motion configs
# are ours.
BATCHES = {
    r'ssd(300|512)_.*': (256, 8),
    r'(faster|cascade)_rcnn_.*|retinanet_.*': (16, 8),
    r'.*3d\d+_(.*_)?(kinetics400(_frames)?|sthv2)': (64, 8),
    r'demo/iresnet(3d)?18_motion(_frames)?': (16, 1),
    r'classification/(iresnet|recursive)_imagenet': (256, 8),
    r'classification/(iresnet|recursive)_cifar100?': (128, 1),
    r'classification/cresnet_.*': (32, 1),
    r'classification/rir_.*': (500, 1),
}
CONFIGS = sorted(path for folder in ('', 'classification', 'demo') for path in (ROOT / 'configs' / folder).glob('*.py'))


def flagged(path: str | Path = CONFIG, **flags) -> Config:
    config = read_config(ROOT / path)
    apply_training_flags(config, **flags)
    return config


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_the_learning_rate_is_for_the_batch_of_its_paper(path: Path):
    name = path.relative_to(ROOT / 'configs').with_suffix('').as_posix()
    (batch, processes), = [value for pattern, value in BATCHES.items() if re.fullmatch(pattern, name)]
    config = flagged(path, auto_scale_lr=True)
    assert config.auto_scale_lr == dict(enable=True, base_batch_size=batch)
    assert config.train_dataloader.batch_size * processes == batch


@pytest.mark.parametrize('count', [1, 4])
def test_accumulated_batches_count_in_the_learning_rate(count: int):
    config = flagged(auto_scale_lr=True, accumulate=count)
    runner = SimpleNamespace(cfg=config, auto_scale_lr=config.auto_scale_lr, logger=mock.Mock())
    batch.scale_for_accumulation(runner)
    assert runner.auto_scale_lr['base_batch_size'] == 256 / count
    assert config.auto_scale_lr.base_batch_size == 256, 'the config, which is written to the work dir, says the truth'


@pytest.mark.parametrize('flags, says', [
    (dict(amp='fp16'), '--amp fp16.*needs a GPU.*--amp bf16'),
    (dict(sync_bn=True, launcher='pytorch'), '--sync-bn.*only on GPUs'),
    (dict(accumulate=0), '--accumulate 0'),
    (dict(clip_grad=0.), '--clip-grad 0'),
    (dict(clip_grad=float('nan')), '--clip-grad nan'),
    (dict(clip_grad=float('inf')), '--clip-grad inf'),
    (dict(ema=0.), '--ema 0'),
    (dict(ema=1.), '--ema 1'),
    (dict(seed=-1), '--seed -1'),
    (dict(early_stop=0), '--early-stop 0: need at least 1 validation'),
])
@mock.patch('torch.cuda.is_available', return_value=False)
def test_what_cannot_work_is_refused(no_gpu: mock.Mock, flags: dict, says: str):
    with pytest.raises(UserError, match=says):
        flagged(**flags)


def test_a_config_without_a_batch_is_refused():
    config = read_config(ROOT / CONFIG)
    del config._cfg_dict['auto_scale_lr']
    with pytest.raises(UserError, match='no auto_scale_lr.base_batch_size'):
        apply_training_flags(config, auto_scale_lr=True)


@pytest.mark.parametrize('path, monitor', [
    (CONFIG, 'coco/AP'), ('configs/demo/iresnet3d18_motion.py', 'accuracy/top1'),
    ('configs/classification/rir_cifar10.py', 'accuracy/top1')])
def test_early_stopping_watches_the_metric_of_the_best_checkpoint(path: str, monitor: str):
    hook = flagged(path, early_stop=4).custom_hooks[-1]
    assert hook == dict(type='EarlyStoppingHook', monitor=monitor, rule='greater', patience=4, min_delta=1e-9)


@pytest.mark.parametrize('changes, says', [
    ({'val_cfg': None}, 'the config has no validation'),
    ({'default_hooks.checkpoint.save_best': 'auto'}, 'names no metric to watch; give --cfg-options'),
    ({'custom_hooks': [dict(type='EarlyStoppingHook', monitor='coco/AP')]}, 'EarlyStoppingHook already')])
def test_what_early_stopping_cannot_watch(changes: dict, says: str):
    config = read_config(ROOT / CONFIG)
    config.merge_from_dict(changes)
    with pytest.raises(UserError, match=f'--early-stop: .*{says}'):
        apply_training_flags(config, early_stop=2)


def test_a_second_average_is_refused():
    config = flagged(ema=0.1)
    with pytest.raises(UserError, match='EMAHook already'):
        apply_training_flags(config, ema=0.2)


def test_a_training_with_an_average_goes_on_with_it():
    checkpoint = dict(ema_state_dict={})
    require_average(flagged(ema=0.1), checkpoint, 'last.pth')
    require_average(flagged(), {}, 'last.pth')
    with pytest.raises(UserError, match='last.pth.*give --ema again'):
        require_average(flagged(), checkpoint, 'last.pth')


def stepped(config: Config, batch: torch.Tensor) -> tuple[nn.Module, list[torch.dtype], object]:
    """A small net after one step of a config's optim wrapper, the types of what its layer gave, and the wrapper."""
    torch.manual_seed(0)
    net, types = nn.Linear(8, 4), []
    net.register_forward_hook(lambda layer, inputs, output: types.append(output.dtype))
    config.optim_wrapper.optimizer = dict(type='SGD', lr=1.)
    with mock.patch('mmengine.optim.optimizer.amp_optimizer_wrapper.is_cuda_available', return_value=True):
        wrapper = build_optim_wrapper(net, config.optim_wrapper)
    with wrapper.optim_context(net):
        loss = net(batch).float().square().mean()
    wrapper.update_params(loss)
    return net, types, wrapper


@pytest.mark.parametrize('norm', [1e-3, 1e3])
def test_clipped_gradients(norm: float):
    batch = torch.ones(2, 8)
    plain, clipped = (stepped(config, batch)[0] for config in (flagged(), flagged(clip_grad=norm)))
    torch.manual_seed(0)
    start = nn.utils.parameters_to_vector(nn.Linear(8, 4).parameters())
    full, step = (start - nn.utils.parameters_to_vector(net.parameters()) for net in (plain, clipped))
    assert torch.allclose(step, full * min(1, norm / full.norm()), rtol=1e-3, atol=1e-7)


@pytest.mark.parametrize('dims', [2, 3])
def test_sync_bn_replaces_every_batch_norm(dims: int):
    options = dict(dims=dims, frozen_stages=1, norm_eval=True)
    before = create_backbone('iresnet50', **options)
    for norm in (module for module in before.modules() if isinstance(module, _BatchNorm)):
        nn.init.normal_(norm.running_mean)
    state = {name: value.clone() for name, value in before.state_dict().items()}
    count = sum(isinstance(module, _BatchNorm) for module in before.modules())
    after = convert_sync_batchnorm(before, flagged(sync_bn=True).sync_bn).train()
    norms = [module for module in after.modules() if isinstance(module, _BatchNorm)]
    assert len(norms) == count and all(type(norm) is nn.SyncBatchNorm for norm in norms)
    assert all(torch.equal(value, state[name]) for name, value in after.state_dict().items())
    assert list(after.state_dict()) == list(state)
    assert not any(norm.training for norm in norms), 'norm_eval'
    frozen = {name for name, weight in after.named_parameters() if not weight.requires_grad}
    assert frozen == {name for name, _ in after.named_parameters() if name.startswith(('conv1', 'bn1', 'layer1'))}


@pytest.mark.parametrize('path, scope', [
    (CONFIG, 'mmdet'), ('configs/retinanet_iresnet50_fpn_coco.py', 'mmdet'),
    ('configs/demo/iresnet3d18_motion.py', 'mmaction'), ('configs/classification/rir_cifar10.py', 'mmengine'),
])
def test_tensorboard_is_added_once(path: str, scope: str, tmp_path: Path):
    config = flagged(path, tensorboard=True)
    apply_training_flags(config, tensorboard=True)
    assert [backend['type'] for backend in config.visualizer.vis_backends] == ['LocalVisBackend',
                                                                              'TensorboardVisBackend']
    with mock.patch.dict(Visualizer._instance_dict, clear=True), DefaultScope.overwrite_default_scope(scope):
        if scope != 'mmengine':
            __import__(f'{scope}.visualization')
        visualizer = VISUALIZERS.build(dict(config.visualizer, name=path, save_dir=str(tmp_path)))
        visualizer.add_scalars(dict(loss=1.5), step=3)
        visualizer.close()
    assert list(tmp_path.rglob('events.out.tfevents.*')) and list(tmp_path.rglob('scalars.json'))


@pytest.mark.parametrize('flags, says', [
    (dict(tensorboard=True), '--tensorboard: tensorboard is not installed; pip install tensorboard$'),
    (dict(wandb='mine'), '--wandb: wandb is not installed; pip install wandb$')])
def test_a_log_whose_package_is_not_installed(flags: dict, says: str):
    absent = mock.patch('mmext.engine.flags.logs.installed', return_value=False)
    with absent, pytest.raises(UserError, match=says):
        flagged(**flags)


@pytest.mark.parametrize('terminal, main, shown', [(True, True, True), (False, True, False), (True, False, False)])
def test_bars_are_for_the_first_process_on_a_terminal(terminal: bool, main: bool, shown: bool):
    hook = ProgressHook()
    with mock.patch('sys.stderr.isatty', return_value=terminal), mock.patch(
            'mmext.engine.hooks.progress.is_main_process', return_value=main):
        hook.open('epoch 1/1', 3)
    assert hook.bar.disable is not shown
    hook.close()


SRUN = dict(SLURM_PROCID='5', SLURM_NTASKS='8', SLURM_LOCALID='1', SLURM_JOB_ID='1234567', SLURM_JOB_NODELIST='a[3-4]')


def test_slurm_says_what_torchrun_would(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    scontrol = tmp_path / 'scontrol'
    scontrol.write_text('#!/bin/sh\n[ "$1 $2 $3" = "show hostnames a[3-4]" ] && printf "a3\\na4\\n"\n')
    scontrol.chmod(0o755)
    monkeypatch.setenv('PATH', str(tmp_path), prepend=':')
    environ = dict(SRUN, LOCAL_RANK='0')
    launch.set_slurm_environment(environ)
    assert environ == dict(SRUN, RANK='5', WORLD_SIZE='8', LOCAL_RANK='1', MASTER_ADDR='a3', MASTER_PORT='24567')
    with pytest.raises(UserError, match="first node of 'b7'.*MASTER_ADDR"):
        launch.set_slurm_environment(dict(SRUN, SLURM_JOB_NODELIST='b7'))


@pytest.mark.parametrize(('gpus', 'device'), [(0, '3'), (1, '0'), (4, '3')])
def test_a_slurm_task_takes_a_gpu_that_it_sees(gpus: int, device: str):
    """With one GPU a task, the fourth task of a node sees one device."""
    environ = dict(SRUN, SLURM_LOCALID='3', MASTER_ADDR='10.0.0.1')
    launch.set_slurm_environment(environ, gpus)
    assert environ['LOCAL_RANK'] == device


def test_slurm_without_scontrol(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv('PATH', '')
    with pytest.raises(UserError, match='MASTER_ADDR'):
        launch.set_slurm_environment(dict(SRUN))
    environ = dict(SRUN, MASTER_ADDR='10.0.0.1', MASTER_PORT='29500')
    launch.set_slurm_environment(environ)
    assert (environ['MASTER_ADDR'], environ['MASTER_PORT']) == ('10.0.0.1', '29500')


@pytest.mark.parametrize('launcher, says', [('pytorch', 'RANK is not set; start with torchrun'),
                                            ('slurm', 'SLURM_PROCID is not set; start with srun')])
def test_a_launcher_that_did_not_launch(launcher: str, says: str, monkeypatch: pytest.MonkeyPatch):
    for name in (*launch.TORCHRUN, *SRUN):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UserError, match=says):
        launch.prepare_processes(read_config(ROOT / CONFIG), launcher)


def test_a_config_on_anothers_runtime_needs_no_seed():
    config = read_config(ROOT / 'configs/retinanet_iresnet50_fpn_coco.py')
    make_safe(config)
    assert config.randomness == dict(seed=None)
    apply_training_flags(config, seed=3, deterministic=True)
    assert config.randomness == dict(seed=3, deterministic=True)
