"""Every argument of every family, with values of a wrong type or out of range: a network that computes, or one line."""

from __future__ import annotations

import inspect

import pytest
import torch

from mmext import create_backbone, create_classifier
from mmext.backbones import Backbone
from mmext.backbones.names import families
from mmext.classification import Classifier, ImagePreprocessor
from mmext.errors import UserError
from mmext.registry import MODELS
from tests.backbones.helpers import user_error

SMALL = dict(CResNet=dict(depth=18, variant='a'), PreActResNet=dict(depth=50), ResStage=dict(depth=50),
             ResMax=dict(depth=50), ResNeXt=dict(depth=50), **{f'{i}ResGroup{fix}': dict(depth=50) for i in ('', 'I')
                                                               for fix in ('', 'Fix')},
             RecursiveResNeXt={}, RecursiveRes2NeXt={}, RiR={}, AllCNN={})
VALUES = (True, -1, 0, 2.0, 10**9, 2**70, float('nan'), float('inf'), 'x', '', b'x', (), [1], (-1, ), (True, 1, 1, 1),
          (1., 2, 2, 2), ('1', '2', '3', '4'), {}, {'type': 'Nope'}, object(), torch.ones(2), {1, 2}, slice(1), int)
NORMS = ('BN', 7, {'type': 1}, {'type': None}, {'type': 'BN', 'nope': 1}, {'type': 'BN', 'eps': 'x'},
         {'type': 'BN', 'eps': -1}, {'type': 'BN', 'momentum': 'x'}, {'type': 'BN', 'momentum': 7},
         {'type': 'BN', 'requires_grad': 'x'}, {'type': 'GN', 'num_groups': 0}, {'type': 'GN', 'num_groups': 'x'},
         {'type': 'LN'}, {'type': 'BN1d'}, {'type': 'Conv2d'}, {'type': 'ReLU'})
INITS = ('x', 7, ['x'], [{}], [{'type': 'Nope'}], {'type': 7}, {'type': 'Pretrained', 'checkpoint': 7})


def arguments(family: type[Backbone]) -> list[str]:
    """Of the family alone; those of all are tried on ResNet."""
    classes = [cls for cls in family.__mro__ if '__init__' in vars(cls) and issubclass(cls, Backbone)]
    if family.__name__ != 'ResNet':
        classes.remove(Backbone)
    names = {name: None for cls in classes for name, parameter in inspect.signature(cls.__init__).parameters.items()
             if name != 'self' and parameter.kind is not parameter.VAR_KEYWORD}
    return ['depth', *(name for name in names if name != 'depth')]


CASES = [(f'{family.__name__}{form}', name) for family in families() if family.__module__.startswith('mmext.')
         for form in ('', '3d') for name in arguments(family)]


@pytest.mark.parametrize(('kind', 'argument'), CASES)
def test_an_argument(kind: str, argument: str):
    family = MODELS.module_dict[kind]
    given = SMALL.get(kind.removesuffix('3d'), dict(depth=18))
    values = VALUES + dict(norm_cfg=NORMS, init_cfg=INITS).get(argument, ())
    wrong = []
    refused = 0
    for value in values:
        options = {'num_stages': 1, **given, argument: value}
        try:
            with torch.device('meta'):
                net = family(**options).eval()
                size = net.smallest_input
                shape = (1, net.conv1.in_channels, *((8, ) if net.dims == 3 else ()), size, size)
                if size < 10_000:
                    net(torch.empty(shape))
        except UserError as error:
            refused += 1
            if '\n' in str(error):
                wrong.append((value, 'more than one line'))
        except Exception as error:
            wrong.append((value, f'{type(error).__name__}: {error}'))
    assert not wrong, '\n'.join(map(str, wrong))
    assert refused >= (len(values) - 4 if argument not in ('in_channels', 'stem_temporal_stride') else 15)


def test_a_family_without_its_variant():
    with user_error('CResNet has no variant None', 'a, a1, a2'):
        MODELS.module_dict['CResNet'](27)


@pytest.mark.parametrize('name', [None, 7, ['iresnet50'], b'iresnet50'])
def test_a_name_that_is_none(name: object):
    with user_error('no backbone', 'need a name'):
        create_backbone(name)


@pytest.mark.parametrize('classes', [0, -1, '10', 2.5, True, 10**10])
def test_a_number_of_classes(classes: object):
    with user_error('num_classes'):
        create_classifier('rir32', classes)


@pytest.mark.parametrize('backbone', [None, 7, 'iresnet18', torch.nn.ReLU()])
def test_a_classifier_on_no_backbone(backbone: object):
    with user_error('backbone=', "dict(type='mmext.IResNet', depth=50)"):
        Classifier(backbone, 10)


@pytest.mark.parametrize('options', [dict(mean='x'), dict(mean=7), dict(mean=()), dict(std=(0., )), dict(
    std=(1., float('nan'), 1.)), dict(std=(True, )), dict(mean=(1., 'x')), dict(mean=(1., ), std=(1., 2.)),
    dict(mean=(float('inf'), ), std=(1., ))])
def test_numbers_that_normalise_nothing(options: dict):
    with user_error('ImagePreprocessor'):
        ImagePreprocessor(**options)
