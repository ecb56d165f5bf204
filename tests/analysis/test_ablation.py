"""Parts of networks are switched off, one at a time, and come back as they were."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmext import create_classifier
from mmext.analysis.ablation import Part, ablate, make_figure, parts_of
from mmext.backbones import Backbone
from mmext.figures import write_figure
from tests.backbones.helpers import assert_same, copied, images, uneven, user_error
from tests.classification.helpers import write_cifar10
from tests.conftest import ROOT, error_line
from tests.tools.helpers import here, succeeded

CONFIG = ROOT / 'configs' / 'classification' / 'rir_cifar10.py'
SMALL_RIR = dict(blocks=(1, 1, 1))


class Model(nn.Module):
    """A model of any task."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone


def parts(name: str, what: str | None = None, **options) -> tuple[Backbone, str, list[Part]]:
    net = uneven(name, **options).eval()
    return net, *parts_of(Model(net), what)


def without(net: nn.Module, part: Part, x: Tensor) -> Tensor:
    """What the module of a part gives without it; afterwards all weights are as before."""
    before = copied(net.state_dict())
    module = net.get_submodule(part.name)
    with torch.no_grad(), part.removed():
        found = module(x.clone())
    assert_same(net.state_dict(), before)
    with torch.no_grad():
        assert not torch.allclose(module(x.clone()), found), 'the part has an effect'
    return found


@pytest.mark.parametrize(('name', 'options', 'place', 'expected'), [
    ('resnet18', {}, 'layer2.0', lambda block, x: F.relu(block.downsample(x))),
    ('resnet18', {}, 'layer2.1', lambda block, x: F.relu(x)),
    ('iresnet50', dict(num_stages=1), 'layer1.1', lambda block, x: x),  # a Middle block: no norm ends its branch
    ('iresnet50', dict(num_stages=1), 'layer1.2', lambda block, x: F.relu(block.bn3(x))),  # End
    ('rir_resnet32', SMALL_RIR, 'layer2.0', lambda block, x: F.relu(block.bn2(block.downsample(x)))),
    ('rir32', SMALL_RIR, 'layer1.0', lambda block, x: F.relu(block.bn2(x))),  # not even the identity in its weights
])
def test_without_its_branch_a_block_is_its_shortcut(name: str, options: dict, place: str, expected: Callable) -> None:
    net, what, found = parts(name, 'branches', **options)
    part = next(part for part in found if part.name == place)
    channels = next(iter(net.get_submodule(place).modules())).conv1.in_channels
    x = images(2, channels, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(without(net, part, x), expected(net.get_submodule(place), x))
    assert (what, part.kind) == ('branches', 'branch')


@pytest.mark.parametrize('name', ['seresnet18', 'seresnet18_recursive', 'res2next29_6c24w4s_recursive'])
def test_without_its_branch_a_block_of_a_formula_adds_zero(name: str) -> None:
    """The branch also reaches the next block, by W[i-1] X[i-2]: that is zero as well."""
    options = dict(cardinality=2, base_width=8) if name.startswith('res2') else {}
    net, _, found = parts(name, num_stages=1, **options)
    block = net.get_submodule(found[1].name)
    given = []
    block.register_forward_hook(lambda module, inputs, output: given.append(module.finish_branch(
        module.branch(inputs[0].outputs[0]))))
    with torch.no_grad(), found[1].removed():
        net(images(2, 3, 16, 16))
    assert not given[0].any()
    assert len(found) == len(net.layer1)


def test_the_streams_of_a_layer_are_four_parts() -> None:
    net, what, found = parts('rir_init32', **SMALL_RIR)
    assert what == 'streams' and [part.layer for part in found] == [layer for layer in range(1, 7) for _ in range(4)]
    layer = net.layer2[0].conv1  # 16 to 32 channels
    x = images(2, 16, 6, 6)
    residual, transient = x.clone(), x.clone()
    residual[:, 8:], transient[:, :8] = 0, 0
    for part in (part for part in found if part.name == 'layer2.0.conv1'):
        source, target = part.kind.split(' to ')
        with torch.no_grad():
            out = without(net, part, x)
            seen = transient if source == 'residual' else residual  # what still reaches the target
            rows = slice(0, 16) if target == 'residual' else slice(16, 32)
            others = slice(16, 32) if target == 'residual' else slice(0, 16)
            expected = layer(seen)[:, rows]
            if part.kind == 'residual to residual':  # the identity is not learned
                expected += F.conv2d(residual, layer.identity, stride=layer.stride, padding=1)[:, rows]
            torch.testing.assert_close(out[:, rows], expected)
            torch.testing.assert_close(out[:, others], layer(x)[:, others])


def test_a_jumper_is_left_out_whether_it_has_weights_or_not() -> None:
    net, what, found = parts('cresnet27_a2')
    assert what == 'jumpers' and [part.kind for part in found[:2]] == ['jumper1', 'jumper2']
    block, x = net.layer1[0], images(2, 64, 8, 8)

    def p(k: int, x: Tensor) -> Tensor:
        return F.relu(getattr(block, f'bn{k}')(getattr(block, f'conv{k}')(x)))

    with torch.no_grad():
        one = p(1, x)
        torch.testing.assert_close(without(net, found[0], x), p(3, p(2, one)) + one)
        torch.testing.assert_close(without(net, found[1], x), p(3, p(2, one) + block.jumper1(x)))


def test_each_part_is_evaluated_once(tmp_path: Path) -> None:
    net, what, found = parts('rir32', **SMALL_RIR)
    weights = dict(net.named_parameters())

    def evaluate() -> dict[str, float]:
        zeros = [name for name, weight in weights.items() if name.endswith('conv2.weight') and (weight == 0).any()]
        return {'accuracy/top1': 0.5 if zeros else 0.75, 'accuracy/top5': 1.0}

    metric, intact, losses = ablate(evaluate, found)
    assert (metric, intact, len(losses)) == ('accuracy/top1', 0.75, 24)
    assert {(loss.name.endswith('conv2'), loss.value, loss.change) for loss in losses} == {
        (True, 0.5, -0.25), (False, 0.75, 0.0)}
    assert ablate(evaluate, found[:1], 'accuracy/top5')[0] == 'accuracy/top5'
    with user_error('--metric top1', 'accuracy/top1'):
        ablate(evaluate, found, 'top1')
    figure = make_figure('a title', metric, intact, losses, 'layer')
    assert [line.get_label() for line in figure.axes[0].lines[:5]] == [
        'residual to residual', 'residual to transient', 'transient to residual', 'transient to transient', 'intact']
    write_figure(tmp_path / 'a.png', figure)
    assert (tmp_path / 'a.png').stat().st_size > 10_000


def test_what_can_not_be_switched_off() -> None:
    with user_error('RiR: this network has neither streams'):
        parts('rir_cnn32', **SMALL_RIR)
    with user_error('CResNet: this network has no branches'):
        parts('cresnet15_a1', 'branches')
    with user_error('Model: its backbone Identity is not one of mmext'):
        parts_of(Model(nn.Identity()))


def test_the_command_tests_a_classifier_without_each_of_its_parts(tmp_path: Path) -> None:
    write_cifar10(tmp_path / 'cifar', 24)
    torch.manual_seed(0)
    model = create_classifier('rir32', 10, blocks=(1, 1, 1))
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'net.pth')
    shared = (CONFIG, tmp_path / 'net.pth', '--data-root', tmp_path / 'cifar', '--work-dir', tmp_path / 'run',
              '--cfg-options', 'model.backbone.blocks=[1,1,1]')
    printed = succeeded(here('ablate.py', *shared, '--limit', 20))
    written = json.loads((tmp_path / 'run' / 'ablation.json').read_text())
    assert (written['what'], written['samples'], written['of'], len(written['parts'])) == ('streams', 20, 24, 24)
    assert '20 of 24 samples' in printed and (tmp_path / 'run' / 'ablation.png').is_file()

    succeeded(here('ablate.py', *shared, '--limit', 0, '--what', 'branches', '--metric', 'accuracy/top5', '--out',
                   tmp_path / 'all.json', '--plot', tmp_path / 'all.svg'))
    whole = json.loads((tmp_path / 'all.json').read_text())
    succeeded(here('test.py', *shared, '--out', tmp_path / 'metrics.json'))
    assert whole['intact'] == json.loads((tmp_path / 'metrics.json').read_text())['top5']
    assert [part['name'] for part in whole['parts']] == ['layer1.0', 'layer2.0', 'layer3.0']


@pytest.mark.parametrize(('config', 'flags', 'says'), [
    ('classification/rir_cifar10.py', ('--limit', -1), '--limit -1: need the number'),
    ('classification/rir_cifar10.py', ('--plot', 'a.gif'), '--plot a.gif: need a file name'),
    ('ssd300_resnet50_coco.py', ('--limit', 5), 'not means over samples'),
])
def test_mistakes_are_told_in_one_line(config: str, flags: tuple, says: str, tmp_path: Path) -> None:
    line = error_line(here('ablate.py', ROOT / 'configs' / config, tmp_path / 'none.pth', '--work-dir', tmp_path,
                           *flags))
    assert says in line
