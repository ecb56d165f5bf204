"""The table of docs/architecture.md, "to add ..., touch this one place": each row is done here, in that place alone.

The first row, a network, is the worked example of the page; ``test_docs`` runs it as it is printed.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.optim import OptimWrapper
from mmengine.registry import MODELS, init_default_scope
from torch.optim import SGD

from mmext.engine.config import load_config
from mmext.engine.flags.flag import add_flags, apply_flags, flag, table
from mmext.engine.flags.testing import apply_test_flags
from mmext.errors import UserError
from mmext.task import task_of
from tests.conftest import ROOT

METRIC = """
from mmengine.evaluator import BaseMetric
from mmext.registry import METRICS


@METRICS.register_module()
class Confidence(BaseMetric):
    default_prefix = 'confidence'
    paper_names = dict(mean='mean confidence')

    def __init__(self, per_class=False, **kwargs):
        super().__init__(**kwargs)
        self.per_class = per_class

    def process(self, data_batch, data_samples):
        self.results += [float(sample['pred_scores'].max()) for sample in data_samples]

    def compute_metrics(self, results):
        return dict(mean=sum(results) / len(results))
"""
DATA_SET = """
from mmext.registry import DATASETS
from mmext.video import VideoDataset


@DATASETS.register_module()
class Sports(VideoDataset):
    METAINFO = dict(classes=('run', 'jump'))
"""


def written(folder: Path, name: str, text: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Writes a module where Python finds it; returns its name."""
    (folder / f'{name}.py').write_text(text)
    monkeypatch.syspath_prepend(folder)
    return name


def test_a_detector_is_a_config(tmp_path: Path):
    """FCOS, of which no file of ours speaks: it takes any network, tells its sample, and trains a step."""
    path = tmp_path / 'fcos_iresnet18_coco.py'
    path.write_text("_base_ = 'mmdet::fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py'\n"
                    "custom_imports = dict(imports=['mmext'])\n")
    config = load_config(path, backbone='iresnet18', options={'model.bbox_head.num_classes': 3})
    task = task_of(config)
    assert task.name == 'detection' and config.model.neck.in_channels == [64, 128, 256, 512][-len(
        config.model.neck.in_channels):]
    init_default_scope(config.default_scope)
    model = MODELS.build(config.model)
    assert task.is_model(model)
    batch = task.made_up_batch(task.sample_shape(config, size=(64, 64)), 2, 3)
    losses = model.train_step(batch, OptimWrapper(SGD(model.parameters(), lr=0.01)))
    assert losses['loss_cls'].isfinite() and losses['loss_bbox'].isfinite()


def test_a_metric_is_a_class(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Its flags and its name in tables come with it."""
    module = written(tmp_path, 'metric_of_mine', METRIC, monkeypatch)
    path = tmp_path / 'config.py'
    path.write_text(f"_base_ = '{ROOT}/configs/classification/rir_cifar10.py'\n"
                    f"custom_imports = dict(imports=['mmext', '{module}'])\n"
                    "test_evaluator = dict(_delete_=True, type='mmext.Confidence')\n")
    config = load_config(path)
    apply_test_flags(config, per_class=True)
    assert config.test_evaluator == dict(type='mmext.Confidence', per_class=True)
    assert task_of(config).paper_names(config) == dict(mean='mean confidence')


def test_a_video_data_set_is_a_class(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """In the place of Kinetics: its lists are checked, its files are read as exactly, and its classes are its own."""
    from mmengine.registry import DATASETS

    from tests.video.clips import write

    module = written(tmp_path, 'data_set_of_mine', DATA_SET, monkeypatch)
    write(tmp_path / 'a.mp4')
    (tmp_path / 'list.txt').write_text('a.mp4 1\n')
    path = tmp_path / 'config.py'
    path.write_text(f"_base_ = '{ROOT}/configs/iresnet3d50_kinetics400.py'\n"
                    f"custom_imports = dict(imports=['mmext', 'mmext.video', '{module}'])\n"
                    f"data = dict(type='mmext.Sports', data_root='{tmp_path}', ann_file='list.txt', num_classes=2,\n"
                    "            data_prefix=dict(video=''))\n"
                    "train_dataloader = dict(dataset=data)\n"
                    "model = dict(cls_head=dict(num_classes=2))\n")
    config = load_config(path)
    init_default_scope(config.default_scope)
    data = DATASETS.build(config.train_dataloader.dataset)
    assert data.metainfo['classes'] == ('run', 'jump') and data[0]['inputs'].shape == (1, 3, 16, 224, 224)
    assert [check() for check in task_of(config).file_checks(data)] == [None]


def test_a_flag_is_one_object():
    """Parser entry, check, effect and line of the docs of a flag that nobody else knows."""
    @flag('--width', type=int, metavar='N', help='of the network', docs='how wide the network is')
    def width(config: Config, value: int, given: argparse.Namespace) -> None:
        if value < 1:
            raise UserError(f'--width {value}: need 1 or more')
        config.width = value

    parser, config = argparse.ArgumentParser(), Config()
    add_flags(parser, [width])
    apply_flags([width], config, parser.parse_args([]))
    assert 'width' not in config
    apply_flags([width], config, parser.parse_args(['--width', '3']))
    assert config.width == 3
    with pytest.raises(UserError, match='--width 0: need 1 or more'):
        apply_flags([width], config, parser.parse_args(['--width', '0']))
    assert '| `--width N` | how wide the network is |' in table([width])
    assert '--width N   of the network' in parser.format_help()
