"""What a run on a GPU gets before it starts, as far as it shows without one."""

from __future__ import annotations

import os
from unittest import mock

import pytest
from mmengine.config import Config

from mmext.engine.config import read_config
from mmext.engine.gpu import WORKSPACE, prepare_gpu
from tests.conftest import ROOT

# One of each kind that has a runtime of its own; the other configs build on these.
DETECTORS = ('ssd300_resnet50_coco', 'ssd512_iresnet50_coco', 'faster_rcnn_resnet50_fpn_coco',
             'faster_rcnn_resnet50_fpn_2x_coco', 'faster_rcnn_resnet50_c5_coco', 'retinanet_iresnet50_fpn_coco')


def prepared(gpu: bool, environment: dict[str, str], **config) -> tuple[Config, str | None]:
    """A config that has been prepared, and the workspace of cuBLAS."""
    made = Config(dict(train_dataloader=dict(batch_size=2), val_dataloader=None, **config))
    with mock.patch('torch.cuda.is_available', return_value=gpu), \
            mock.patch.dict(os.environ, environment, clear=True):
        prepare_gpu(made)
        return made, os.environ.get(WORKSPACE[0])


@pytest.mark.parametrize('gpu', [True, False])
def test_batches_are_pinned_and_matrix_products_deterministic(gpu: bool):
    config, workspace = prepared(gpu, {}, test_dataloader=dict(pin_memory=False), randomness=dict(deterministic=True))
    assert config.train_dataloader.get('pin_memory') == (True if gpu else None)
    assert config.test_dataloader.pin_memory is False, "the user's choice"
    assert workspace == (WORKSPACE[1] if gpu else None)


@pytest.mark.parametrize(('gpu', 'given', 'workers'), [
    (True, {}, 2), (True, dict(num_workers=0), 0), (False, {}, None)])
def test_workers_prepare_images_in_memory(gpu: bool, given: dict, workers: int | None):
    recipe = read_config(ROOT / 'configs' / 'classification' / 'rir_cifar10.py')
    loader = {**recipe.train_dataloader, **given}
    config = prepared(gpu, {}, test_dataloader=loader)[0]
    assert config.test_dataloader.get('num_workers') == workers
    assert 'num_workers' not in config.train_dataloader, 'a loader of files has its own number'


def test_the_workspace_is_only_set_where_it_is_needed():
    assert prepared(True, {}, randomness=dict(deterministic=False))[1] is None
    assert prepared(True, {WORKSPACE[0]: ':16:8'}, randomness=dict(deterministic=True))[1] == ':16:8'


@pytest.mark.parametrize('name', DETECTORS)
def test_no_search_for_algorithms_where_sizes_vary(name: str):
    """cuDNN would search anew for each of the many padded sizes of batches whose images keep their proportions."""
    searching = read_config(ROOT / 'configs' / f'{name}.py').env_cfg.cudnn_benchmark
    assert searching == name.startswith('ssd')
