"""``--cfg-options``: how a value is read, a new type, files that belong together, and the answer to a wrong form."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from unittest import mock

import pytest
import torch

from mmext.engine import options
from mmext.engine.config import load_config
from mmext.engine.flags.actions import OptionsAction
from mmext.errors import UserError
from tests.conftest import CONFIG, ROOT

DETECTOR, RECOGNIZER = ROOT / CONFIG, ROOT / 'configs' / 'iresnet3d50_kinetics400.py'
CLASSIFIER, FOLDERS = (ROOT / 'configs' / 'classification' / f'{name}.py' for name in ('rir_cifar10',
                                                                                      'iresnet_imagenet'))
RETINANET = ROOT / 'configs' / 'retinanet_iresnet50_fpn_coco.py'


def typed(*words: str) -> dict:
    parser = argparse.ArgumentParser()
    parser.add_argument('--cfg-options', nargs='+', action=OptionsAction)
    return parser.parse_args(['--cfg-options', *words]).cfg_options


def at(config: object, key: str) -> object:
    for part in key.split('.'):
        config = config[int(part)] if isinstance(config, (list, tuple)) else config[part]
    return config


@pytest.mark.parametrize(('key', 'text', 'value'), [
    ('train_dataloader.dataset.ann_file', 'a, b.json', 'a, b.json'),
    ('train_dataloader.dataset.ann_file', 'a(1,2.json', 'a(1,2.json'),
    ('load_from', '1,2.pth', '1,2.pth'),
    ('load_from', 'None', None),
    ('work_dir', '2024', '2024'),
    ('model.backbone.init_cfg', "{'type': 'Pretrained', 'checkpoint': 'a,b.pth'}",
     dict(type='Pretrained', checkpoint='a,b.pth')),
    ('train_dataloader.dataset.data_prefix.img', 'x,y/', 'x,y/'),
    ('visualizer.name', 'a,b', 'a,b'),
    ('param_scheduler.1.milestones', '1,2', [1, 2]),
    ('param_scheduler.1.milestones', '[1,2]', [1, 2]),
    ('model.backbone.strides', '(1,2,1)', (1, 2, 1)),
    ('val_evaluator.metric', '[bbox]', ['bbox']),
    ('optim_wrapper.optimizer.lr', '1e-3', 1e-3),
    ('optim_wrapper.clip_grad.max_norm', '35', 35),
    ('model.backbone.with_cp', 'true', True),
    ('visualizer.name', '"12"', '12'),
])
def test_a_value_is_read_as_what_its_key_holds(key: str, text: str, value: object):
    found = at(load_config(DETECTOR, options=typed(f'{key}={text}')), key)
    assert found == value and type(found) in (type(value), *([] if not isinstance(value, dict) else [type(found)]))


@pytest.mark.parametrize('words', [
    ('optim_wrapper.paramwise_cfg.norm_decay_mult=0', 'optim_wrapper.paramwise_cfg.bias_decay_mult=0'),
    ('optim_wrapper.clip_grad.max_norm=35', 'optim_wrapper.clip_grad.norm_type=2'),
    ('optim_wrapper.paramwise_cfg.custom_keys.backbone.lr_mult=0.1',
     'optim_wrapper.paramwise_cfg.custom_keys.backbone.decay_mult=2', 'optim_wrapper.paramwise_cfg.bias_lr_mult=2'),
    ('optim_wrapper.constructor=LearningRateDecayOptimizerConstructor', 'optim_wrapper.paramwise_cfg.num_layers=12',
     'optim_wrapper.paramwise_cfg.decay_rate=0.9'),
    ('model.backbone.init_cfg.checkpoint=a.pth', 'model.backbone.init_cfg.prefix=backbone.',
     'model.backbone.init_cfg.type=Pretrained'),
])
def test_several_keys_of_a_part_that_was_not_there(words: tuple[str, ...]):
    config = load_config(DETECTOR)
    options.apply_options(config, typed(*words))
    for word in words:
        key, _, text = word.partition('=')
        assert str(at(config, key)) == text


@pytest.mark.parametrize(('words', 'says'), [
    (('optim_wrapper.paramwise_cfg.norm_decay_mul=0', ), "no key 'norm_decay_mul' there; did you mean '"),
    (('optim_wrapper.paramwise_cfg.norm_decay_mult=0', 'optim_wrapper.paramwise_cfg.bias_decay=0'),
     "no key 'bias_decay' there"),
    (('model.backbone.init_cfg.type=Pretrained', 'model.backbone.init_cfg.checkpoints=a.pth'), "no key 'checkpoints'"),
])
def test_keys_of_a_new_part_that_nothing_reads(words: tuple[str, ...], says: str):
    with pytest.raises(UserError, match=says):
        load_config(DETECTOR, options=typed(*words))


def test_a_comma_in_a_checkpoint_named_with_its_type():
    config = load_config(DETECTOR, options=typed('model.backbone.init_cfg.checkpoint=a,b.pth',
                                                 'model.backbone.init_cfg.type=Pretrained'))
    assert config.model.backbone.init_cfg == dict(type='Pretrained', checkpoint='a,b.pth')


@pytest.mark.parametrize(('words', 'says'), [
    (('optim_wrapper.optimizer.lr', '0.1'), 'need key=value, without a space: optim_wrapper.optimizer.lr=0.1'),
    (('model.backbone.depth', '=18'), 'need key=value, without a space: model.backbone.depth=18'),
    (('a=1', str(DETECTOR)), 'a separate argument? put it before the option'),
    (('=3', ), "without a space before the ="),
    (('word', ), '--cfg-options word: need key=value'),
])
def test_a_wrong_form(words: tuple[str, ...], says: str):
    with pytest.raises(UserError) as caught:
        typed(*words)
    assert says in str(caught.value).replace(f'is {DETECTOR}', 'is')


@pytest.mark.parametrize('word', ["optim_wrapper.optimizer={'type': 'SGD'", 'model.backbone.out_indices=[1,2',
                                  "optim_wrapper.optimizer={'lr': open('x')}"])
def test_what_can_not_be_read(word: str):
    with pytest.raises(UserError, match='--cfg-options'):
        load_config(DETECTOR, options=typed(word))


@pytest.mark.parametrize(('config', 'place', 'kind', 'gone', 'kept'), [
    (DETECTOR, 'optim_wrapper.optimizer', 'AdamW', {'momentum'}, {'type', 'lr', 'weight_decay'}),
    (CLASSIFIER, 'optim_wrapper.optimizer', 'Adam', {'momentum'}, {'type', 'lr', 'weight_decay'}),
    (RECOGNIZER, 'optim_wrapper.optimizer', 'AdamW', {'momentum'}, {'type', 'lr', 'weight_decay'}),
    (DETECTOR, 'param_scheduler.1', 'CosineAnnealingLR', {'milestones', 'gamma'}, {'type', 'by_epoch', 'begin', 'end'}),
    (RETINANET, 'model.bbox_head.loss_cls', 'CrossEntropyLoss', {'gamma', 'alpha'},
     {'type', 'use_sigmoid', 'loss_weight'}),
    (DETECTOR, 'train_dataloader.dataset.pipeline.4', 'Pad', {'prob'}, {'type'}),
    (DETECTOR, 'default_hooks.logger', 'IterTimerHook', {'interval'}, {'type'}),
    (RETINANET, 'model.backbone', 'ResNet', {'stem'}, {'type', 'depth'}),
    (RETINANET, 'model.bbox_head', 'FCOSHead', {'anchor_generator'}, {'type', 'num_classes', 'in_channels'}),
])
def test_a_new_type_leaves_the_old_ones_arguments_behind(config: Path, place: str, kind: str, gone: set[str],
                                                         kept: set[str]):
    old = set(at(load_config(config), place))
    with mock.patch.object(options, 'print_log') as told:
        new = at(load_config(config, options=typed(f'{place}.type={kind}')), place)
    assert gone <= old and not gone & set(new) and kept <= set(new) and new['type'] == kind
    assert told.call_count == 1 and told.call_args.args[2] == logging.WARNING
    assert all(word in told.call_args.args[0] for word in (place, kind, *gone))


def test_a_type_that_takes_them_all_is_no_news():
    with mock.patch.object(options, 'print_log') as told:
        load_config(DETECTOR, options=typed('optim_wrapper.optimizer.type=SGD', 'optim_wrapper.type=AmpOptimWrapper'))
    assert not told.called


def test_delete_begins_anew():
    words = ('optim_wrapper.optimizer.lr=0.1', 'optim_wrapper.optimizer.type=AdamW',
             'optim_wrapper.optimizer._delete_=True')
    assert load_config(DETECTOR, options=typed(*words)).optim_wrapper.optimizer == dict(type='AdamW', lr=0.1)
    whole = "optim_wrapper.optimizer={'type': 'AdamW', 'lr': 0.1, '_delete_': True}"
    assert load_config(DETECTOR, options=typed(whole)).optim_wrapper.optimizer == dict(type='AdamW', lr=0.1)


def test_an_evaluator_follows_its_data_set():
    with mock.patch('mmext.engine.data_paths.print_log') as told:
        config = load_config(DETECTOR, data_root='/d', options=typed('val_dataloader.dataset.ann_file=v.json'))
    assert config.val_evaluator.ann_file == '/d/v.json'
    assert config.test_evaluator.ann_file == '/d/annotations/instances_val2017.json', 'the test set is another one'
    assert 'val_evaluator.ann_file: set to /d/v.json' in told.call_args.args[0]
    config = load_config(DETECTOR, options=typed('test_dataloader.dataset.data_root=/e'))
    assert config.test_evaluator.ann_file == '/e/annotations/instances_val2017.json'
    config = load_config(DETECTOR, options=typed('test_dataloader.dataset.ann_file=v.json',
                                                 'test_evaluator.ann_file=own.json'))
    assert config.test_evaluator.ann_file == 'own.json', 'an option of its own comes first'


def test_classes_are_those_of_the_files_that_options_name(shapes: Path, tmp_path: Path):
    for name, classes in (('mine', ('a', 'b')), ('instances_train2017', ('x', ))):
        (tmp_path / f'{name}.json').write_text(
            '{"images": [{"id": 1, "file_name": "1.jpg", "width": 8, "height": 8}], "annotations": [], "categories": '
            f'[{", ".join(f"""{{"id": {i}, "name": "{c}"}}""" for i, c in enumerate(classes, 1))}]}}')
    config = load_config(DETECTOR, data_root=str(tmp_path), classes='auto',
                         options=typed('train_dataloader.dataset.ann_file=mine.json'))
    assert config.train_dataloader.dataset.metainfo.classes == ('a', 'b') and config.model.bbox_head.num_classes == 2
    (tmp_path / 'list.txt').write_text('a.mp4 0\nb.mp4 4\n')
    config = load_config(RECOGNIZER, data_root=str(tmp_path), classes='auto',
                         options=typed('train_dataloader.dataset.ann_file=list.txt'))
    assert config.model.cls_head.num_classes == 5


@pytest.mark.parametrize('path', [DETECTOR, FOLDERS, RECOGNIZER])
def test_a_test_takes_its_classes_from_the_checkpoint(path: Path, tmp_path: Path):
    """There is nothing else on the machine: no training annotations, class folders or lists."""
    torch.save(dict(state_dict={}, meta=dict(dataset_meta=dict(classes=('b', 'a', 'c')))), tmp_path / 'a.pth')
    config = load_config(path, data_root=str(tmp_path), classes='auto', checkpoint=str(tmp_path / 'a.pth'))
    assert config.test_dataloader.dataset.metainfo.classes == ('b', 'a', 'c')
    assert {'b': 3}['b'] in (config.model.get(key, {}).get('num_classes') for key in ('bbox_head', 'cls_head')) or (
        config.model.num_classes == 3)
    torch.save(dict(state_dict={}), tmp_path / 'b.pth')
    with pytest.raises(UserError, match=str(tmp_path)):
        load_config(path, data_root=str(tmp_path), classes='auto', checkpoint=str(tmp_path / 'b.pth'))


def test_an_option_against_the_classes():
    load_config(DETECTOR, classes='a,b', options=typed('model.bbox_head.num_classes=2'))
    with pytest.raises(UserError, match='gives 2 classes, but model.bbox_head.num_classes is 3; remove one'):
        load_config(DETECTOR, classes='a,b', options=typed('model.bbox_head.num_classes=3'))


def test_a_file_of_detections_is_content_with_the_test_set(shapes: Path, tmp_path: Path):
    (tmp_path / 'annotations').mkdir()
    source = shapes / 'annotations' / 'instances_val2017.json'
    (tmp_path / 'annotations' / source.name).write_bytes(source.read_bytes())
    config = load_config(DETECTOR, data_root=str(tmp_path), classes='auto', testing=True)
    assert config.test_dataloader.dataset.metainfo.classes == ('circle', 'square', 'triangle')
    with pytest.raises(UserError, match='instances_train2017'):
        load_config(DETECTOR, data_root=str(tmp_path), classes='auto')


def test_variables_that_nothing_reads_any_more_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    lines: list[str] = []
    monkeypatch.setattr('mmext.engine.options.print_log', lambda text, *_: lines.append(text))
    path = tmp_path / 'config.py'
    path.write_text("max_epochs = 7\nlr = 1\ntrain_cfg = dict(by_epoch=True, max_epochs=max_epochs)\n"
                    "data = dict(root='x')\n")
    load_config(path, options={'max_epochs': 3, 'data.root': 'y', 'train_cfg.max_epochs': 4})
    assert len(lines) == 2 and lines[0].endswith('did you mean train_cfg.max_epochs?')
    assert '--cfg-options max_epochs: has no effect' in lines[0] and '--cfg-options data.root: ' in lines[1]
