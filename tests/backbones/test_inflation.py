"""2D weights in 3D networks: every tensor arrives, and a still clip gives the 2D features."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from mmext import create_backbone
from mmext.backbones import Backbone
from mmext.backbones.inflate import inflate
from mmext.backbones.names import catalogue
from mmext.registry import MODELS
from tests.backbones.helpers import images, on_meta, uneven, user_error

# A network of each class, cut short where it is deep.
EVERY = {
    'resnet18': {}, 'preact_resnet50': dict(num_stages=2), 'resstage50': dict(num_stages=2),
    'resmax50': dict(num_stages=2), 'iresnet18': {}, 'iresnet50': dict(num_stages=2),
    'resnext50_32x4d': dict(num_stages=2),
    'resgroup50': dict(num_stages=2), 'resgroupfix50': dict(num_stages=2), 'iresgroup50': dict(num_stages=2),
    'iresgroupfix50': dict(num_stages=2), 'cresnet15_a1': dict(num_stages=3), 'cresnet27_b2': dict(num_stages=2),
    'resnet18_recursive': dict(num_stages=3), 'seresnet18_recursive': dict(num_stages=1),
    'resnext29_2x64d_recursive': dict(num_stages=2), 'res2next29_6c24w4s': dict(num_stages=1),
    'rir32': dict(blocks=(1, 2, 1)), 'rir_init32': dict(blocks=(1, 1, 1)), 'all_cnn_c_init': {},
}


def saved(backbone: Backbone, path: Path, prefix: str = '') -> str:
    """As a classifier's or detector's checkpoint, with a head of its own."""
    weights = {prefix + name: value for name, value in backbone.state_dict().items()}
    torch.save(dict(state_dict={**weights, 'fc.weight': torch.zeros(2, 3)}), path)
    return str(path)


def reach(net: Backbone) -> int:
    """How many frames of the input, on either side, a feature may depend on: an upper bound from all kernels."""
    kernels = [module.kernel_size[0] for module in net.modules() if isinstance(module, (nn.Conv3d, nn.MaxPool3d))]
    return sum(kernel // 2 for kernel in kernels) * net.reductions[-1][0]


def still(net: Backbone, image: Tensor, frames: int) -> list[Tensor]:
    with torch.no_grad():
        return list(net(image[:, :, None].expand(-1, -1, frames, -1, -1)))


def test_every_class_is_here() -> None:
    assert {catalogue()[name][0] for name in EVERY} == {cls for cls, _ in catalogue().values()}


@pytest.mark.parametrize('name', EVERY)
@pytest.mark.parametrize('way', ['repeat', 'centre'])
def test_a_still_clip_gives_the_2d_features(name: str, way: str, tmp_path: Path) -> None:
    """With the kernel repeated at the clip's middle, out of reach of temporal padding; with its centre alone anywhere.

    Temporal padding is zeros (a convolution there has fewer taps than its kernel, whose sum is the 2D kernel), so near
    the ends, and in short clips everywhere, a repeated kernel sees less than the 2D network does. Squeeze and
    excitation averages over the whole clip, its ends included, so that with repeated kernels it is never quite exact.
    """
    options = EVERY[name]
    flat = uneven(name, **options).eval()
    inflated = create_backbone(name, dims=3, init_cfg=dict(
        type='Pretrained', checkpoint=saved(flat, tmp_path / 'flat.pth', 'backbone.'), inflate=way), **options).eval()
    inflated.init_weights()
    side = 32 if flat.stem == 'conv7x7' else 14
    image = images(1, 3, side, side)
    with torch.no_grad():
        expected = flat(image)
    tolerance = 1e-2 if way == 'repeat' and name.startswith('se') else 1e-4
    frames = 2 * reach(inflated) + 8 if way == 'repeat' else 4
    for feature, value in zip(still(inflated, image, frames), expected):
        places = range(feature.shape[2]) if way == 'centre' else [feature.shape[2] // 2]
        for place in places:
            assert (feature[:, :, place] - value).norm() <= tolerance * value.norm()


def test_near_the_ends_a_repeated_kernel_sees_zeros(tmp_path: Path) -> None:
    flat = uneven('resnet18', num_stages=1).eval()
    inflated = create_backbone('resnet18', saved(flat, tmp_path / 'flat.pth'), dims=3, num_stages=1).eval()
    image = images(1, 3, 32, 32)
    with torch.no_grad():
        expected, = flat(image)
    feature, = still(inflated, image, 40)
    apart = [(feature[:, :, place] - expected).norm() / expected.norm() for place in range(40)]
    assert min(apart[0], apart[-1]) > 0.01 and max(apart[6:-6]) < 1e-5


@pytest.mark.parametrize(('name', 'prefix'), [('iresnet50', ''), ('iresgroup50', 'backbone.'), ('rir32', 'backbone.')])
def test_every_tensor_arrives(name: str, prefix: str, tmp_path: Path) -> None:
    flat = uneven(name)
    inflated = MODELS.build(dict(type=f'mmext.{type(flat).__name__}3d', **catalogue()[name][1], init_cfg=dict(
        type='Pretrained', checkpoint=saved(flat, tmp_path / 'a.pth', prefix))))
    inflated.init_weights()
    found = inflated.state_dict()
    for key, value in flat.state_dict().items():
        if value.dim() == 4:
            torch.testing.assert_close(found[key].sum(2), value)
            assert torch.equal(found[key], found[key][:, :, :1].expand_as(found[key]))
        else:
            assert torch.equal(found[key], value)


def test_centred_kernels() -> None:
    kernel = images(2, 3, 3, 3)
    own = dict(a=torch.empty(2, 3, 5, 3, 3), b=torch.empty(7), c=torch.empty(2, 3, 3, 3))
    found = inflate(dict(a=kernel, b=kernel[0, 0, 0], c=kernel, d=kernel), own, 'centre')
    assert torch.equal(found['a'][:, :, 2], kernel) and found['a'].count_nonzero() == kernel.numel()
    assert found['b'] is not None and torch.equal(found['c'], kernel) and torch.equal(found['d'], kernel)
    with user_error("inflate='mean'", 'repeat and centre'):
        inflate({}, {}, 'mean')


def test_what_does_not_fit_is_refused_with_names_and_shapes(tmp_path: Path) -> None:
    path = saved(uneven('resnet18'), tmp_path / 'a.pth')
    with user_error('a.pth', 'tensors of IResNet fit', 'missing (', 'layer1.0.'):
        create_backbone('iresnet50', path, dims=3)
    weights = torch.load(path)['state_dict']
    weights['layer2.0.conv1.weight'] = torch.zeros(128, 64, 5, 5)
    torch.save(weights, path)
    with user_error('1 of another shape (layer2.0.conv1.weight (128, 64, 3, 5, 5), here (128, 64, 3, 3, 3))'):
        create_backbone('resnet18', path, dims=3)
    inflated = create_backbone('resnet18', dims=3)
    torch.save(inflated.state_dict(), path)
    assert torch.equal(create_backbone('resnet18', path, dims=3).conv1.weight, inflated.conv1.weight)
    with user_error('conv1.weight (64, 3, 5, 7, 7), here (64, 3, 7, 7)'):
        create_backbone('resnet18', path)


@pytest.mark.parametrize('kernels', [(1, 1, 1, 1), (1, 1, 3, 3), (5, 3, 1, 3)])
@pytest.mark.parametrize('name', ['iresnet18', 'iresnet50', 'cresnet27_b2', 'resnet50_recursive', 'resnext50_32x4d'])
def test_the_temporal_plan(name: str, kernels: tuple[int, ...]) -> None:
    net = on_meta(name, dims=3, stem='conv7x7', temporal_kernels=kernels, stem_temporal_kernel=1)
    assert net.conv1.kernel_size == (1, 7, 7)
    for stage, kernel in enumerate(kernels, 1):
        spans = {module.kernel_size for module in getattr(net, f'layer{stage}').modules()
                 if isinstance(module, nn.Conv3d)}
        assert {size for size in spans if size[1] == 3} == {(kernel, 3, 3)}
        assert {size for size in spans if size[1] == 1} <= {(1, 1, 1)}
    frames = [feature.shape[2] for feature in net.eval()(torch.empty(1, 3, 8, 32, 32, device='meta'))]
    assert frames == [8, 8, 4, 2], 'kernels leave the number of frames alone'


def test_nothing_inflated_is_the_2d_network_frame_by_frame(tmp_path: Path) -> None:
    flat = uneven('iresnet18', num_stages=2).eval()
    net = create_backbone('iresnet18', saved(flat, tmp_path / 'a.pth'), dims=3, num_stages=2, temporal_kernels=(1, 1),
                          stem_temporal_kernel=1).eval()
    clip = images(1, 3, 3, 32, 32)
    with torch.no_grad():
        for t, feature in enumerate(net(clip)[-1].unbind(2)):
            torch.testing.assert_close(feature, flat(clip[:, :, t])[-1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(('options', 'says'), [
    (dict(temporal_kernels=(3, 3)), 'temporal_kernels=(3, 3): need 4'),
    (dict(temporal_kernels=(3, 2, 3, 3)), 'temporal_kernels: 2 is not an odd number of frames'),
    (dict(stem_temporal_kernel=4), 'stem_temporal_kernel: 4 is not an odd'),
    (dict(stem_temporal_kernel=0), 'stem_temporal_kernel: 0 is not an odd'),
    (dict(bare=True), 'bare: returns a single feature map'),
])
def test_what_can_not_be_planned(options: dict, says: str) -> None:
    with user_error(says):
        on_meta('iresnet50', dims=3, **options)


@pytest.mark.parametrize('name', EVERY)
def test_every_class_has_a_name_for_clips(name: str) -> None:
    cls, arguments = catalogue()[name]
    with torch.device('meta'):
        net = MODELS.build(dict(type=f'mmext.{cls.__name__}3d', stem='conv7x7', **arguments))
        several = MODELS.build(dict(type=f'mmext.{cls.__name__}3d', stem='conv7x7', out_indices=(0, 1), **arguments))
    clip = torch.empty(2, 3, 4, 64, 64, device='meta')
    feature = net.eval()(clip)
    assert isinstance(net, cls) and isinstance(feature, torch.Tensor)
    assert feature.shape[:2] == (2, *net.feature_info.channels())
    assert [feature.shape[1] for feature in several.eval()(clip)] == several.feature_info.channels()
    with user_error('dims=2', f'mmext.{cls.__name__}'):
        MODELS.build(dict(type=f'mmext.{cls.__name__}3d', dims=2, **arguments))


def test_channels_last_3d_changes_nothing() -> None:
    net = uneven('iresnet18', dims=3, num_stages=2).eval()
    clip = images(1, 3, 4, 32, 32)
    with torch.no_grad():
        expected = net(clip)
        net = net.to(memory_format=torch.channels_last_3d)
        found = net(clip.to(memory_format=torch.channels_last_3d))
    assert all(module.weight.is_contiguous(memory_format=torch.channels_last_3d) for module in net.modules()
               if isinstance(module, nn.Conv3d))
    for feature, value in zip(found, expected):
        torch.testing.assert_close(feature, value, rtol=1e-4, atol=1e-5)


def test_frozen_stages_and_norm_eval_of_clips() -> None:
    net = uneven('iresnet18', dims=3, num_stages=2, frozen_stages=1, norm_eval=True).train()
    before = {name: value.clone() for name, value in net.named_buffers()}
    net(images(2, 3, 2, 32, 32))[-1].sum().backward()
    assert all(torch.equal(value, before[name]) for name, value in net.named_buffers())
    frozen = {name for name, parameter in net.named_parameters() if parameter.grad is None}
    assert frozen == {name for name, _ in net.named_parameters() if name.startswith(('conv1', 'bn1', 'layer1'))}
