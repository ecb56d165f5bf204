"""The plan of a network, as data."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from mmext.backbones import plan

PLAIN = dict(stem='conv7x7', num_stages=4, strides=(1, 2, 2, 2), temporal_strides=(1, 1, 2, 2),
             temporal_kernels=(3, 3, 3, 3), dilations=(1, 1, 1, 1))


def test_the_plan_needs_no_torch() -> None:
    tree = ast.parse(Path(plan.__file__).read_text())
    imports = [node for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom))]
    modules = [getattr(node, 'module', None) or node.names[0].name for node in imports]
    assert 'mmext.errors' in modules
    assert not any(name.partition('.')[0] == 'torch' for name in modules)


@pytest.mark.parametrize(('arch', 'widths', 'out_channels'), [
    (plan.basic(18), (64, 128, 256, 512), (64, 128, 256, 512)),
    (plan.bottleneck(50), (64, 128, 256, 512), (256, 512, 1024, 2048)),
    (plan.bottleneck(50, width=128, expansion=2), (128, 256, 512, 1024), (256, 512, 1024, 2048)),
    (plan.bottleneck(50, width=256, expansion=0.5), (256, 512, 1024, 2048), (128, 256, 512, 1024)),
    (plan.cifar_bottleneck(164), (16, 32, 64), (64, 128, 256)),
])
def test_widths(arch: plan.Arch, widths: tuple, out_channels: tuple) -> None:
    assert (arch.widths, arch.out_channels) == (widths, out_channels)


def test_stages_of_a_plain_network() -> None:
    stages = plan.plan_stages(plan.bottleneck(50), improved_projection=False, **PLAIN)
    assert [stage.stride for stage in stages] == [(1, 1), (1, 2), (2, 2), (2, 2)]
    assert [stage.in_channels for stage in stages] == [64, 256, 512, 1024]
    assert [stage.blocks for stage in stages] == [3, 4, 6, 3]
    assert not any(stage.pooled for stage in stages)


def test_the_improved_projection_takes_the_stem_pool_s_stride() -> None:
    stages = plan.plan_stages(plan.bottleneck(50), improved_projection=True, **PLAIN)
    assert [stage.stride for stage in stages] == [(1, 2), (1, 2), (2, 2), (2, 2)]
    assert all(stage.pooled for stage in stages)


def test_without_a_stem_pool_stage_1_projects_plainly() -> None:
    stages = plan.plan_stages(plan.bottleneck(50), improved_projection=True, **{**PLAIN, 'stem': 'conv3x3'})
    assert [stage.stride[1] for stage in stages] == [1, 2, 2, 2]
    assert [stage.pooled for stage in stages] == [False, True, True, True]


def test_ssd_keeps_the_pool_of_the_stage_whose_stride_it_takes_away() -> None:
    options = {**PLAIN, 'num_stages': 3, 'strides': (1, 2, 1)}
    stages = plan.plan_stages(plan.bottleneck(50), improved_projection=True, **options)
    assert [stage.stride[1] for stage in stages] == [2, 2, 1]
    assert all(stage.pooled for stage in stages)
