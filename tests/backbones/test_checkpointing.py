"""with_cp trains as plain training does, bit for bit, and keeps less for the backward pass."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from mmext.backbones import Backbone
from mmext.backbones.checkpointing import run_checkpointed, segment_length
from mmext.backbones.formula import FORMULAS
from tests.backbones.helpers import assert_same, copied, images, on_meta, uneven

GN = dict(type='GN', num_groups=4)
SMALL = dict(cardinality=2, base_width=8)
CASES = {
    'iresnet18': ('iresnet18', {}),
    'iresnet18, authors': ('iresnet18', dict(relu_shortcut=True)),
    'preact_resnet50': ('preact_resnet50', {}),
    'iresgroup50': ('iresgroup50', {}),
    'iresnet18, group norm': ('iresnet18', dict(norm_cfg=GN)),
    'iresnet18, synchronised norm': ('iresnet18', dict(norm_cfg=dict(type='SyncBN'))),
    'iresnet18, norms without gradient': ('iresnet18', dict(norm_cfg=dict(type='BN', requires_grad=False))),
    'iresnet18, cumulative statistics': ('iresnet18', dict(norm_cfg=dict(type='BN', momentum=None))),
    'resnet18, frozen stages': ('resnet18', dict(frozen_stages=2)),
    'resnet18, all frozen but the last': ('resnet18', dict(frozen_stages=3)),
    'iresnet18, norm_eval': ('iresnet18', dict(norm_eval=True)),
    'resnet50, stages of SSD': ('resnet50', dict(num_stages=3, strides=(1, 2, 1), out_indices=(1, ))),
    'iresnet18, clips': ('iresnet18', dict(dims=3)),
    'resnet164_cifar, long segments': ('resnet164_cifar', {}),
    'iresnet164_cifar, long segments': ('iresnet164_cifar', {}),
    **{name: (name, dict(num_stages=2)) for name in ('cresnet15_a1', *(f'cresnet27_{variant}' for variant in (
        'a', 'a1', 'a2', 'b', 'b1', 'b2', 'b3', 'c', 'c1')))},
    **{f'cresnet27_{variant}, authors': (f'cresnet27_{variant}', dict(num_stages=2, authors_wiring=True))
       for variant in ('b1', 'b3')},
    **{f'resnet18_recursive, {formula}': ('resnet18_recursive', dict(num_stages=2, formula=formula))
       for formula in (*FORMULAS, 'relu(W[i] X[i-1]) + 0.5 X[i-1] - 2 W[i-2] X[i-3] + X[0]',
                       'W[i] X[i-1] + W[i] W[i-1] X[i-2] - W[i] X[i-2]')},
    'resnet34_recursive, segments': ('resnet34_recursive', dict(num_stages=3, initial_state='stem')),
    'resnet50_recursive': ('resnet50_recursive', dict(num_stages=2)),
    'seresnet18_recursive': ('seresnet18_recursive', dict(num_stages=3)),
    'seresnet50': ('seresnet50', dict(num_stages=2)),
    'resnext29': ('resnext29_2x64d_recursive', SMALL),
    'res2next29': ('res2next29_6c24w4s_recursive', SMALL),
    'resnet18_recursive, frozen stages': ('resnet18_recursive', dict(frozen_stages=2, norm_eval=True)),
    'resnet18_recursive, clips': ('resnet18_recursive', dict(num_stages=2, dims=3)),
    **{name: (name, {}) for name in ('rir_cnn32', 'rir_resnet32', 'rir_init32', 'rir32', 'all_cnn_c',
                                     'all_cnn_c_init')},
    'rir32, group norm': ('rir32', dict(norm_cfg=GN)),
    'rir32, frozen stages': ('rir32', dict(frozen_stages=1)),
    'iresnet164_cifar, frozen stage': ('iresnet164_cifar', dict(frozen_stages=1, norm_eval=True)),
}


def input_for(backbone: Backbone, seed: int, **options) -> Tensor:
    side = 32 if backbone.stem == 'conv7x7' else 16
    return images(2, 3, *(4, side, side)[3 - backbone.dims:], seed=seed, **options)


def train(backbone: Backbone, steps: int = 2) -> list[dict[str, Tensor]]:
    """Two steps of SGD; after each, the outputs, the gradients (the input's too) and the whole state."""
    backbone.train()
    optimizer = torch.optim.SGD(backbone.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
    history = []
    for step in range(steps):
        x = input_for(backbone, seed=step).requires_grad_()
        outputs = backbone(x)
        optimizer.zero_grad()
        sum(output.square().mean().log() for output in outputs).backward()
        gradients = {f'grad of {name}': parameter.grad.clone() for name, parameter in backbone.named_parameters()
                     if parameter.grad is not None}
        optimizer.step()
        history.append({**{f'output {i}': output.detach() for i, output in enumerate(outputs)}, **gradients,
                        'grad of input': x.grad, **copied(backbone.state_dict())})
    return history


@pytest.mark.parametrize('case', CASES)
def test_training_is_bit_for_bit_the_same(case: str) -> None:
    name, options = CASES[case]
    plain, saving = uneven(name, **options), uneven(name, with_cp=True, **options)
    assert_same(saving.state_dict(), plain.state_dict())
    for plain_step, saving_step in zip(train(plain), train(saving), strict=True):
        assert_same(saving_step, plain_step)
    assert any(key.startswith('grad of layer') for key in plain_step)
    assert all(value.isfinite().all() for value in plain_step.values())


def test_mixed_precision_is_recomputed_in_the_same_precision() -> None:
    with torch.autocast('cpu', torch.bfloat16):
        plain, saving = (train(uneven('iresnet18', with_cp=with_cp)) for with_cp in (False, True))
    assert plain[0]['output 0'].dtype == torch.bfloat16
    for plain_step, saving_step in zip(plain, saving, strict=True):
        assert_same(saving_step, plain_step)


@pytest.mark.parametrize('name', ['iresnet18', 'iresnet164_cifar'])
def test_statistics_are_tracked_once_a_forward_pass(name: str) -> None:
    backbone = uneven(name, with_cp=True)
    train(backbone, steps=3)
    counts = [value.item() for key, value in backbone.state_dict().items() if key.endswith('num_batches_tracked')]
    assert set(counts) == {3}
    assert all(module.track_running_stats for module in backbone.modules() if isinstance(module, nn.BatchNorm2d))


def test_torch_s_own_checkpoint_counts_twice() -> None:
    """Why this package has its own; and that the tests above would see it."""
    counts = []
    for run in (lambda stage, x: checkpoint(stage, x, use_reentrant=False), run_checkpointed):
        stage = uneven('iresnet18').train().layer1
        run(stage, images(2, 64, 8, 8)).sum().backward()
        counts.append(stage[0].bn1.num_batches_tracked.item())
    assert counts == [2, 1]


@pytest.mark.parametrize('training', [False, True], ids=['eval', 'train'])
def test_without_gradients_nothing_is_recomputed(training: bool) -> None:
    plain, saving = uneven('iresnet18').train(training), uneven('iresnet18', with_cp=True).train(training)
    calls = []
    saving.layer1[0].register_forward_hook(lambda *given: calls.append(given))
    x = images(2, 3, 32, 32)
    with torch.no_grad():
        assert all(map(torch.equal, saving(x), plain(x)))
    assert_same(saving.state_dict(), plain.state_dict())
    assert len(calls) == 1


def test_eval_mode_with_gradients_records_nothing() -> None:
    plain, saving = uneven('iresnet18').eval(), uneven('iresnet18', with_cp=True).eval()
    gradients = []
    for backbone in (plain, saving):
        before = copied(dict(backbone.named_buffers()))
        x = images(2, 3, 32, 32).requires_grad_()
        backbone(x)[-1].sum().backward()
        gradients.append(x.grad)
        assert_same(dict(backbone.named_buffers()), before)
    assert torch.equal(*gradients)


def test_statistics_are_tracked_again_after_an_error_in_the_backward_pass() -> None:
    backbone = uneven('iresnet18', with_cp=True).train()
    output = backbone(images(2, 3, 32, 32))[-1]
    handle = backbone.layer2[1].conv2.register_forward_hook(lambda *given: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        output.sum().backward()
    handle.remove()
    assert all(module.track_running_stats for module in backbone.modules() if isinstance(module, nn.BatchNorm2d))


def bytes_kept(backbone: Backbone, size: int) -> int:
    """Bytes that a forward pass keeps for the backward pass, each storage once, the parameters not counted."""
    own = {parameter.untyped_storage()._cdata for parameter in backbone.parameters()}
    kept: dict[int, Tensor] = {}  # holding the tensors keeps their storages' addresses from being used again

    def pack(tensor: Tensor) -> Tensor:
        if tensor.untyped_storage()._cdata not in own:
            kept[tensor.untyped_storage()._cdata] = tensor
        return tensor

    x = torch.empty(2, 3, size, size, device='meta')
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        backbone.train()(x)
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())


def test_less_than_a_quarter_is_kept() -> None:
    plain, saving = on_meta('resnet164_cifar'), on_meta('resnet164_cifar', with_cp=True)
    assert bytes_kept(saving, 32) < bytes_kept(plain, 32) / 4


def test_what_is_kept_grows_with_the_root_of_depth() -> None:
    """Six times as many blocks keep about root six, 2.5 times, as much; plain training six times."""
    def growth(**options: bool) -> float:
        nets = (on_meta(f'iresnet{depth}_cifar', num_stages=1, **options) for depth in (164, 1001))
        small, deep = (bytes_kept(net, 16) for net in nets)
        return deep / small

    assert growth() > 5.5
    assert 1.8 < growth(with_cp=True) < 3


@pytest.mark.parametrize(('blocks', 'length'), [(1, 1), (2, 1), (3, 1), (6, 1), (12, 2), (18, 2), (27, 3), (111, 6),
                                                (222, 9), (334, 11)])
def test_segments_grow_with_the_root_of_depth(blocks: int, length: int) -> None:
    assert segment_length(blocks) == length


@pytest.mark.parametrize('blocks', [1, 2, 5, 7, 12, 13])
def test_a_stage_of_any_length_runs_every_block_once(blocks: int) -> None:
    torch.manual_seed(0)
    stage = nn.Sequential(*(nn.Linear(4, 4) for _ in range(blocks)))
    x = images(2, 4).requires_grad_()
    assert torch.equal(run_checkpointed(stage, x), stage(x))
