"""Every family computes what the papers define: compared bit for bit with a reference that shares no code with it."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from tests.backbones.helpers import assert_same, copied, images, on_meta, uneven, user_error
from tests.backbones.reference import NETS, Reference, TextbookResNet50


def input_for(name: str) -> torch.Tensor:
    return images(2, 3, 16, 16) if name.endswith('_cifar') else images(2, 3, 48, 48)


@pytest.mark.parametrize('name', NETS)
def test_outputs_and_statistics_are_the_reference_s(name: str) -> None:
    backbone = uneven(name)
    state = copied(backbone.state_dict())
    x = input_for(name)
    for training in (False, True):
        with torch.no_grad():
            found = backbone.train(training)(x)
            expected = Reference(NETS[name], state, training)(x)
        assert len(found) == len(expected)
        assert all(map(torch.equal, found, expected))
        assert_same(backbone.state_dict(), state)  # in training, the running statistics too


def test_resnet50_is_the_textbook_s() -> None:
    backbone, textbook = uneven('resnet50'), TextbookResNet50()
    textbook.load_state_dict(backbone.state_dict())
    x = input_for('resnet50')
    for training in (False, True):
        with torch.no_grad():
            assert all(map(torch.equal, backbone.train(training)(x), textbook.train(training)(x)))
        assert_same(backbone.state_dict(), textbook.state_dict())


@pytest.mark.parametrize('name', ['resnet18', 'preact_resnet50', 'iresnet18', 'iresgroup50', 'iresnet164_cifar'])
def test_gradients_are_the_reference_s(name: str) -> None:
    """The operations in place overwrite nothing that the backward pass needs."""
    backbone = uneven(name).double().train()
    parameters = dict(backbone.named_parameters())
    state = {**copied(backbone.state_dict()), **parameters}
    x = images(2, 3, 16, 16) if name.endswith('_cifar') else images(2, 3, 32, 32)
    found = torch.autograd.grad(sum(out.square().mean() for out in backbone(x.double())), parameters.values())
    features = Reference(NETS[name], state, True)(x.double())
    expected = torch.autograd.grad(sum(out.square().mean() for out in features), parameters.values())
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)
    assert all(gradient.abs().max() > 0 for gradient in found)


@pytest.mark.parametrize('name', ['resnet18', 'resmax50', 'iresnet18', 'iresgroup50'])
@pytest.mark.parametrize(('strides', 'dilations'), [((1, 2, 1, 1), (1, 1, 2, 4)), ((2, 1, 1, 2), (2, 1, 3, 1))])
def test_strides_and_dilations_stand_where_the_reference_has_them(name: str, strides: tuple, dilations: tuple) -> None:
    backbone = uneven(name, strides=strides, dilations=dilations).eval()
    x = images(1, 3, 40, 40)
    with torch.no_grad():
        expected = Reference(NETS[name], backbone.state_dict(), False, strides, dilations)(x)
        assert all(map(torch.equal, backbone(x), expected))


@pytest.mark.parametrize('name', ['resnet18', 'iresnet18'])
@pytest.mark.parametrize(('stem', 'kernels'), [('conv7x7', [7]), ('deep', [3, 3, 3]), ('conv3x3', [3]),
                                               ('conv1x1', [1]), ('conv3x3_twice', [3, 3])])
def test_stems(name: str, stem: str, kernels: list[int]) -> None:
    backbone = uneven(name, stem=stem).eval()
    reached = []
    backbone.layer1.register_forward_pre_hook(lambda stage, given: reached.append(given[0].clone()))
    reference = Reference(NETS[name], backbone.state_dict(), False)
    x = expected = images(1, 3, 32, 32)
    for i, kernel in enumerate(kernels, 1):
        assert backbone.state_dict()[f'conv{i}.weight'].shape[-1] == kernel
        expected = reference.conv(f'conv{i}', expected, 2 if stem in ('conv7x7', 'deep') and i == 1 else 1)
        expected = reference.bn(f'bn{i}', expected).relu()
    if stem in ('conv7x7', 'deep') and name == 'resnet18':
        expected = F.max_pool2d(expected, 3, 2, 1)
    with torch.no_grad():
        backbone(x)
    assert torch.equal(reached[0], expected)


@pytest.mark.parametrize('name', ['resstage50', 'preact_resnet50', 'resgroup50', 'seresnet18', 'resnet18_recursive'])
def test_averaging_projections_of_other_families(name: str) -> None:
    backbone = uneven(name, avg_down=True, num_stages=2).eval()
    block = backbone.layer2[0]
    projections = [module for key, module in block.named_children() if key.startswith('downsample') and module]
    assert len(projections) == (2 if name.endswith('recursive') else 1)
    counts = torch.tensor([[4.0] * 3 + [2]] * 4 + [[2.0] * 3 + [1]])  # of pixels; windows at the edge are smaller
    for branch in projections:
        _, conv, norm = branch
        x = images(1, conv.in_channels, 9, 7)
        means = F.pad(x, (0, 1, 0, 1)).unfold(2, 2, 2).unfold(3, 2, 2).sum((4, 5)) / counts
        with torch.no_grad():
            torch.testing.assert_close(branch(x), norm(F.conv2d(means, conv.weight, conv.bias)))


def test_averaging_projections_keep_their_names_and_sizes() -> None:
    """Whatever the strides are, as SSD300 changes them, and in 3D."""
    plain = on_meta('resnet50_avgdown').state_dict()
    assert list(on_meta('resnet50_avgdown', strides=(1, 2, 1, 1)).state_dict()) == list(plain)
    clips = on_meta('resnet50_avgdown', dims=3)
    assert list(clips.state_dict()) == list(plain)
    assert [getattr(clips.layer2[0].downsample[0], key) for key in ('kernel_size', 'stride')] == [(1, 2, 2)] * 2
    assert clips.layer3[0].downsample[0].kernel_size == (2, 2, 2)
    with torch.no_grad():
        shapes = [tuple(feature.shape[2:]) for feature in clips(torch.empty(1, 3, 5, 33, 47, device='meta'))]
    assert shapes == [(5, 9, 12), (5, 5, 6), (3, 3, 3), (2, 2, 2)]


def test_averaging_where_a_max_pool_is() -> None:
    with user_error('avg_down: the projections of IResNet have a max-pool'):
        on_meta('iresnet18', avg_down=True)
    with user_error('avg_down'):
        on_meta('resnet18_recursive', avg_down='yes')


@pytest.mark.parametrize('name', ['iresnet18', 'iresnet50', 'iresnet164_cifar'])
def test_relu_shortcut_is_the_authors_relu_in_place(name: str) -> None:
    paper, authors = uneven(name).eval(), uneven(name, relu_shortcut=True).eval()
    assert_same(paper.state_dict(), authors.state_dict())
    x = input_for(name)
    with torch.no_grad():
        expected = Reference(NETS[name], authors.state_dict(), False, inplace_relu=True)(x)
        assert all(map(torch.equal, authors(x), expected))
        assert not any(map(torch.equal, paper(x), expected))


@pytest.mark.parametrize('name', ['resnet18', 'preact_resnet50', 'iresnet18', 'iresnet164_cifar'])
@pytest.mark.parametrize('training', [False, True], ids=['eval', 'train'])
def test_a_later_stage_leaves_an_earlier_output_alone(name: str, training: bool) -> None:
    """The ReLUs in place must not write into a feature map that was already returned, nor into the input."""
    backbone = uneven(name).train(training)
    kept = []
    for i in range(1, len(backbone.stages)):
        getattr(backbone, f'layer{i}').register_forward_hook(lambda stage, given, made: kept.append(made.clone()))
    x = input_for(name)
    before = x.clone()
    with torch.no_grad():
        features = backbone(x)
    assert torch.equal(x, before)
    assert all(map(torch.equal, features[:-1], kept))
