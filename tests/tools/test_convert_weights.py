"""tools/convert_weights.py: to the C-ResNet authors', torchvision's and timm's names, and back, without a loss."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from mmext import create_classifier
from mmext.backbones.trained import Trained
from mmext.checkpoints import read_checkpoint, weights_of
from tests.backbones.helpers import assert_same, images
from tests.conftest import error_line
from tests.tools.authors_cresnet import NETWORKS, Authors
from tests.tools.helpers import here, succeeded
from tests.tools.timm_resnet50d import TimmResNet50d

STEM = {name: ('--stem', 'conv3x3_twice') if name.startswith('resnet') else () for name in NETWORKS}


def hollow(name: str, num_classes: int = 5, **options) -> dict[str, Tensor]:
    """A classifier's weights, each of one number that no other has: a small file for a large net."""
    with torch.device('meta'):
        state = create_classifier(name, num_classes, **options).state_dict()
    return {key: torch.tensor(float(i)).expand(value.shape) for i, (key, value) in enumerate(state.items())}


def saved(path: Path, weights: object) -> Path:
    torch.save(weights, path)
    return path


def convert(source: Path, target: Path, name: str, *flags: str) -> dict[str, Tensor]:
    """What the command writes; it says where each tensor went."""
    printed = succeeded(here('convert_weights.py', source, target, '--backbone', name, *flags))
    before, after = (weights_of(read_checkpoint(path)) for path in (source, target))
    assert f'{target}: {len(after)} of {len(before)} tensors' in printed
    told = dict(line.split(' -> ') for line in printed.splitlines() if ' -> ' in line)
    assert set(told) == set(before) and set(told.values()) == set(after)
    assert all(torch.equal(before[old], after[new]) for old, new in told.items())
    return after


def norm(name: str) -> list[str]:
    return [f'{name}.{part}' for part in ('weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked')]


# As torchvision.models.resnet18().state_dict() has them.
RESNET18 = ['conv1.weight', *norm('bn1')]
for stage, block in itertools.product('1234', '01'):
    place = f'layer{stage}.{block}.'
    RESNET18 += [f'{place}conv1.weight', *norm(f'{place}bn1'), f'{place}conv2.weight', *norm(f'{place}bn2')]
    if block == '0' and stage != '1':
        RESNET18 += [f'{place}downsample.0.weight', *norm(f'{place}downsample.1')]
RESNET18 += ['fc.weight', 'fc.bias']


def test_torchvision_s_resnet18(tmp_path: Path):
    theirs = convert(saved(tmp_path / 'ours.pth', dict(state_dict=hollow('resnet18'))), tmp_path / 'theirs.pth',
                     'resnet18', '--target', 'torchvision')
    assert sorted(theirs) == sorted(RESNET18) and len(theirs) == 122
    assert torch.load(tmp_path / 'theirs.pth').keys() == theirs.keys(), 'a bare state dict, as torchvision loads'
    shapes = {'conv1.weight': (64, 3, 7, 7), 'layer3.0.conv1.weight': (256, 128, 3, 3), 'fc.weight': (5, 512),
              'layer4.0.downsample.0.weight': (512, 256, 1, 1), 'layer4.1.bn2.running_var': (512, )}
    assert {key: tuple(theirs[key].shape) for key in shapes} == shapes


@pytest.mark.parametrize(('name', 'count', 'shapes'), [
    ('resnet18', 122, {}),
    ('resnet50', 320, {'layer1.0.downsample.0.weight': (256, 64, 1, 1), 'layer2.0.conv2.weight': (128, 128, 3, 3)}),
    ('resnext50_32x4d', 320, {'layer1.0.conv2.weight': (128, 4, 3, 3), 'layer4.2.conv3.weight': (2048, 1024, 1, 1)}),
])
@pytest.mark.parametrize('code', ['torchvision', 'timm'])
def test_there_and_back(name: str, count: int, shapes: dict, code: str, tmp_path: Path):
    ours = hollow(name)
    theirs = convert(saved(tmp_path / 'ours.pth', dict(state_dict=ours)), tmp_path / 'theirs.pth', name, '--target',
                     code)
    assert len(theirs) == count and {key: tuple(theirs[key].shape) for key in shapes} == shapes
    assert_same(convert(tmp_path / 'theirs.pth', tmp_path / 'back.pth', name, '--source', code), ours)


@pytest.mark.parametrize('name', NETWORKS)
def test_to_the_authors_names_and_back(name: str, tmp_path: Path):
    ours = hollow(name, stem='conv3x3_twice')
    with torch.device('meta'):
        named = Authors(name, 5).state_dict()
    theirs = convert(saved(tmp_path / 'ours.pth', ours), tmp_path / 'theirs.pth', name, *STEM[name], '--target',
                     'cresnet')
    assert {key: value.shape for key, value in theirs.items()} == {key: value.shape for key, value in named.items()}
    assert_same(convert(tmp_path / 'theirs.pth', tmp_path / 'back.pth', name, *STEM[name], '--source', 'cresnet'), ours)


def filled(model: nn.Module) -> nn.Module:
    """A model on the meta device -> the same with uneven numbers, in eval mode."""
    generator = torch.Generator().manual_seed(0)
    model = model.to_empty(device='cpu').eval()
    for name, value in model.state_dict().items():
        if value.dim() > 1:
            value.normal_(std=value[0].numel() ** -0.5, generator=generator)
        elif name.endswith(('weight', 'running_var')):
            value.uniform_(0.5, 1.5, generator=generator)
        elif value.is_floating_point():
            value.normal_(std=0.3, generator=generator)
        else:
            value.fill_(7)
    return model


@pytest.mark.parametrize('name', NETWORKS)
def test_the_authors_network_computes_the_same_here(name: str, tmp_path: Path):
    with torch.device('meta'):
        theirs = Authors(name, 5)
    theirs = filled(theirs)
    source = saved(tmp_path / 'authors.pt', dict(epoch=500, state_dict=theirs.state_dict()))
    ours = convert(source, tmp_path / 'ours.pth', name, '--source', 'cresnet', *STEM[name])
    assert len(ours) == len(theirs.state_dict())

    # As mmext.create_classifier(name, 5, tmp_path / 'ours.pth', ...) does, without filling 20 million weights first.
    wiring = dict(authors_wiring=True) if name.endswith(('b1', 'b3')) else {}
    with torch.device('meta'):
        model = create_classifier(name, 5, stem='conv3x3_twice', **wiring).eval()
        paper = create_classifier(name, 5).eval() if wiring else None
    x = images(2, 3, 16, 16)
    with torch.no_grad():
        expected = theirs(x)
        torch.testing.assert_close(loaded(model, ours)(x), expected, rtol=1e-4, atol=1e-5)
        assert expected.std() > 0.05, 'so small logits tell nothing'
        if paper:
            assert not torch.allclose(loaded(paper, ours)(x), expected, rtol=1e-2), 'the paper wires it otherwise'


def loaded(model: nn.Module, weights: Mapping[str, Tensor]) -> nn.Module:
    model.load_state_dict(weights, assign=True)
    return model


@pytest.mark.parametrize('side', [32, 37])
def test_timm_s_resnet50d_computes_the_same_here(side: int, tmp_path: Path):
    with torch.device('meta'):
        theirs, model = TimmResNet50d(5), create_classifier('resnet50d', 5).eval()
    theirs = filled(theirs)
    source = saved(tmp_path / 'timm.pth', theirs.state_dict())
    ours = convert(source, tmp_path / 'ours.pth', 'resnet50d', '--source', 'timm')
    x = images(2, 3, side, side)
    with torch.no_grad():
        expected = theirs(x)
        torch.testing.assert_close(loaded(model, ours)(x), expected, rtol=1e-4, atol=1e-5)
    assert expected.std() > 0.05, 'so small logits tell nothing'
    back = convert(tmp_path / 'ours.pth', tmp_path / 'back.pth', 'resnet50d', '--target', 'timm')
    assert_same(dict(sorted(back.items())), dict(sorted(theirs.state_dict().items())))


def test_what_the_authors_wire_otherwise_is_said(tmp_path: Path):
    for name, says in (('cresnet27_b1', True), ('cresnet27_b3', True), ('cresnet27_b2', False)):
        with torch.device('meta'):
            names = Authors(name, 5).state_dict()
        weights = {key: torch.zeros(()).expand(value.shape) for key, value in names.items()}
        printed = succeeded(here('convert_weights.py', saved(tmp_path / 'authors.pt', weights), tmp_path / 'ours.pth',
                                 '--backbone', name, '--source', 'cresnet'))
        assert (f'build {name} with authors_wiring=True' in printed) is says


def test_old_weights_into_the_python_api(tmp_path: Path):
    """Weights older than torch 0.4.1, as torchvision's first were: without num_batches_tracked."""
    theirs = {name.removeprefix('backbone.'): value + torch.zeros_like(value, memory_format=torch.contiguous_format)
              for name, value in hollow('resnet18').items() if 'num_batches' not in name}
    succeeded(here('convert_weights.py', saved(tmp_path / 'theirs.pth', theirs), tmp_path / 'new' / 'ours.pth',
                   '--backbone', 'resnet18', '--source', 'torchvision'))
    model = create_classifier('resnet18', 5, tmp_path / 'new' / 'ours.pth')
    assert torch.equal(model.backbone.layer4[1].bn2.running_mean, theirs['layer4.1.bn2.running_mean'])
    assert torch.equal(model.fc.bias, theirs['fc.bias'])


def broken(kind: str, path: Path) -> Path:
    """A file of resnet18's weights that is unusable in one way."""
    weights = {name.removeprefix('backbone.'): value for name, value in hollow('resnet18').items()}
    if kind == 'left over':
        weights['aux.weight'] = torch.zeros(3)
    elif kind == 'missing':
        del weights['layer2.0.bn1.bias']
    elif kind == 'another shape':
        weights['layer2.0.bn1.bias'] = torch.zeros(3)
    elif kind == 'no head':
        weights = {name: value for name, value in weights.items() if not name.startswith('fc')}
    elif kind == 'of another class':
        weights = [*weights.values()]
    saved(path, weights)
    if kind == 'cut short':
        path.write_bytes(path.read_bytes()[:-300])
    return path


TORCHVISION = ('--backbone', 'resnet18', '--source', 'torchvision')


@pytest.mark.parametrize(('kind', 'flags', 'says'), [
    ('left over', TORCHVISION, '122 of its 123 tensors can be renamed; 1 left over (aux.weight)'),
    ('missing', TORCHVISION, '121 of its 121 tensors can be renamed; 1 missing (layer2.0.bn1.bias)'),
    ('another shape', TORCHVISION, '1 of another shape (backbone.layer2.0.bn1.bias (3,), here (128,))'),
    ('no head', TORCHVISION, 'no fc.weight or linear.weight'),
    ('of another class', TORCHVISION, 'holds a list'),
    ('cut short', TORCHVISION, 'not a readable checkpoint'),
    ('whole', ('--backbone', 'resnet34', '--source', 'torchvision'), 'missing (layer1.2.conv1.weight'),
    ('whole', ('--backbone', 'resnet18', '--source', 'cresnet', '--stem', 'conv3x3_twice'), '22 missing (conv0'),
    ('whole', ('--backbone', 'resnet18', '--source', 'cresnet'), 'their baselines need --stem conv3x3_twice'),
    ('whole', ('--backbone', 'resnet50d', '--source', 'torchvision'), 'torchvision has no network with avg_down'),
    ('whole', ('--backbone', 'seresnet18', '--source', 'timm'), 'they have no ReLU before squeeze and excitation'),
    ('whole', ('--backbone', 'iresnet18', '--source', 'timm'), 'torchvision and timm have no IResNet'),
    ('whole', ('--backbone', 'resnet18', '--stem', 'conv3x3', '--source', 'timm'), 'no ResNet with the stem conv3x3'),
    ('whole', ('--backbone', 'resnet18', '--target', 'timm'), '2 of the 122 tensors'),  # it has not our names
    ('whole', ('--backbone', 'resnet81', '--source', 'timm'), "no backbone 'resnet81'; did you mean"),
    ('whole', ('--backbone', 'resnet18', '--stem', 'conv5x5', '--source', 'timm'), "no stem 'conv5x5'"),
    ('whole', ('--backbone', 'resnet18'), 'one of the two must be mmext'),
    ('whole', ('--backbone', 'resnet18', '--source', 'timm', '--target', 'cresnet'), 'one of the two must be mmext'),
])
def test_what_can_not_be_converted_leaves_no_file(kind: str, flags: tuple[str, ...], says: str, tmp_path: Path):
    source, target = broken(kind, tmp_path / 'weights.pth'), tmp_path / 'out' / 'ours.pth'
    line = error_line(here('convert_weights.py', source, target, *flags))
    assert says in line
    assert not target.parent.exists() or not list(target.parent.iterdir())


def test_files_that_are_not_there_or_can_not_be_written(tmp_path: Path):
    source = broken('whole', tmp_path / 'weights.pth')

    def refused(path: Path, target: Path) -> str:
        return error_line(here('convert_weights.py', path, target, *TORCHVISION))

    assert f'{tmp_path}/none.pth: no such checkpoint' in refused(tmp_path / 'none.pth', tmp_path / 'ours.pth')
    line = refused(source, source / 'ours.pth')
    assert "can't write there" in line and 'the second argument' in line
    (tmp_path / 'folder').mkdir()
    assert f"{tmp_path}/folder: can't write there (it is a folder)" in refused(source, tmp_path / 'folder')
    assert sorted(path.name for path in tmp_path.rglob('*')) == ['folder', 'weights.pth']


def test_a_model_of_any_kind_becomes_safetensors(tmp_path: Path):
    """And back: the weights, and the names of the classes."""
    weights = {'backbone.conv1.weight': torch.randn(2, 3), 'head.n': torch.tensor(3)}
    source = saved(tmp_path / 'a.pth', dict(state_dict=weights, meta=dict(dataset_meta=dict(classes=('é', 'b')))))
    for before, after in (('a.pth', 'b.safetensors'), ('b.safetensors', 'c.pth')):
        assert '2 tensors, 2 class names' in succeeded(here('convert_weights.py', tmp_path / before, tmp_path / after))
    one, other = (Trained.read(str(path)) for path in (source, tmp_path / 'c.pth'))
    assert one.classes == other.classes == ('é', 'b')
    assert all(torch.equal(value, other.weights[name]) for name, value in weights.items())
    unnamed = here('convert_weights.py', source, tmp_path / 'd.pth', '--source', 'timm')
    assert 'give the network whose names' in error_line(unnamed)
