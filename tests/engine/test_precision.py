"""Mixed precision on a GPU (as far as it shows without one) and on a processor, and the memory format of weights."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace
from unittest import mock

import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, init_default_scope
from mmengine.structures import InstanceData
from torch import nn

import mmext
from mmext.backbones.memory_format import arrange_weights, fastest_format
from mmext.classification import Classifier
from mmext.engine import precision
from mmext.engine.config import load_config
from mmext.engine.flags.training import apply_training_flags
from mmext.engine.hooks import MemoryFormatHook
from mmext.engine.hooks.precision import keep_float32
from mmext.errors import UserError
from tests.conftest import ROOT, run

GPU = mock.patch('torch.cuda.is_available', return_value=True)
LINEAR = dict(optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=1.)))


def flagged(**flags) -> Config:
    config = Config(LINEAR)
    apply_training_flags(config, **flags)
    return config


def stepped(config: Config) -> tuple[nn.Module, list[torch.dtype], object]:
    """A small net after one step of a config's optim wrapper, the types of what its layer gave, and the wrapper."""
    torch.manual_seed(0)
    net, types = nn.Linear(8, 4), []
    net.register_forward_hook(lambda layer, inputs, output: types.append(output.dtype))
    with mock.patch('mmengine.optim.optimizer.amp_optimizer_wrapper.is_cuda_available', return_value=True):
        wrapper = build_optim_wrapper(net, config.optim_wrapper)
    with wrapper.optim_context(net):
        loss = net(torch.randn(16, 8)).float().square().mean()
    wrapper.update_params(loss)
    return net, types, wrapper


@pytest.mark.parametrize('machine', [GPU, nullcontext()], ids=['GPU', 'processor'])
def test_bf16_needs_no_scaled_loss(machine: object):
    with machine:
        config = flagged(amp='bf16')
    net, types, wrapper = stepped(config)
    plain, plain_types, _ = stepped(flagged())
    assert types == [torch.bfloat16] and plain_types == [torch.float32]
    assert not hasattr(wrapper, 'loss_scaler') or not wrapper.loss_scaler.is_enabled()
    assert net.weight.dtype == torch.float32
    assert 0 < (net.weight - plain.weight).abs().max() < 0.01, 'the same update but for rounding'


def test_fp16_scales_the_loss():
    with GPU:
        wrapper = flagged(amp='fp16').optim_wrapper
    assert (wrapper.type, wrapper.loss_scale, wrapper.dtype) == ('AmpOptimWrapper', 'dynamic', 'float16')
    assert wrapper.optimizer.lr == 1


@pytest.mark.parametrize('saved', ['bf16', 'fp16'])
def test_fp16_is_resumed_from_another_format(saved: str):
    """bf16 saves no loss scale: fp16 then begins with its own. One that is there is kept."""
    with GPU:
        config = flagged(amp='bf16')
    wrapper = stepped(config)[2]
    wrapper.loss_scaler = torch.amp.GradScaler('cpu', init_scale=8.)
    state = wrapper.state_dict() | dict(loss_scaler=torch.amp.GradScaler(
        'cpu', init_scale=2., enabled=saved == 'fp16').state_dict())
    wrapper.load_state_dict(state)
    assert wrapper.loss_scaler.get_scale() == (2 if saved == 'fp16' else 8)


@pytest.mark.parametrize(('gpu', 'instructions', 'taken'), [
    (True, False, 'AmpOptimWrapper'), (False, True, 'mmext.ProcessorAmpOptimWrapper'), (False, False, 'OptimWrapper')])
def test_auto_takes_what_is_fast(gpu: bool, instructions: bool, taken: str, capsys: pytest.CaptureFixture):
    with mock.patch('torch.cuda.is_available', return_value=gpu), \
            mock.patch.object(precision, 'has_bf16', return_value=instructions):
        assert flagged(amp='auto').optim_wrapper.type == taken
    assert ('stays in fp32' in capsys.readouterr().out) == (taken == 'OptimWrapper')


def test_slow_bf16_is_told(capsys: pytest.CaptureFixture):
    with mock.patch.object(precision, 'has_bf16', return_value=False):
        assert flagged(amp='bf16').optim_wrapper.type == 'mmext.ProcessorAmpOptimWrapper'
    assert 'no bf16 instructions, which makes it slower than fp32' in capsys.readouterr().out
    with pytest.raises(UserError, match='--amp fp16.*needs a GPU.*--amp bf16'):
        flagged(amp='fp16')


def test_regions_and_losses_stay_in_float32():
    head = nn.Module()
    head.bbox_roi_extractor, head.bbox_head = nn.ModuleList([nn.Identity()]), nn.ModuleList([nn.Linear(2, 3)])
    model = nn.Module()
    model.roi_head, model.backbone = head, nn.Linear(2, 2)
    keep_float32(model)
    with torch.autocast('cpu', torch.bfloat16):
        features = model.backbone(torch.ones(1, 2))
        assert features.dtype == torch.bfloat16
        assert head.bbox_roi_extractor[0](features).dtype == torch.float32
        assert head.bbox_head[0](features).dtype == torch.float32


def test_the_focal_loss_gets_float32():
    """mmcv's CUDA kernel of the focal loss has no bfloat16: RetinaNet would die at its first step."""
    init_default_scope('mmdet')
    model = load_config(ROOT / 'configs/retinanet_iresnet50_fpn_coco.py', backbone='iresnet18').model
    detector = MODELS.build(model)
    keep_float32(detector)
    features = [torch.randn(1, 256, side, side) for side in (8, 4, 2, 1, 1)]
    truth = InstanceData(bboxes=torch.tensor([[4., 4., 40., 40.]]), labels=torch.tensor([3]))
    sample = DetDataSample(gt_instances=truth, metainfo=dict(img_shape=(64, 64), pad_shape=(64, 64)))
    half, taken = [], []
    detector.bbox_head.retina_cls.register_forward_hook(lambda layer, inputs, output: half.append(output.dtype))
    focal = detector.bbox_head.loss_cls.forward
    with mock.patch.object(detector.bbox_head.loss_cls, 'forward', side_effect=lambda score, *rest, **more: (
            taken.append(score.dtype), focal(score, *rest, **more))[1]), torch.autocast('cpu', torch.bfloat16):
        detector.bbox_head.loss(features, [sample])
    assert {*half} == {torch.bfloat16} and {*taken} == {torch.float32}


NARROW = """
import mmext, torch
from mmext.compat.torch import compute_narrow_maps_in_float32
from torch import nn

CASES = [(nn.Conv2d, 3, 2, 1, (1, 1)), (nn.Conv2d, 5, 2, 2, (4, 1)), (nn.Conv2d, 3, 3, 1, (2, 2)),
         (nn.Conv3d, 3, 2, 1, (1, 1, 1)), (nn.Conv1d, 3, 2, 1, (1, )), (nn.Conv3d, 3, 1, 1, (2, 5, 5)),
         (nn.Conv3d, (3, 1, 1), 1, (1, 0, 0), (2, 3, 3)), (nn.Conv3d, (5, 3, 3), 1, (2, 1, 1), (4, 3, 3))]

def finite(kind, kernel, stride, padding, size):
    layer = kind(64, 64, kernel, stride, padding)
    with torch.autocast('cpu', torch.bfloat16):
        out = layer(torch.ones(2, 64, *size))
    filled = [torch.full_like(layer.weight, float('nan'), dtype=torch.bfloat16) for _ in range(6)]
    del filled
    out.float().sum().backward()
    assert out.dtype == torch.bfloat16
    return layer.weight.grad.isfinite().all().item()

before = [all(finite(*case) for _ in range(5)) for case in CASES]
compute_narrow_maps_in_float32()
compute_narrow_maps_in_float32()
print(before, [all(finite(*case) for _ in range(5)) for case in CASES], mmext.compat.applied())
"""


def test_narrow_maps_have_gradients():
    """Needed where the processor has bf16 instructions; where the fault does not show, nothing is changed."""
    before, after = run('-c', NARROW).stdout.strip().split('] [')
    assert 'False' not in after
    assert ('False' in before) == ('compute_narrow_maps_in_float32' in after)


@pytest.mark.parametrize('name', ['iresnet18', 'cresnet15_a1', 'resnet18_recursive', 'rir_resnet18_wide'])
def test_channels_last_is_the_same_function(name: str):
    torch.manual_seed(0)
    model = Classifier(mmext.create_backbone(name), 10).double()  # in which rounding is small
    images = torch.randn(2, 3, 32, 32, dtype=torch.float64)
    state = {key: value.clone() for key, value in model.state_dict().items()}
    expected = [model(images).detach(), *torch.autograd.grad(model(images).square().sum(), list(model.parameters()))]
    assert arrange_weights(model, 'auto') == 'channels_last'
    assert model.backbone(images)[-1].is_contiguous(memory_format=torch.channels_last)
    assert list(state) == list(model.state_dict())
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items() if 'running' not in key
               and 'num_batches' not in key)
    found = [model(images).detach(), *torch.autograd.grad(model(images).square().sum(), list(model.parameters()))]
    scale = max(one.abs().max().item() for one in expected)
    assert all(torch.allclose(one, other, atol=1e-9 * scale) for one, other in zip(found, expected))


def test_clips_stay_as_they_are():
    assert fastest_format(mmext.create_backbone('iresnet18', dims=3)) == 'contiguous'
    assert fastest_format(nn.Identity()) == 'contiguous'


def test_half_precision_on_a_gpu_is_channels_last():
    with torch.device('meta'):
        model = mmext.create_backbone('iresnet18')
    assert [fastest_format(model, half) for half in (False, True)] == ['contiguous', 'channels_last']


@pytest.mark.parametrize(('memory_format', 'last'), [('auto', True), ('contiguous', False)])
def test_weights_are_arranged_before_training_and_testing(memory_format: str, last: bool):
    for stage in ('before_train', 'before_test'):
        net = nn.Conv2d(3, 8, 3)
        weight = net.weight.detach().clone()
        runner = SimpleNamespace(model=net, optim_wrapper=None, logger=mock.Mock())
        getattr(MemoryFormatHook(memory_format), stage)(runner)
        assert net.weight.is_contiguous(memory_format=torch.channels_last) == last
        assert torch.equal(net.weight, weight)


KEPT = """
import sys, torch, mmext
assert 'mmext.engine.allocator' not in sys.modules, 'an import leaves the allocator as it is'
from mmext.benchmark.memory import status
from mmext.engine.allocator import keep_memory
kept = keep_memory()
before = status('VmRSS')
tensor = torch.ones(2**26)
del tensor
print(kept, status('VmRSS') - before > 2**27)
"""


@pytest.mark.parametrize('variable', ['', '0'])
def test_memory_is_kept_unless_the_user_says_no(variable: str):
    expected = 'False False' if variable else 'True True'
    assert run('-c', KEPT, env={'MMEXT_KEEP_MEMORY': variable}).stdout.strip() == expected
