"""Where data are: a data root, and annotation files and image folders with names of their own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mmext.config_tree import datasets_of
from mmext.engine.config import load_config, read_config
from mmext.errors import UserError
from tests.conftest import CONFIG, ROOT

LOADERS = ('train', 'val', 'test')
OLD = 'data/coco/annotations/instances_{}2017.json'


def places(config) -> dict[str, tuple[str, ...]]:
    """Split -> the annotation file, the images' folder, and the evaluator's annotation file, as they will be opened."""
    found = {}
    for split in LOADERS:
        dataset, = datasets_of(config, f'{split}_dataloader')
        paths = [os.path.join(dataset.data_root or '', path) for path in (dataset.ann_file, dataset.data_prefix.img)]
        found[split] = (*paths, *([config[f'{split}_evaluator'].ann_file] if split != 'train' else []))
    return found


def test_files_with_names_of_their_own():
    config = load_config(ROOT / CONFIG, files=dict(train_json='a/t.json', train_images='b', val_json='/c/v.json',
                                                   val_images='../d'))
    assert places(config) == dict(train=('a/t.json', 'b'), val=('/c/v.json', '../d', '/c/v.json'),
                                  test=('/c/v.json', '../d', '/c/v.json'))


def test_what_is_not_named_stays():
    config = load_config(ROOT / CONFIG, files=dict(train_images='b', val_json='v.json'))
    assert places(config) == dict(train=(OLD.format('train'), 'b'), val=('v.json', 'data/coco/val2017/', 'v.json'),
                                  test=('v.json', 'data/coco/val2017/', 'v.json'))


def test_a_test_set_of_its_own():
    config = load_config(ROOT / CONFIG, files=dict(val_json='v.json', val_images='p', test_json='t.json'))
    assert places(config)['val'] == ('v.json', 'p', 'v.json') and places(config)['test'] == ('t.json', 'p', 't.json')

def test_a_test_set_that_is_not_the_validation_set_stays(tmp_path: Path):
    (tmp_path / 'own.py').write_text(f"_base_ = '{ROOT / CONFIG}'\n"
                                     "test_dataloader = dict(dataset=dict(ann_file='x.json'))\n"
                                     "test_evaluator = dict(ann_file='data/coco/x.json')\n")
    config = load_config(tmp_path / 'own.py', files=dict(val_json='v.json'))
    assert places(config)['val'][0] == 'v.json'
    assert places(config)['test'] == ('data/coco/x.json', 'data/coco/val2017/', 'data/coco/x.json')


def test_names_count_from_the_data_root():
    config = load_config(ROOT / CONFIG, data_root='/mine', files=dict(train_json='t.json', val_json='v.json',
                                                                      val_images='p'))
    held_out = ('/mine/v.json', '/mine/p', '/mine/v.json')
    assert places(config) == dict(train=('/mine/t.json', '/mine/train2017/'), val=held_out, test=held_out)


def test_a_config_of_four_lines(tmp_path: Path):
    """As docs/own_data.md has it."""
    text = (ROOT / 'docs' / 'own_data.md').read_text().partition('```python\n')[2].partition('```')[0]
    assert len(text.splitlines()) == 4 and "'mmext::ssd300_iresnet50_coco.py'" in text
    (tmp_path / 'mine.py').write_text(text)
    assert places(load_config(tmp_path / 'mine.py')) == dict(
        train=('data/mine/train.json', 'data/mine/photos'), val=('data/mine/val.json', 'data/mine/photos',
                                                                 'data/mine/val.json'),
        test=('data/mine/val.json', 'data/mine/photos', 'data/mine/val.json'))


@pytest.mark.parametrize('name, says', [
    ('configs/iresnet3d50_kinetics400.py', "it is for detection data in COCO's format, and train_dataloader.dataset of "
     'this config is mmext.VideoDataset'),
    ('configs/classification/rir_cifar10.py', 'train_dataloader.dataset of this config is mmext.CIFAR10'),
])
def test_data_of_other_tasks(name: str, says: str):
    with pytest.raises(UserError, match='^--train-images: ') as caught:
        load_config(ROOT / name, files=dict(train_images='b'))
    assert says in str(caught.value)


def test_several_data_sets_of_a_loader(tmp_path: Path):
    (tmp_path / 'two.py').write_text(f"_base_ = '{ROOT / CONFIG}'\none = _base_.train_dataloader.dataset\n"
                                     "train_dataloader = dict(dataset=dict(_delete_=True, type='ConcatDataset', "
                                     'datasets=[one, one]))\n')
    with pytest.raises(UserError, match='--train-json: train_dataloader of this config has 2 data sets'):
        load_config(tmp_path / 'two.py', files=dict(train_json='t.json'))


def test_a_data_root_that_nothing_would_follow(tmp_path: Path):
    named = load_config(ROOT / CONFIG, files=dict(train_json='t.json', train_images='b', val_json='v.json',
                                                  val_images='p'))
    named.dump(tmp_path / 'kept.py')
    with pytest.raises(UserError, match='the data sets of this config have no data_root; name their files with --tr'):
        load_config(tmp_path / 'kept.py', data_root='/elsewhere')
    assert places(read_config(tmp_path / 'kept.py')) == places(named)
    load_config(ROOT / CONFIG, data_root='data/coco')
