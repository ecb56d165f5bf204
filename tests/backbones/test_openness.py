"""Networks answer as timm's and torchvision's do: names, features, families of the user's, published weights."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

import pytest
import torch

import mmext
from mmext import create_backbone, list_backbones
from mmext.backbones import ResNet
from mmext.backbones.plan import basic
from mmext.backbones.register import register_backbone
from mmext.checkpoints import source as checkpoint_source
from mmext.checkpoints.zoo import resolve_source
from mmext.registry import MODELS
from tests.backbones.helpers import on_meta, uneven, user_error


def define(depth: int = 18, name: str = 'Cell', family: str = 'cell_net', module: str = __name__) -> type:
    """A class as a notebook's cell makes it."""
    return register_backbone(type(name, (ResNet, ), {
        'paper': 'other', 'family': family, 'archs': {depth: basic(depth)}, '__module__': module,
        '__qualname__': name}))


def test_a_family_of_the_user_s_is_found_replaced_and_pickled(monkeypatch: pytest.MonkeyPatch) -> None:
    list_backbones()
    first = define()
    monkeypatch.setattr(sys.modules[__name__], 'Cell', first, raising=False)
    assert list_backbones('cell_net*') == ['cell_net18']
    again = define(34)
    monkeypatch.setattr(sys.modules[__name__], 'Cell', again)
    assert list_backbones('cell_net*') == ['cell_net34']
    assert type(create_backbone('cell_net34', num_stages=1)) is MODELS.get('Cell') is again
    with torch.device('meta'):
        clips = MODELS.build(dict(type='mmext.Cell3d', depth=34))
    assert type(pickle.loads(pickle.dumps(clips))) is MODELS.get('Cell3d')


def test_a_taken_name_is_refused() -> None:
    with user_error('mmext.backbones.resnet.ResNet is mmext.ResNet already'):
        define(name='ResNet')
    with user_error("ResNet has a network 'resnet18' already", 'another family'):
        define(name='Other', family='resnet')


def test_dir_shows_what_there_is() -> None:
    assert set(mmext.__all__) <= set(dir(mmext))


def test_stages_count_from_the_end() -> None:
    assert on_meta('resnet18', out_indices=(-1, )).out_indices == (3, )
    assert on_meta('resnet18', out_indices=(1, -1), num_stages=3).feature_info.channels() == [128, 256]


def test_feature_info_answers_as_timm_s() -> None:
    info = on_meta('resnet50', out_indices=(1, 3)).feature_info
    assert (info[0]['num_chs'], info[1]['reduction'], info[-1]['module']) == (512, 32, 'layer4')
    assert info.dicts() == [dict(module='layer2', num_chs=512, reduction=8), dict(module='layer4', num_chs=2048,
                                                                                  reduction=32)]
    assert info.module_name() == ['layer2', 'layer4']
    assert info[0] == ('layer2', 512, 8)
    with user_error("no key 'stride'", 'num_chs'):
        info[0]['stride']


@pytest.mark.parametrize(('source', 'url'), [
    ('torchvision://resnet50', 'https://download.pytorch.org/models/resnet50-0676ba61.pth'),
    ('modelzoo://resnet18', 'https://download.pytorch.org/models/resnet18-f37072fd.pth'),
    ('open-mmlab://resnext50_32x4d', 'https://download.openmmlab.com/pretrain/third_party/resnext50-32x4d-0ab1a123.pth'),
    ('openmmlab://contrib/resnet50_gn',
     'https://download.openmmlab.com/pretrain/third_party/resnet50_gn_thangvubk-ad1730dd.pth'),
    ('work_dirs/epoch_1.pth', 'work_dirs/epoch_1.pth'), ('https://a.b/c.pth', 'https://a.b/c.pth'),
])
def test_a_short_name_is_a_url(source: str, url: str) -> None:
    assert resolve_source(source) == url


@pytest.mark.parametrize('prefix', ['torchvision://', 'modelzoo://', 'open-mmlab://', 'openmmlab://', 'mmcls://'])
def test_an_unknown_short_name_is_refused(prefix: str) -> None:
    with user_error(f'{prefix}resnet5O: there are no such weights'):
        resolve_source(f'{prefix}resnet5O')


@pytest.mark.parametrize('name', ['resnet50_caffe', 'detectron2/resnet101_caffe'])
def test_weights_of_another_network_are_refused(name: str) -> None:
    with user_error('first 1x1 convolution'):
        create_backbone('resnet50', init_cfg=dict(type='Pretrained', checkpoint=f'open-mmlab://{name}')).init_weights()


def test_torchvision_s_weights_load_as_openmmlab_writes_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    trained = uneven('resnet18', seed=3)
    published = {**trained.state_dict(), 'fc.weight': torch.zeros(1000, 512), 'fc.bias': torch.zeros(1000)}
    asked = []
    file = tmp_path / 'resnet18.pth'
    torch.save(published, file)
    monkeypatch.setattr(checkpoint_source, 'download', lambda url: asked.append(url) or file)
    net = create_backbone('resnet18', init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet18'))
    net.init_weights()
    assert asked == ['https://download.pytorch.org/models/resnet18-f37072fd.pth']
    assert all(torch.equal(value, trained.state_dict()[key]) for key, value in net.state_dict().items())
