"""The signal at initialisation: ReLUs on the main path, what they zero, and gradients, against what is known."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mmext import create_backbone
from mmext.analysis.signals import Recorder, magnitudes, main_path, measure
from tests.backbones.helpers import images, on_meta
from tests.conftest import error_line
from tests.tools.helpers import here, succeeded


@pytest.mark.parametrize(('name', 'relus'), [
    ('resnet50', 16), ('resnet50d', 16), ('resnet50_avgdown', 16), ('preact_resnet50', 1), ('resstage50', 4),
    ('iresnet50', 4), ('iresnet200', 4), ('iresnet164_cifar', 3), ('resnet164_cifar', 54), ('iresgroup50', 4),
    ('rir_cnn32', 30), ('rir32', 15), ('all_cnn_c', 7),
    # By jumpers a block has one; by the branches that eq. 20 passes on, every second block.
    ('cresnet27_a', 8), ('resnet18_recursive', 4),
])
def test_relus_on_the_main_path(name: str, relus: int) -> None:
    """The paper counts one a block for ResNet, and one a stage for ResStage; pre-activation has the closing one."""
    net = on_meta(name)
    stem = 3 if net.stem == 'deep' else 2 if net.stem == 'conv3x3_twice' else 1
    found = main_path(net)
    assert found[0] == ('relu', 0) and len(found) == relus + stem


def test_a_relu_is_named_by_its_module_and_call() -> None:
    """A bottleneck calls its only ReLU three times, and the third is on the main path."""
    assert main_path(on_meta('resnet50'))[:3] == [('relu', 0), ('layer1.0.relu', 2), ('layer1.1.relu', 2)]


@pytest.mark.parametrize('name', ['resnet18', 'preact_resnet50', 'iresnet50'])
def test_shares_and_gradients_are_those_of_the_tensors(name: str) -> None:
    torch.manual_seed(0)
    net = create_backbone(name, num_stages=1)
    x = images(2, 3, 32, 32)
    signal = measure(name, net, x, seed=3)
    names = list(dict(net.named_blocks()))
    assert [block.block for block in signal.blocks] == names

    sums, outputs = {}, {}
    for place in names:
        block = net.get_submodule(place)
        end = dict(resnet18='bn2').get(name, 'bn3')
        if name == 'iresnet50' and place == names[-1]:  # End: a norm and a ReLU after the addition
            getattr(block, end).register_forward_hook(
                lambda module, given, made, place=place: sums.__setitem__(place, made.clone()))
        block.register_forward_hook(lambda module, given, made, place=place: outputs.__setitem__(place, made))
    for value in net.modules():
        if isinstance(value, torch.nn.BatchNorm2d):
            value.reset_running_stats()
    feature = net.train()(x)[-1].flatten(2).mean(2)
    generator = torch.Generator().manual_seed(3)
    weight = torch.randn(10, feature.shape[1], generator=generator) / feature.shape[1] ** 0.5
    labels = torch.randint(10, (2, ), generator=generator)
    gradients = torch.autograd.grad(F.cross_entropy(feature @ weight.T, labels), list(outputs.values()))
    assert [block.gradient for block in signal.blocks] == pytest.approx([float(g.norm()) for g in gradients], rel=1e-5)
    for block in signal.blocks:
        if name == 'resnet18':
            assert 0 < block.zeroed == block.negative < 1 and magnitudes(outputs[block.block])[0] == 0
        else:
            seen = sums.get(block.block, outputs[block.block])
            negative, total = magnitudes(seen)
            assert block.negative == pytest.approx(negative / total, rel=1e-5)
            assert (block.zeroed > 0) is (block.block in sums)
    assert signal.zeroed == {'resnet18': 1, 'preact_resnet50': 0}.get(name, signal.zeroed)
    assert not any(value.grad is not None for value in net.parameters())


def test_a_recorder_leaves_no_hooks() -> None:
    net = create_backbone('resnet18', num_stages=1)
    with Recorder(net).attached():
        assert any(module._forward_pre_hooks for module in net.modules())
    assert not any(module._forward_pre_hooks or module._forward_hooks for module in net.modules())


def test_the_command_makes_a_page(tmp_path: Path) -> None:
    photos = tmp_path / 'photos'
    photos.mkdir()
    for i in range(3):
        noise = np.random.default_rng(i).integers(0, 256, (40, 60, 3), np.uint8)
        cv2.imwrite(str(photos / f'{i}.png'), noise)
    out = tmp_path / 'page.png'
    printed = succeeded(here('signal_view.py', 'resnet18', 'iresnet18', 'rir3?', '--batch', 2, '--size', 32, '--images',
                             photos, '--out', out))
    written = json.loads(out.with_suffix('.json').read_text())
    found = {network['name']: network['relus'] for network in written['networks']}
    assert found == {'resnet18': 8, 'iresnet18': 4, 'rir32': 15}
    assert all(name in printed for name in found)
    assert cv2.imread(str(out)).shape[1] > 1000


@pytest.mark.parametrize(('arguments', 'says'), [
    (('resnet51', ), "no backbone 'resnet51'; did you mean"), (('resnet18', '--batch', 1), '--batch 1: need a number'),
    (('resnet18', '--out', 'a.gif'), '--out a.gif: need a file name'),
    (('resnet18', '--images', 'none'), '--images none: no such folder'),
])
def test_mistakes_are_told_in_one_line(arguments: tuple, says: str) -> None:
    assert says in error_line(here('signal_view.py', *arguments))
