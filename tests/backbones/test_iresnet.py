"""ResStage and iResNet: which block has which parameters, by the names of the authors' checkpoints."""

from __future__ import annotations

import pytest

from tests.backbones.helpers import on_meta

NORM = ('weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked')


def names_of(depth_blocks: tuple[int, ...], convolutions: int, projected: dict[int, tuple[int, int]]) -> set[str]:
    """The authors' tensor names: ``projected`` has, for each stage that projects, where its conv and norm stand."""
    names = {'conv1.weight'} | {f'bn1.{part}' for part in NORM}
    for stage, blocks in enumerate(depth_blocks, 1):
        for i in range(blocks):
            start, end = i == 0, i == blocks - 1
            norms = [f'bn{k}' for k in range(1, convolutions)]
            norms += ['bn0'] if i > 1 else []  # neither Start nor the block after it
            norms += [f'bn{convolutions}'] if start or end else []
            names |= {f'layer{stage}.{i}.conv{k}.weight' for k in range(1, convolutions + 1)}
            names |= {f'layer{stage}.{i}.{norm}.{part}' for norm in norms for part in NORM}
        if stage in projected:
            conv, norm = projected[stage]
            names |= {f'layer{stage}.0.downsample.{conv}.weight'}
            names |= {f'layer{stage}.0.downsample.{norm}.{part}' for part in NORM}
    return names


PLAIN, POOLED = (0, 1), (1, 2)


@pytest.mark.parametrize(('name', 'blocks', 'convolutions', 'projected'), [
    ('iresnet50', (3, 4, 6, 3), 3, dict.fromkeys((1, 2, 3, 4), POOLED)),
    ('iresgroup50', (3, 4, 6, 3), 3, dict.fromkeys((1, 2, 3, 4), POOLED)),
    ('resstage50', (3, 4, 6, 3), 3, dict.fromkeys((1, 2, 3, 4), PLAIN)),
    ('iresnet18', (2, 2, 2, 2), 2, dict.fromkeys((2, 3, 4), POOLED)),
    ('iresnet34', (3, 4, 6, 3), 2, dict.fromkeys((2, 3, 4), POOLED)),
    ('iresnet164_cifar', (18, 18, 18), 3, {1: PLAIN, 2: POOLED, 3: POOLED}),
])
def test_names_are_the_authors(name: str, blocks: tuple, convolutions: int, projected: dict) -> None:
    assert set(on_meta(name).state_dict()) == names_of(blocks, convolutions, projected)


def test_a_stage_of_two_blocks_ends_without_the_leading_norm() -> None:
    end = on_meta('iresnet18').layer2[1]
    assert not hasattr(end, 'bn0')
    assert hasattr(end, 'bn2')


@pytest.mark.parametrize('name', ['iresnet18', 'iresnet34'])
def test_the_bare_max_pool_has_no_parameters(name: str) -> None:
    downsample = on_meta(name).layer1[0].downsample
    assert downsample is not None
    assert list(downsample.state_dict()) == []


@pytest.mark.parametrize('name', ['iresnet50', 'iresgroup50', 'resmax50', 'iresnet164_cifar'])
def test_no_stem_pool_beside_the_improved_projection(name: str) -> None:
    assert on_meta(name).maxpool is None
