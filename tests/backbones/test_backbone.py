"""The options of a backbone: outputs, stages, strides, stems, norms; and that it can be copied, saved and pickled."""

from __future__ import annotations

import copy
import io
import pickle

import pytest
import torch
from torch import nn

from mmext import create_backbone
from tests.backbones.helpers import assert_same, images, on_meta, uneven

FAMILIES = ['resnet18', 'preact_resnet50', 'resmax50', 'iresnet18', 'iresgroup50', 'iresnet164_cifar', 'cresnet18_a',
            'cresnet27_b', 'resnet18_recursive', 'seresnet18', 'resnext29_2x64d', 'res2next29_6c24w4s_recursive',
            'rir32', 'all_cnn_c_init']
OTHERS = ['cresnet15_a1', 'resnet18_recursive', 'seresnet18', 'rir32', 'all_cnn_c_init']


def shapes(backbone: nn.Module, *size: int) -> list[tuple[int, ...]]:
    """Of the outputs for one meta input."""
    with torch.no_grad():
        return [tuple(feature.shape[1:]) for feature in backbone.eval()(torch.empty(1, *size, device='meta'))]


@pytest.mark.parametrize('name', ['resnet18', 'preact_resnet50', 'iresnet18', 'iresnet164_cifar', *OTHERS])
def test_out_indices_select_outputs(name: str) -> None:
    whole = uneven(name).eval()
    side = 32 if whole.stem == 'conv7x7' else 16
    x = images(1, 3, side, side)
    with torch.no_grad():
        every = whole(x)
    for indices in ((2, ), (2, 0)):
        some = uneven(name, out_indices=indices).eval()
        with torch.no_grad():
            selected = some(x)
        assert len(selected) == len(indices)
        assert all(torch.equal(out, every[index]) for out, index in zip(selected, indices))
        assert some.feature_info.channels() == [whole.feature_info.channels()[index] for index in indices]
        assert some.feature_info.reduction() == [whole.feature_info.reduction()[index] for index in indices]
        assert [feature.module for feature in some.feature_info] == [f'layer{index + 1}' for index in indices]


@pytest.mark.parametrize('stages', [1, 2, 3])
@pytest.mark.parametrize('name', ['resnet18', 'iresnet34', *OTHERS])
def test_num_stages_builds_no_more(name: str, stages: int) -> None:
    cut, whole = on_meta(name, num_stages=stages), on_meta(name)
    later = tuple(f'layer{i}.' for i in range(stages + 1, 5))
    assert list(cut.state_dict()) == [key for key in whole.state_dict() if not key.startswith(later)]
    assert shapes(cut, 3, 64, 64) == shapes(whole, 3, 64, 64)[:stages]


def test_only_a_whole_pre_activation_net_ends_in_norm_and_relu() -> None:
    whole, cut = (uneven('preact_resnet50', num_stages=stages).eval() for stages in (4, 3))
    assert whole.bn_last.num_features == 2048 and cut.bn_last is None
    with torch.no_grad():
        assert (whole(images(1, 3, 32, 32))[-1] >= 0).all()
        assert (cut(images(1, 3, 32, 32))[-1] < 0).any()


@pytest.mark.parametrize('name', ['resnet50', 'preact_resnet50', 'resstage50', 'resmax50', 'iresnet18', 'iresnet50',
                                  'iresgroup50'])
def test_ssd_has_stride_8_in_every_family(name: str) -> None:
    backbone = on_meta(name, strides=(1, 2, 1), num_stages=3, out_indices=(2, ))
    assert backbone.feature_info.reduction() == [8]
    assert shapes(backbone, 3, 300, 300) == [(backbone.feature_info.channels()[0], 38, 38)]


@pytest.mark.parametrize('name', FAMILIES)
@pytest.mark.parametrize(('stem', 'stride'), [('conv7x7', 4), ('conv3x3', 1), ('conv1x1', 1), ('conv3x3_twice', 1)])
def test_every_stem_goes_with_every_family(name: str, stem: str, stride: int) -> None:
    backbone = on_meta(name, stem=stem)
    reduction = [stride * 2**i for i in range(len(backbone.stages))]
    assert backbone.feature_info.reduction() == reduction
    sides = [64 // total for total in reduction]
    if name == 'all_cnn_c_init':
        sides[-1] -= 2  # its unpadded convolution
    assert [shape[-1] for shape in shapes(backbone, 3, 64, 64)] == sides
    assert backbone.conv1.kernel_size == {'conv7x7': (7, 7), 'conv1x1': (1, 1)}.get(stem, (3, 3))
    assert hasattr(backbone, 'conv2') == (stem == 'conv3x3_twice')


@pytest.mark.parametrize('name', FAMILIES)
def test_dilations_reach_every_3x3_convolution_of_a_stage(name: str) -> None:
    stages = len(on_meta(name).stages)
    backbone = on_meta(name, dilations=(1, 2, 3, 2)[:stages])
    for i, dilation in zip(range(1, stages + 1), (1, 2, 3, 2)):
        wide = {place: module.dilation for place, module in getattr(backbone, f'layer{i}').named_modules()
                if isinstance(module, nn.Conv2d) and module.kernel_size == (3, 3) and 'downsample' not in place}
        assert wide and set(wide.values()) == {(dilation, dilation)}
    sides = [shape[-1] for shape in shapes(backbone, 3, 64, 64)]
    lost = [6 if name == 'all_cnn_c_init' and i == 2 else 0 for i in range(stages)]  # its unpadded convolution
    assert sides == [64 // total - less for total, less in zip(backbone.feature_info.reduction(), lost)]


@pytest.mark.parametrize('name', ['resnet18', 'iresnet164_cifar', 'cresnet18_a', 'rir32'])
def test_in_channels(name: str) -> None:
    with torch.no_grad():
        assert create_backbone(name, in_channels=5)(images(2, 5, 32, 32))[0].shape[0] == 2


@pytest.mark.parametrize('name', FAMILIES)
@pytest.mark.parametrize(('norm_cfg', 'kind'), [(dict(type='GN', num_groups=4), nn.GroupNorm),
                                                (dict(type='SyncBN'), nn.SyncBatchNorm)])
def test_norm_cfg_reaches_every_norm(name: str, norm_cfg: dict, kind: type[nn.Module]) -> None:
    plain, other = on_meta(name), on_meta(name, norm_cfg=norm_cfg)
    places = [place for place, module in plain.named_modules() if isinstance(module, nn.BatchNorm2d)]
    assert [place for place, module in other.named_modules() if isinstance(module, kind)] == places
    assert not any(isinstance(module, nn.BatchNorm2d) for module in other.modules())


@pytest.mark.parametrize('name', ['iresnet18', 'cresnet15_a1', 'resnet18_recursive', 'rir32', 'all_cnn_c'])
@pytest.mark.parametrize('norm_cfg', [dict(type='GN', num_groups=4), dict(type='SyncBN')])
def test_other_norms_compute(name: str, norm_cfg: dict) -> None:
    backbone = create_backbone(name, norm_cfg=norm_cfg)
    backbone(images(2, 3, 32, 32))[-1].square().mean().backward()
    assert all(parameter.grad.isfinite().all() for parameter in backbone.parameters())


def test_norms_without_gradient() -> None:
    backbone = on_meta('iresnet50', norm_cfg=dict(type='BN', requires_grad=False))
    for name, parameter in backbone.named_parameters():
        assert parameter.requires_grad == (parameter.dim() == 4), name


@pytest.mark.parametrize('name', ['resnet18', 'iresnet18', 'preact_resnet50', 'iresnet164_cifar', 'cresnet15_a1',
                                  'seresnet18_recursive', 'rir32', 'all_cnn_c_init'])
def test_state_dict_round_trip(name: str) -> None:
    first, second = uneven(name, seed=0).eval(), uneven(name, seed=1).eval()
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    file.seek(0)
    second.load_state_dict(torch.load(file))
    assert_same(second.state_dict(), first.state_dict())


@pytest.mark.parametrize('duplicate', [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))],
                         ids=['deepcopy', 'pickle'])
@pytest.mark.parametrize(('name', 'options'), [
    ('iresnet18', {}), ('iresnet18', dict(with_cp=True, frozen_stages=1)), ('iresnet18', dict(relu_shortcut=True)),
    ('cresnet27_b1', dict(authors_wiring=True, num_stages=2)), ('resnet18_recursive', dict(formula='appendix1')),
    ('rir32', {}),
])
def test_copies_compute_the_same_and_share_nothing(duplicate, name: str, options: dict) -> None:
    original = uneven(name, **options).train()
    twin = duplicate(original)
    x = images(2, 3, 32, 32)
    assert all(map(torch.equal, original(x), twin(x)))
    assert_same(twin.state_dict(), original.state_dict())
    assert [module.training for module in twin.modules()] == [module.training for module in original.modules()]
    with torch.no_grad():
        twin.conv1.weight.zero_()
    assert original.conv1.weight.abs().sum() > 0
