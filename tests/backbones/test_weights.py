"""Weights arrive completely from every kind of file, or are refused in one line."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from mmengine.runner import save_checkpoint
from torch import Tensor

from mmext import create_backbone
from mmext.backbones.weights import load_pretrained
from mmext.classification import Classifier
from tests.backbones.helpers import assert_same, copied, on_meta, uneven, user_error

NAME = 'iresnet164_cifar'  # the smallest


@pytest.fixture(scope='module')
def state() -> dict[str, Tensor]:
    """The weights that a file should bring."""
    return copied(uneven(NAME, seed=7).state_dict())


def prefixed(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {prefix + name: value for name, value in state.items()}


def hollow(name: str, **options) -> dict[str, Tensor]:
    """The names and shapes of a network's weights, all from one stored zero: a small file for a large net."""
    return {key: torch.zeros(()).expand(value.shape) for key, value in on_meta(name, **options).state_dict().items()}


def saved(path: Path, content: object) -> Path:
    torch.save(content, path)
    return path


FC = dict.fromkeys(('fc.weight', 'fc.bias'), torch.ones(3))
NECK = {'neck.conv.weight': torch.ones(3), 'bbox_head.0.bias': torch.ones(2)}
KINDS = {
    'plain': lambda state: state,
    'authors': lambda state: prefixed({**state, **FC}, 'module.'),
    'authors, training script': lambda state: dict(epoch=90, arch='iresnet', best_acc1=torch.tensor(76.),
                                                   state_dict=prefixed({**state, **FC}, 'module.')),
    'classifier': lambda state: dict(state_dict={**prefixed(state, 'backbone.'), **FC}),
    'detector': lambda state: dict(state_dict={**NECK, **prefixed(state, 'backbone.')}, meta=dict(epoch=1)),
    'data parallel detector': lambda state: dict(
        state_dict=prefixed({**NECK, **prefixed(state, 'backbone.')}, 'module.')),
    'model': lambda state: dict(model=state, optimizer={}),
    'before torch 0.4.1': lambda state: {name: value for name, value in state.items() if 'num_batches' not in name},
}


@pytest.mark.parametrize('kind', KINDS)
def test_every_tensor_arrives(kind: str, state: dict, tmp_path: Path) -> None:
    backbone = create_backbone(NAME)
    load_pretrained(backbone, saved(tmp_path / 'weights.pth', KINDS[kind](state)))
    assert_same(backbone.state_dict(), state if 'torch' not in kind else
                {name: value if 'num_batches' not in name else torch.tensor(0) for name, value in state.items()})


def test_mmengine_s_own_checkpoint(state: dict, tmp_path: Path) -> None:
    """With the training log in it, which torch's weights_only does not allow by itself."""
    backbone = uneven(NAME, seed=7)
    log = HistoryBuffer([1., 2.], [1, 1])
    save_checkpoint(dict(meta=dict(epoch=3, seed=np.float64(1)), message_hub=dict(log_scalars={'train/loss': log}),
                         state_dict=Classifier(backbone, 10).state_dict(),
                         optimizer=torch.optim.SGD(backbone.parameters(), lr=0.1).state_dict()),
                    str(tmp_path / 'epoch_3.pth'))
    assert_same(create_backbone(NAME, tmp_path / 'epoch_3.pth').state_dict(), state)


def test_a_given_prefix_chooses_among_two_networks(state: dict, tmp_path: Path) -> None:
    both = {**prefixed({name: value + 1 for name, value in state.items()}, 'student.'), **prefixed(state, 'teacher.')}
    path = saved(tmp_path / 'weights.pth', both)
    for prefix in ('teacher', 'teacher.'):
        backbone = create_backbone(NAME)
        load_pretrained(backbone, path, prefix=prefix)
        assert_same(backbone.state_dict(), state)


def test_a_cut_backbone_takes_its_part_of_a_whole_checkpoint(state: dict, tmp_path: Path) -> None:
    path = saved(tmp_path / 'weights.pth', prefixed({**state, **FC}, 'module.'))
    cut = create_backbone(NAME, path, num_stages=2)
    assert_same(cut.state_dict(), {name: value for name, value in state.items() if not name.startswith('layer3')})
    assert len(cut.state_dict()) < len(state)


def test_init_cfg_loads_in_init_weights(state: dict, tmp_path: Path) -> None:
    path = saved(tmp_path / 'weights.pth', dict(state_dict=prefixed(state, 'backbone.')))
    for options in ({}, dict(prefix='backbone'), dict(prefix='backbone.', strict=True, map_location='cpu')):
        backbone = create_backbone(NAME, init_cfg=dict(type='Pretrained', checkpoint=str(path), **options))
        assert not torch.equal(backbone.conv1.weight, state['conv1.weight'])
        backbone.init_weights()
        assert_same(backbone.state_dict(), state)


def test_init_cfg_refuses_too(tmp_path: Path) -> None:
    path = saved(tmp_path / 'weights.pth', hollow('resnet164_cifar'))
    config = dict(type='Pretrained', checkpoint=str(path))
    for init_cfg in (config, [dict(type='Kaiming', layer='Conv2d'), config]):
        with user_error('weights.pth', 'missing'):
            create_backbone(NAME, init_cfg=init_cfg).init_weights()


def test_a_cut_pre_activation_net_takes_its_part(tmp_path: Path) -> None:
    whole = create_backbone('preact_resnet50').state_dict()
    cut = create_backbone('preact_resnet50', num_stages=3, checkpoint_path=saved(tmp_path / 'weights.pth', whole))
    assert_same(cut.state_dict(), {name: value for name, value in whole.items() if name in cut.state_dict()})


REFUSED = {
    'too deep': ('resnet50', lambda: hollow('resnet101'), {},
                 ('318 of the 318 tensors', '306 left over (layer3.6.conv1.weight, layer3.6.', 'and 303 more')),
    'too shallow': ('resnet101', lambda: hollow('resnet50'), {},
                    ('318 of the 624 tensors', '255 missing (layer3.6.conv1.weight, layer3.6.', 'and 252 more')),
    'another family': ('iresnet50', lambda: hollow('resnet50'), {}, ('missing (layer', 'left over (layer')),
    'other input channels': (NAME, lambda: hollow(NAME, in_channels=1), {},
                             ('1 of another shape (conv1.weight (16, 1, 3, 3), here (16, 3, 3, 3))', )),
    'wrong prefix': (NAME, lambda: prefixed(hollow(NAME), 'backbone.'), dict(prefix='encoder'),
                     ('0 of the', 'missing (conv1.weight, bn1.weight, bn1.bias and')),
    'unknown prefix': (NAME, lambda: prefixed(hollow(NAME), 'encoder.'), {}, ('0 of the', 'missing (conv1.weight')),
    'no weights': (NAME, lambda: dict(epoch=3, results=[1, 2]), {}, ('0 of the', 'missing (conv1.weight')),
    'only an optimizer': (NAME, lambda: dict(state={0: torch.ones(2)}), {}, ('0 of the', )),
    'numbered tensors': (NAME, lambda: {0: torch.ones(2), 'fc.bias': torch.ones(1)}, {}, ('0 of the', )),
    'a list': (NAME, lambda: [torch.ones(2)], {}, ('holds a list', )),
    'a tensor': (NAME, lambda: torch.ones(2), {}, ('holds a Tensor', )),
}


@pytest.mark.parametrize('case', REFUSED)
def test_a_poor_match_is_refused_and_changes_nothing(case: str, tmp_path: Path) -> None:
    name, content, options, fragments = REFUSED[case]
    path = saved(tmp_path / 'weights.pth', content())
    backbone = create_backbone(name)
    before = copied(backbone.state_dict())
    with user_error(str(path), *fragments):
        load_pretrained(backbone, path, **options)
    assert_same(backbone.state_dict(), before)


def archive(path: Path) -> None:
    with zipfile.ZipFile(path, 'w') as file:
        file.writestr('data.txt', 'no checkpoint')


UNREADABLE = {
    'truncated': lambda path: path.write_bytes(saved(path, hollow(NAME)).read_bytes()[:-200]),
    'cut to a few bytes': lambda path: path.write_bytes(saved(path, hollow(NAME)).read_bytes()[:10]),
    'empty': lambda path: path.write_bytes(b''),
    'text': lambda path: path.write_text('<html>404 Not Found</html>'),
    'a zip of something else': archive,
}


@pytest.mark.parametrize('case', UNREADABLE)
def test_an_unreadable_file_is_refused(case: str, tmp_path: Path) -> None:
    path = tmp_path / 'weights.pth'
    UNREADABLE[case](path)
    with user_error(str(path), 'not a readable checkpoint'):
        load_pretrained(on_meta(NAME), path)


class RunsCode:
    """Makes a folder as soon as it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple:
        return Path.mkdir, (self.folder, )


def test_code_in_a_file_is_not_run(tmp_path: Path) -> None:
    path = saved(tmp_path / 'weights.pth', dict(state_dict=RunsCode(tmp_path / 'ran')))
    with user_error(str(path), 'could run code'):
        load_pretrained(on_meta(NAME), path)
    assert not (tmp_path / 'ran').exists()
    torch.load(path, weights_only=False)  # it would have
    assert (tmp_path / 'ran').exists()


def test_a_missing_file(tmp_path: Path) -> None:
    with user_error(f'{tmp_path / "none.pth"}: no such checkpoint'):
        create_backbone(NAME, tmp_path / 'none.pth')
    with user_error(f'{tmp_path}: no such checkpoint'):  # a folder
        create_backbone(NAME, tmp_path)


def test_not_strict_loads_what_fits(state: dict, tmp_path: Path) -> None:
    given = {name: value for name, value in state.items() if not name.startswith('layer2')}
    given |= {'conv1.weight': torch.ones(16, 1, 3, 3), 'layer1.40.conv1.weight': torch.ones(2)}
    backbone = create_backbone(NAME)
    before = copied(backbone.state_dict())
    load_pretrained(backbone, saved(tmp_path / 'weights.pth', given), strict=False)
    kept = [name for name in state if name == 'conv1.weight' or name.startswith('layer2')]
    assert_same(backbone.state_dict(), {**state, **{name: before[name] for name in kept}})


@pytest.mark.parametrize('content', [dict(epoch=1), {'layer1.40.conv1.weight': torch.ones(2)},
                                     {'conv1.weight': torch.ones(16, 1, 3, 3)}])
def test_not_strict_still_refuses_when_nothing_fits(content: dict, tmp_path: Path) -> None:
    with user_error('0 of the'):
        load_pretrained(on_meta(NAME), saved(tmp_path / 'weights.pth', content), strict=False)
