"""mmcv without CUDA operators on a GPU: one line before the run, instead of a crash after the first epoch."""

from __future__ import annotations

from types import SimpleNamespace
from unittest import mock

import pytest
import torch
from mmengine.config import Config

from mmext.classification.task import TASK as CLASSIFICATION
from mmext.detection.task import TASK as DETECTION
from mmext.engine import build
from mmext.errors import UserError
from mmext.operators import built_for_cuda
from tests.conftest import CONFIG, ROOT

GPU, PROCESSOR = torch.device('cuda', 0), torch.device('cpu')


@pytest.fixture(params=['not available', '13.0'])
def compiled_for(request: pytest.FixtureRequest):
    with mock.patch('mmcv.ops.get_compiling_cuda_version', return_value=request.param):
        yield request.param


def test_a_detector_needs_them(compiled_for: str):
    DETECTION.require_operators(PROCESSOR)
    CLASSIFICATION.require_operators(GPU)
    assert built_for_cuda() == (compiled_for == '13.0')
    if built_for_cuda():
        DETECTION.require_operators(GPU)
        return
    with pytest.raises(UserError, match=r'^mmcv was built without CUDA operators.*MMCV_OPS=cuda') as caught:
        DETECTION.require_operators(GPU)
    assert '\n' not in str(caught.value)


def test_a_run_asks_before_it_starts():
    config = Config.fromfile(ROOT / CONFIG)
    parameter = SimpleNamespace(device=GPU)
    runner = SimpleNamespace(model=SimpleNamespace(parameters=lambda: iter([parameter])))
    with mock.patch.object(build.BriefRunner, 'from_cfg', return_value=runner), \
            mock.patch('mmcv.ops.get_compiling_cuda_version', return_value='not available'), \
            pytest.raises(UserError, match='without CUDA operators'):
        build.build_runner(config)
