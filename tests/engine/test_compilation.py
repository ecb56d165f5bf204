"""Networks that train compiled: the same losses, no other names, and no new graph for another number of objects."""

from __future__ import annotations

import copy
from types import SimpleNamespace
from unittest import mock

import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.registry import MODELS, init_default_scope
from mmengine.structures import InstanceData
from torch import nn

from mmext.engine.config import load_config
from mmext.engine.hooks.compilation import CompileHook, compile_network, mode_arguments, require_compiler
from mmext.errors import UserError
from tests.conftest import ROOT

SIZES = {'ssd300_iresnet50_coco': 300, 'retinanet_iresnet50_fpn_coco': 64, 'faster_rcnn_iresnet50_fpn_coco': 64}


def detector(name: str) -> nn.Module:
    init_default_scope('mmdet')
    torch.manual_seed(0)
    return MODELS.build(load_config(ROOT / f'configs/{name}.py', backbone='iresnet18').model)


def losses(model: nn.Module, size: int, objects: int) -> list[float]:
    torch.manual_seed(objects)
    corners = torch.rand(objects, 2, 2).sort(1).values.flatten(1) * size
    truth = InstanceData(bboxes=corners, labels=torch.randint(0, 80, (objects, )))
    samples = [DetDataSample(gt_instances=truth, metainfo=dict(
        img_shape=(size, size), pad_shape=(size, size))) for _ in range(2)]
    found = model.loss(torch.randn(2, 3, size, size), samples)
    values = [value for group in found.values() for value in (group if isinstance(group, list) else [group])]
    sum(value.sum() for value in values).backward()
    return [value.tolist() for value in values]


@pytest.mark.parametrize(('name', 'parts'), [
    ('ssd300_iresnet50_coco', ['backbone', 'neck', 'bbox_head']),
    ('retinanet_iresnet50_fpn_coco', ['backbone', 'neck', 'bbox_head']),
    ('faster_rcnn_iresnet50_fpn_coco', ['backbone', 'neck', 'rpn_head'])])
def test_a_detector_trains_as_before(name: str, parts: list[str]):
    graphs, made = [], []

    def backend(graph: torch.fx.GraphModule, inputs: list) -> object:
        graphs.append(graph)
        return graph.forward

    plain, compiled = detector(name), detector(name)
    assert compile_network(compiled, backend=backend) == parts
    for objects in (1, 3):
        assert losses(compiled, SIZES[name], objects) == losses(plain, SIZES[name], objects)
        for (key, weight), other in zip(plain.named_parameters(), compiled.parameters(), strict=True):
            assert torch.equal(weight.grad, other.grad), key
        made.append(len(graphs))
    assert made[1] == made[0] >= len(parts), 'another number of objects needs no other graph'
    assert list(compiled.state_dict()) == list(plain.state_dict())
    copy.deepcopy(compiled).backbone(torch.randn(2, 3, 40, 40))
    assert len(graphs) == made[1], 'a copy, as --ema makes it, is eager'


def test_the_hook_says_what_is_compiled():
    runner = SimpleNamespace(model=nn.Module(), logger=mock.Mock())
    runner.model.backbone, runner.model.fc = nn.Linear(2, 2), nn.Linear(2, 2)
    with mock.patch.object(nn.Module, 'compile') as compiled:
        CompileHook(backend='eager').before_run(runner)
    compiled.assert_called_once_with(backend='eager')
    assert runner.logger.info.call_args.args[0].endswith(': backbone')


def test_a_machine_that_cannot_compile():
    says = r"^--compile: torch can't compile for cpu here: no c\+\+ here$"
    error = RuntimeError('\nno c++\n  here')
    with mock.patch('torch.compile', side_effect=error), pytest.raises(UserError, match=says):
        require_compiler(torch.device('cpu'))


def test_a_model_of_other_parts():
    with pytest.raises(UserError, match='^--compile: Linear has no backbone, neck, rpn_head or bbox_head$'):
        compile_network(nn.Linear(2, 2))


class Doubling(nn.Module):

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * x


@pytest.mark.parametrize(('mode', 'calls'), [('default', 3), ('reduce-overhead', 2), ('max-autotune', 2)])
def test_no_cuda_graph_is_recorded_in_a_validation(mode: str, calls: int):
    """Without gradients each part would begin a new run of graphs, and free the outputs of the part before."""
    computed = []

    def backend(graph: torch.fx.GraphModule, inputs: list) -> object:
        return lambda *arguments: computed.append(1) or graph.forward(*arguments)

    model = nn.Module()
    model.backbone = Doubling()
    runner, hook = SimpleNamespace(model=model, logger=mock.Mock()), CompileHook(mode, backend=backend)
    hook.before_run(runner)
    model.backbone(torch.ones(1, 2))
    hook.before_val(runner)
    with torch.no_grad():
        model.backbone(torch.ones(1, 2))
    hook.after_val(runner)
    model.backbone(torch.ones(1, 2))
    assert len(computed) == calls


def test_cuda_graphs_are_only_for_constant_shapes():
    options = mode_arguments('reduce-overhead')['options']
    assert options['triton.cudagraphs'] and options['triton.cudagraph_skip_dynamic_graphs']
    with torch._inductor.config.patch(options):
        assert torch._inductor.config.triton.cudagraph_skip_dynamic_graphs
    assert mode_arguments('default') == dict(mode='default')
