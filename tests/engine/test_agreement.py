"""Models and data that are not made for each other are found before a run."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import BaseDataset, ClassBalancedDataset, Compose, ConcatDataset, RepeatDataset
from mmengine.hub import get_config
from mmengine.registry import init_default_scope
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader

from mmext.classification import Classifier
from mmext.classification.arrays import ArrayDataset
from mmext.classification.folders import ImageFolder
from mmext.data.loading import LoadImage
from mmext.detection import CocoDataset
from mmext.engine import agreement, cli
from mmext.engine.agreement import (
    leaves,
    members_of,
    numbers_of_classes,
    require_agreement,
    require_classes,
    require_members,
)
from mmext.engine.config import read_config, replace_values
from mmext.engine.data_checks import build_loader, require_batches, require_sizes
from mmext.errors import UserError
from mmext.registry import MODELS
from tests.conftest import CONFIG, ROOT

NAMES = ('circle', 'square', 'triangle')
SMALL = dict(type='mmext.ResNet', depth=18, stem='conv7x7')
MASK_RCNN = 'mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py'


class Labelled(BaseDataset):
    """Labels, and no files."""

    def __init__(self, labels: list[int], classes: tuple | None = NAMES, place: str = 'labels.txt') -> None:
        self.labels = labels
        super().__init__(ann_file=place, metainfo=dict(classes=classes) if classes else None)

    def load_data_list(self) -> list[dict]:
        return [dict(gt_label=label) for label in self.labels]

    def get_cat_ids(self, idx: int) -> list[int]:
        return [self.labels[idx]]


def data(count: int) -> Labelled:
    return Labelled(list(range(count)), tuple(f'class {i}' for i in range(count)))


def detector(path: str) -> tuple[Config, nn.Module]:
    """A config on a small network, and what is built of it."""
    config = get_config(path) if '::' in path else read_config(ROOT / path)
    init_default_scope('mmdet')
    if path != CONFIG:
        config.model.backbone = SMALL
        config.model.neck.in_channels = [64, 128, 256, 512]
    if config.model.get('roi_head'):
        replace_values(config.model.roi_head, lambda key, value: 8 if key in ('fc_out_channels', 'conv_out_channels')
                       else value)
    return config, MODELS.build(config.model)


HEADS = {
    CONFIG: ['bbox_head'],
    'configs/faster_rcnn_resnet50_fpn_coco.py': ['roi_head.bbox_head'],
    'configs/retinanet_iresnet50_fpn_coco.py': ['bbox_head'],
    'configs/cascade_rcnn_iresnet50_fpn_coco.py': [f'roi_head.bbox_head.{i}' for i in range(3)],
    MASK_RCNN: ['roi_head.bbox_head', 'roi_head.mask_head'],
    'mmdet::fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py': ['bbox_head'],
}


@pytest.mark.parametrize('path', HEADS)
def test_every_head_of_a_detector_is_checked(path: str):
    config, model = detector(path)
    loaders = dict(train_dataloader=DataLoader(data(80)))
    require_agreement(config, model, loaders)
    keys = [f'model.{head}.num_classes' for head in HEADS[path]]
    assert numbers_of_classes(config.model, model) == dict.fromkeys(keys, 80)
    loaders['val_dataloader'] = DataLoader(data(3))
    with pytest.raises(UserError) as caught:
        require_agreement(config, model, loaders)
    line = str(caught.value)
    assert line.startswith('labels.txt: 3 classes, but ' + ', '.join(f'{key} is 80' for key in keys))
    assert line.endswith('give --classes auto or --cfg-options ' + ' '.join(f'{key}=3' for key in keys))


def test_one_head_of_several_that_differs():
    config, model = detector('configs/cascade_rcnn_iresnet50_fpn_coco.py')
    model.roi_head.bbox_head[1].num_classes = 79
    with pytest.raises(UserError, match=r'80 classes, but model\.roi_head\.bbox_head\.1\.num_classes is 79; give '):
        require_agreement(config, model, dict(train_dataloader=DataLoader(data(80))))
    config.model.roi_head.bbox_head = config.model.roi_head.bbox_head[0]  # one config for all
    assert list(numbers_of_classes(config.model, model)) == ['model.roi_head.bbox_head.num_classes']


def test_what_the_config_leaves_to_a_default_is_checked():
    config, model = detector(CONFIG)
    assert config.model.bbox_head.pop('num_classes') == 80
    assert numbers_of_classes(config.model, model) == {'model.bbox_head.num_classes': 80}


def test_parts_with_classes_of_their_own_are_not():
    model = nn.ModuleDict({name: SimpleModule(7) for name in ('rpn_head', 'semantic_head', 'backbone', 'mask_head')})
    model.mask_head.class_agnostic = True
    config = {name: dict(num_classes=7) for name in ('rpn_head', 'semantic_head', 'backbone')}
    assert numbers_of_classes(config, model) == {}
    mixing = dict(data_preprocessor=dict(blending=dict(type='MixupBlending', num_classes=400)))
    assert numbers_of_classes(mixing, model) == {'model.data_preprocessor.blending.num_classes': 400}


class SimpleModule(nn.Module):
    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes


def test_classifiers_and_recognizers():
    model = Classifier(dict(type='mmext.ResNet', depth=18, stem='conv3x3'), 4)
    with pytest.raises(UserError, match='labels.txt: 3 classes, but model.num_classes is 4; give --classes auto'):
        require_agreement(Config(dict(model=dict(num_classes=4))), model, dict(test=DataLoader(data(3))))
    with pytest.raises(UserError, match='3 classes, but model.cls_head.num_classes is 400'):
        require_agreement(Config(dict(model=dict(cls_head=dict(num_classes=400)))), nn.ModuleDict(
            dict(cls_head=SimpleModule(400))), dict(test=DataLoader(data(3))))


WRAPPED = {
    'repeated': lambda good, bad: RepeatDataset(bad, 2),
    'joined': lambda good, bad: ConcatDataset([good, bad], ignore_keys=['classes']),
    'balanced': lambda good, bad: ClassBalancedDataset(bad, 1e-3),
    'nested': lambda good, bad: torch.utils.data.ConcatDataset([good, RepeatDataset(bad, 2)]),
    'a part': lambda good, bad: torch.utils.data.Subset(bad, [0]),
}


@pytest.mark.parametrize('kind', WRAPPED)
def test_wrapped_data_sets(kind: str):
    bad = Labelled([0, 1], NAMES[:2], 'bad.txt')
    loader = DataLoader(WRAPPED[kind](data(3), bad))
    assert bad in leaves(loader.dataset)
    with pytest.raises(UserError, match='bad.txt: 2 classes, but model.num_classes is 3'):
        require_agreement(Config(dict(model=dict(num_classes=3))), SimpleModule(3), dict(train=loader))


def test_labels_without_names():
    require_classes({'model.num_classes': 5}, Labelled([0, 2], None))
    with pytest.raises(UserError, match='labels up to 5, but model.num_classes is 5; .*model.num_classes=6'):
        require_classes({'model.num_classes': 5}, Labelled([0, 5], None))


def test_panoptic_data_have_two_numbers():
    panoptic = SimpleNamespace(metainfo=dict(classes=('a', 'b', 'c'), thing_classes=('a', )))
    require_classes({'things': 1, 'all': 3}, panoptic)
    with pytest.raises(UserError, match='3 classes, but things is 2'):
        require_classes({'things': 2}, panoptic)


def test_a_coco_file_that_lacks_a_class():
    partial = SimpleNamespace(metainfo=dict(classes=NAMES), cat_ids=[1, 4], ann_file='a.json')
    with pytest.raises(UserError, match="a.json: 2 of the config's 3 classes are among its categories"):
        require_classes({}, partial)


@pytest.mark.parametrize('labels, says', [
    ([0, 1, 2], None),
    ([1, 2, 2], "labels.txt: 1 of the 3 classes have no samples in the training data: 'circle'; labels count "
                'from 0'),
    ([0, 0], "2 of the 3 classes have no samples in the training data: 'square', 'triangle'"),
])
def test_classes_without_a_member(labels: list[int], says: str | None, monkeypatch: pytest.MonkeyPatch):
    told: list[str] = []
    monkeypatch.setattr(agreement, 'print_log', lambda text, *_: told.append(text))
    require_members(DataLoader(RepeatDataset(Labelled(labels), 2)))
    assert len(told) == (says is not None) and all(says in line for line in told)
    require_members(DataLoader(ConcatDataset([Labelled(labels), Labelled([0, 1, 2])])))
    assert len(told) == (says is not None), 'another part of the data has it'


def of_images(root: Path):
    from tests.classification.helpers import write_folders

    write_folders(root / 'train', {'a': 2, 'b': 1, 'c': 3}, '.png')
    return ImageFolder(str(root), limit=1)


def of_videos(root: Path):
    from mmext.video.datasets import VideoDataset

    (root / 'a.mp4').touch()
    (root / 'list.txt').write_text('a.mp4 1\na.mp4 2\na.mp4 2\n')
    return VideoDataset(str(root / 'list.txt'), data_prefix=dict(video=str(root)))


def of_boxes(root: Path):
    Image.new('RGB', (40, 40)).save(root / 'a.png')
    content = dict(images=[dict(id=1, file_name='a.png', width=40, height=40)],
                   categories=[dict(id=i, name=name) for i, name in enumerate(NAMES)],
                   annotations=[dict(id=i, image_id=1, category_id=2, bbox=[1, 1, 9, 9], area=81, iscrowd=i % 2)
                                for i in range(5)])
    (root / 'a.json').write_text(json.dumps(content))
    return CocoDataset(ann_file=str(root / 'a.json'), data_prefix=dict(img=str(root)), metainfo=dict(classes=NAMES))


class Digits(ArrayDataset):
    """Six images of the last of three classes."""

    def load(self) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
        return np.zeros((6, 3, 4, 4), np.uint8), np.full(6, 2), NAMES


@pytest.mark.parametrize('make, expected', [(of_images, 1), (of_videos, [0, 1, 2]), (of_boxes, [0, 0, 3]),
                                            (lambda root: Digits(str(root)), [0, 0, 6])])
def test_members_of_data_of_all_tasks(make, expected: list[int] | int, tmp_path: Path):
    found = members_of(make(tmp_path))
    assert sum(found) == 1 and len(found) == 3 if expected == 1 else found == expected


class Boxes(BaseDataset):
    """Images of which each has one crowd."""

    def load_data_list(self) -> list[dict]:
        return [dict(instances=[dict(bbox_label=0, ignore_flag=1)])] * 3


def test_a_training_set_in_which_no_class_has_a_member():
    with pytest.raises(UserError, match='crowds.json: nothing in it can be trained on'):
        require_members(DataLoader(Boxes('crowds.json', metainfo=dict(classes=NAMES))))


def test_no_batch_and_no_image():
    config = Config(dict(train_dataloader=dict(dataset=dict(ann_file='a.json', pipeline=[]))))
    with pytest.raises(UserError, match='labels.txt: its 3 usable samples do not make one batch'):
        require_batches(DataLoader(RepeatDataset(data(3), 1), batch_size=4, drop_last=True))
    with pytest.raises(UserError, match='a.json: no image is left after filtering. train_dataloader.dataset.filter'):
        build_loader(config, 'train_dataloader', lambda: DataLoader(Labelled([])))
    with pytest.raises(ValueError, match='another'):
        build_loader(config, 'train_dataloader', lambda: (_ for _ in ()).throw(ValueError('another')))


@pytest.fixture
def images(tmp_path: Path):
    """images(files, annotated) -> a data set of files of these sizes, all annotated with one size, width and height."""
    def make(files: list[tuple[int, int]], annotated: tuple[int, int], orientation: int = 1, **loading) -> CocoDataset:
        exif = Image.Exif()
        exif[274] = orientation
        for i, size in enumerate(files):
            Image.fromarray(np.zeros((size[1], size[0], 3), np.uint8)).save(tmp_path / f'{i}.png', exif=exif)
        width, height = annotated
        content = dict(images=[dict(id=i, file_name=f'{i}.png', width=width, height=height) for i in range(len(files))],
                       annotations=[dict(id=1, image_id=0, category_id=1, bbox=[1, 1, 9, 9], area=81)],
                       categories=[dict(id=1, name='a')])
        (tmp_path / 'a.json').write_text(json.dumps(content))
        data = CocoDataset(ann_file=str(tmp_path / 'a.json'), data_prefix=dict(img=str(tmp_path)), metainfo=dict(
            classes=('a', )), pipeline=[])
        data.pipeline = Compose([LoadImage(**loading)])
        return data

    return make


def test_sizes_are_looked_at_before_a_run(images):
    require_sizes(images([(40, 30)] * 10 + [(30, 40)], (40, 30)))
    with pytest.raises(UserError, match=r'0\.png: 40 x 30 in the annotations, 30 x 40 in the file: width and height '
                                        r'are swapped in the annotations \(as 4 of the 24 images of .*a\.json'):
        require_sizes(images([(30, 40), *[(40, 30)] * 5] * 4, (40, 30)))
    require_sizes(images([(30, 40), (40, 30)] * 20, (40, 30), max_mismatched=0.5))
    require_sizes(images([(30, 40), (40, 30)], (40, 30)))
    with pytest.raises(UserError, match='as 2 of the 3 images .* and more than 50% stop a run'):
        require_sizes(images([(30, 40), (30, 40), (40, 30)], (40, 30)))


def test_the_look_knows_of_orientation(images):
    require_sizes(images([(30, 40)] * 2, (40, 30), orientation=6))
    with pytest.raises(UserError, match='ignore_orientation=True'):
        require_sizes(images([(40, 30)] * 2, (40, 30), orientation=6))
    require_sizes(images([(40, 30)] * 2, (40, 30), orientation=6, ignore_orientation=True))


@pytest.mark.parametrize('workers', [0, 2])
@pytest.mark.parametrize('on_error', ['skip', 'blank'])
def test_other_sizes_that_the_look_has_missed_stop_a_run(images, workers: int, on_error: str):
    data = images([(30, 40)] * 50, (40, 30), on_error=on_error)
    with pytest.raises(UserError) as caught:
        list(DataLoader(data, 1, num_workers=workers, collate_fn=len))
    line = cli.message(caught.value)
    assert 'in the annotations' in line and 'images read so far, and more than 10% stop a run' in line
