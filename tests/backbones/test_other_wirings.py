"""C-ResNet, recursion formulas, RiR and ALL-CNN-C compute what the papers define: outputs, gradients, statistics.

Compared in double precision with references that share no code with the package.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor

from mmext.backbones.formula import FORMULAS
from tests.backbones.helpers import assert_same, copied, images, on_meta, uneven
from tests.backbones.reference import Functions
from tests.backbones.reference_cresnet import CrossReference
from tests.backbones.reference_recursive import PRODUCT, SKIPPED, RecursiveReference
from tests.backbones.reference_rir import AllCNNReference, RiRReference

SMALL = dict(cardinality=2, base_width=8)


def cross(name: str, blocks: tuple[int, ...], stages: int = 2, **options) -> tuple:
    """A C-ResNet's name and options, and what makes its reference."""
    variant = name.rpartition('_')[2]
    factory = partial(CrossReference, variant, blocks[:stages], authors=options.get('authors_wiring', False))
    return name, dict(options, num_stages=stages), factory


def recursive(name: str, branch: str, blocks: tuple[int, ...], groups: int = 1, **options) -> tuple:
    """A recursion network's name and options, and what makes its reference."""
    formula = options.get('formula', 'eq20' if name.endswith('_recursive') else 'resnet')
    factory = partial(RecursiveReference, formula, branch, blocks, groups,
                      from_stem=options.get('initial_state') == 'stem')
    if 'resnext' not in name and 'res2next' not in name:
        options['num_stages'] = len(blocks)
    return name, options, factory


def rir(name: str, variant: str, blocks: tuple[int, ...], count: int = 2, **options) -> tuple:
    """A RiR network's name and options, and what makes its reference."""
    return name, dict(options, blocks=blocks, layers_per_block=count), partial(RiRReference, variant, blocks, count)


CROSS = {
    'cresnet15_a1': (1, 1, 1, 1), 'cresnet18_a': (1, 2, 1, 1), 'cresnet27_a': (2, 2, 2, 2),
    'cresnet27_a1': (2, 2, 2, 2), 'cresnet27_a2': (2, 2, 2, 2), 'cresnet27_b': (1, 1, 1, 1),
    'cresnet27_b1': (1, 1, 1, 1), 'cresnet27_b2': (1, 1, 1, 1), 'cresnet27_b3': (1, 1, 1, 1),
    'cresnet27_c': (2, 2, 2, 2), 'cresnet27_c1': (2, 2, 2, 2),
}
Case = tuple[str, dict, Callable[..., Functions]]
CASES: dict[str, Case] = {
    **{name: cross(name, blocks) for name, blocks in CROSS.items()},
    'cresnet18_a, whole': cross('cresnet18_a', CROSS['cresnet18_a'], stages=4),
    'cresnet27_b1, authors': cross('cresnet27_b1', (1, 1, 1, 1), authors_wiring=True),
    'cresnet27_b3, authors': cross('cresnet27_b3', (1, 1, 1, 1), authors_wiring=True),
    **{f'basic, {formula}': recursive('resnet18_recursive', 'basic', (2, 2, 2), formula=formula)
       for formula in FORMULAS},
    **{f'bottleneck, {formula}': recursive('resnet50_recursive', 'bottleneck', (3, 4), formula=formula)
       for formula in FORMULAS},
    **{f'basic, {formula}, from the stem': recursive('resnet18_recursive', 'basic', (2, 2), formula=formula,
                                                     initial_state='stem')
       for formula in ('eq20', 'appendix1', 'appendix2')},
    'basic, product': recursive('resnet18_recursive', 'basic', (2, 2), formula=PRODUCT),
    'bottleneck, product': recursive('resnet50_recursive', 'bottleneck', (3, 4), formula=PRODUCT),
    'basic, skipped': recursive('resnet18_recursive', 'basic', (2, 2), formula=SKIPPED),
    'bottleneck, skipped': recursive('resnet50_recursive', 'bottleneck', (3, 4), formula=SKIPPED),
    'basic, highway, from the stem': recursive('resnet18_recursive', 'basic', (2, ), formula='highway',
                                               initial_state='stem'),
    'bottleneck, eq20, from the stem': recursive('resnet50_recursive', 'bottleneck', (3, ), initial_state='stem'),
    'seresnet18': recursive('seresnet18', 'basic', (2, 2, 2)),
    'seresnet50': recursive('seresnet50', 'bottleneck', (3, 4)),
    **{f'seresnet18, {formula}': recursive('seresnet18_recursive', 'basic', (2, 2), formula=formula)
       for formula in FORMULAS},
    'seresnet50_recursive': recursive('seresnet50_recursive', 'bottleneck', (3, 4)),
    **{f'resnext29, {formula}': recursive('resnext29_2x64d_recursive', 'bottleneck', (3, 3, 3), 2, formula=formula,
                                          **SMALL) for formula in FORMULAS},
    **{f'res2next29, {formula}': recursive('res2next29_6c24w4s_recursive', 'res2', (3, 3, 3), 2, formula=formula,
                                           **SMALL) for formula in FORMULAS},
    'rir_cnn32': rir('rir_cnn32', 'cnn', (5, 5, 5)),
    'rir_resnet32': rir('rir_resnet32', 'resnet', (5, 5, 5)),
    'rir_init32': rir('rir_init32', 'init', (5, 5, 5)),
    'rir32': rir('rir32', 'rir', (5, 5, 5)),
    'rir18_wide': rir('rir18_wide', 'rir', (2, 3, 3)),
    'rir32, one layer a block': rir('rir32', 'rir', (2, 1, 3), count=1),
    'rir32, six layers a block': rir('rir32', 'rir', (2, 2, 1), count=6),
    'all_cnn_c': ('all_cnn_c', {}, partial(AllCNNReference, False)),
    'all_cnn_c_init': ('all_cnn_c_init', {}, partial(AllCNNReference, True)),
}


def run(forward: Callable[[Tensor], list[Tensor]], x: Tensor, parameters: list[Tensor]) -> tuple[list[Tensor], list]:
    """The outputs, and the gradients of a function of them all; None where a parameter has none."""
    outputs = list(forward(x))
    loss = sum((output * images(*output.shape, seed=i, dtype=x.dtype)).mean() for i, output in enumerate(outputs))
    return outputs, list(torch.autograd.grad(loss, parameters, allow_unused=True))


@pytest.mark.parametrize('case', CASES)
def test_the_reference_agrees(case: str) -> None:
    name, options, reference = CASES[case]
    backbone = uneven(name, **options).double()
    parameters = dict(backbone.named_parameters())
    state = {**copied(backbone.state_dict()), **parameters}
    size = 16 if 'all_cnn' in name else 8
    x = images(2, 3, size, size, dtype=torch.float64)
    for training in (False, True):
        function = reference(state=state, training=training)
        outputs, gradients = run(backbone.train(training), x, list(parameters.values()))
        expected, expected_gradients = run(function, x, list(parameters.values()))
        torch.testing.assert_close(outputs, expected, rtol=1e-6, atol=1e-9)

        given = [key for key, gradient in zip(parameters, gradients) if gradient is not None]
        assert given == [key for key, gradient in zip(parameters, expected_gradients) if gradient is not None]
        gradients, expected_gradients = ([gradient for gradient in found if gradient is not None]
                                         for found in (gradients, expected_gradients))
        largest = max(gradient.abs().max().item() for gradient in expected_gradients)
        torch.testing.assert_close(gradients, expected_gradients, rtol=1e-6, atol=1e-9 * largest)

        buffers = dict(backbone.named_buffers())
        torch.testing.assert_close({key: buffers[key] for key in state if key in buffers},
                                   {key: state[key] for key in state if key in buffers}, rtol=1e-6, atol=1e-9)
        unused = {key.rpartition('.')[0] for key in state} - function.used
        assert unused == ({f'layer{i}.0.jumper3' for i in (1, 2)} if case == 'cresnet27_b3, authors' else set())


@pytest.mark.parametrize(('name', 'part', 'sizes'), [
    ('cresnet27_a1', 'layer2.0.', {'conv1': (128, 64, 3), 'conv2': (128, 128, 3), 'conv3': (128, 128, 3),
                                   'jumper1': (128, 64, 1), 'jumper2': (128, 128, 1)}),
    ('cresnet27_b3', 'layer2.0.', {'conv1': (128, 128, 1), 'conv2': (256, 128, 3), 'conv3': (256, 256, 1),
                                   'conv4': (128, 256, 1), 'conv5': (256, 128, 3), 'conv6': (256, 256, 1),
                                   'jumper1': (128, 128, 1), 'jumper2': (256, 256, 1), 'jumper3': (256, 256, 1)}),
    ('cresnet27_c', 'layer2.0.', {'conv1': (128, 256, 1), 'conv2': (512, 128, 3), 'conv3': (512, 512, 1),
                                  'jumper1': (512, 256, 1), 'jumper2': (512, 128, 1)}),
    ('cresnet27_c1', 'layer2.1.', {'conv1': (128, 512, 1), 'conv2': (128, 128, 3), 'conv3': (512, 128, 1),
                                   'jumper1': (128, 512, 1), 'jumper2': (512, 128, 1)}),
    ('rir32', 'layer2.0.', {'downsample.0': (32, 16, 3), 'conv1': (32, 16, 3), 'conv2': (32, 32, 3)}),
    ('all_cnn_c', '', {'conv1': (96, 3, 3), 'layer1.0.conv1': (96, 96, 3), 'layer2.0.conv1': (96, 96, 3),
                       'layer2.1.conv1': (192, 96, 3), 'layer2.2.conv1': (192, 192, 3),
                       'layer3.0.conv1': (192, 192, 3), 'layer3.1.conv1': (192, 192, 3),
                       'layer3.2.conv1': (192, 192, 1)}),
])
def test_convolutions_have_the_sizes_of_the_paper(name: str, part: str, sizes: dict[str, tuple]) -> None:
    """Out and in channels and kernel; the references take these from the weights."""
    weights = {key.removeprefix(part).removesuffix('.weight'): (*value.shape[:2], value.shape[-1])
               for key, value in on_meta(name).state_dict().items() if key.startswith(part) and value.dim() == 4}
    assert weights == sizes


@pytest.mark.parametrize('depth', [18, 50])
def test_the_formula_of_resnet_is_resnet(depth: int) -> None:
    """The same names, and bit for bit the same outputs, gradients and statistics."""
    plain = uneven(f'resnet{depth}', stem='conv3x3', num_stages=3).train()
    other = uneven(f'resnet{depth}_recursive', seed=1, formula='resnet', num_stages=3).train()
    assert list(other.state_dict()) == list(plain.state_dict())
    other.load_state_dict(plain.state_dict())
    x = images(2, 3, 16, 16)
    found, expected = ([*run(net, x, list(net.parameters()))[0], *run(net, x, list(net.parameters()))[1]]
                       for net in (other, plain))
    assert all(map(torch.equal, found, expected))
    assert_same(other.state_dict(), plain.state_dict())


@pytest.mark.parametrize('variant', ['b1', 'b3'])
def test_the_authors_wiring_has_the_same_weights_and_another_result(variant: str) -> None:
    paper, authors = (uneven(f'cresnet27_{variant}', num_stages=2, **options).eval()
                      for options in ({}, dict(authors_wiring=True)))
    assert_same(paper.state_dict(), authors.state_dict())
    with torch.no_grad():
        assert not any(map(torch.equal, paper(images(1, 3, 8, 8)), authors(images(1, 3, 8, 8))))


@pytest.mark.parametrize('case', ['cresnet18_a, whole', 'cresnet27_b1, authors', 'basic, eq20', 'basic, eq21',
                                  'seresnet18, appendix1', 'res2next29, appendix2', 'rir_resnet32', 'rir32',
                                  'all_cnn_c'])
@pytest.mark.parametrize('training', [False, True], ids=['eval', 'train'])
def test_a_later_block_leaves_earlier_states_alone(case: str, training: bool) -> None:
    """No operation in place writes into what a block has handed on, nor into the input."""
    name, options, _ = CASES[case]
    backbone = uneven(name, **options).train(training)
    kept = []

    def keep(block: torch.nn.Module, given: tuple, made) -> None:
        tensors = [made] if isinstance(made, Tensor) else [*made.outputs, *made.branches, made.origin]
        kept.extend((tensor, tensor.clone()) for tensor in tensors if tensor is not None)

    for i in range(1, len(backbone.stages) + 1):
        for block in getattr(backbone, f'layer{i}'):
            block.register_forward_hook(keep)
    x = images(2, 3, 16, 16)
    before = x.clone()
    with torch.no_grad():
        backbone(x)
    assert torch.equal(x, before)
    assert len(kept) >= sum(stage.blocks for stage in backbone.stages)
    assert all(torch.equal(now, then) for now, then in kept)
