"""Which parts of which networks are drawn; there is one picture for each family."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor

from mmext.backbones import create_backbone
from mmext.backbones.meta import on_meta
from mmext.backbones.recursion import History
from network_docs.dataflow import DataFlow, record, tensors_in
from network_docs.svg import Panel


@dataclass(frozen=True)
class Piece:
    """The part of a network that a panel shows: some blocks, or the stem (stage 0).

    ``stage`` counts from 1, ``block`` from 0, as the parameter names ``layer{stage}.{block}`` do.
    """

    title: str
    note: str
    network: str
    stage: int = 2
    block: int = 0
    blocks: int = 1
    options: Mapping[str, Any] = field(default_factory=dict)


def stem(name: str, note: str, network: str, **options) -> Piece:
    """A panel of the stem of a network."""
    return Piece(name, note, network, stage=0, options=options)


def formula(title: str, name: str) -> Piece:
    """A panel of two blocks in the middle of a stage, which shows what one passes to the other."""
    return Piece(title, f"formula='{name}'", 'resnet34_recursive', 1, 1, 2, dict(formula=name))


# Picture -> title, rows of panels.
PICTURES: dict[str, tuple[str, list[list[Piece]]]] = {
    'stems': ('Stems', [[
        stem('conv7x7', '224 pixels', 'resnet50'),
        stem('conv7x7', 'before improved projections', 'iresnet50'),
        stem('conv3x3', 'CIFAR', 'resnet18_recursive'),
        stem('conv1x1', 'ResNeXt29', 'resnext29_2x64d'),
        stem('conv3x3_twice', 'C-ResNet', 'cresnet18_a'),
        stem('deep', 'timm\'s resnet50d', 'resnet50d'),
    ]]),
    'resnet': ('ResNet, pre-activation ResNet and ResMax', [[
        Piece('ResNet', 'stage 2, first', 'resnet50'),
        Piece('ResNet', 'stage 2, further', 'resnet50', block=1),
        Piece('avg_down=True', 'stage 2, first', 'resnet50_avgdown'),
    ], [
        Piece('Pre-activation', 'stage 2, first', 'preact_resnet50'),
        Piece('Pre-activation', 'stage 2, further', 'preact_resnet50', block=1),
        Piece('ResMax', 'stage 2, first', 'resmax50'),
    ]]),
    'resstage': ('ResStage and iResNet', [[
        Piece('ResStage: Start', 'stage 2, first', 'resstage50'),
        Piece('First Middle', 'stage 2, second', 'resstage50', block=1),
        Piece('Middle', 'stage 2, third', 'resstage50', block=2),
        Piece('End', 'stage 2, last', 'resstage50', block=3),
        Piece('iResNet: Start', 'the others are ResStage\'s', 'iresnet50'),
    ]]),
    'resgroup': ('ResNeXt, ResGroup and iResGroup', [[
        Piece('ResNeXt', 'stage 2, further', 'resnext50_32x4d', block=1),
        Piece('ResGroup', 'stage 2, further', 'resgroup50', block=1),
        Piece('ResGroupFix', 'stage 2, further', 'resgroupfix50', block=1),
        Piece('iResGroup', 'stage 2, Middle', 'iresgroup50', block=2),
        Piece('iResGroupFix', 'stage 2, Middle', 'iresgroupfix50', block=2),
    ]]),
    'cresnet_a': ('C-ResNet A', [[
        Piece('A', 'stage 2, first', 'cresnet27_a'),
        Piece('A1', 'stage 2, first', 'cresnet27_a1'),
        Piece('A2', 'stage 2, first', 'cresnet27_a2'),
    ], [
        Piece('A', 'stage 2, further', 'cresnet27_a', block=1),
        Piece('A1', 'stage 2, further', 'cresnet27_a1', block=1),
        Piece('A2', 'stage 2, further', 'cresnet27_a2', block=1),
    ]]),
    'cresnet_b': ('C-ResNet B', [[
        Piece('B', 'stage 2', 'cresnet27_b'),
        Piece('B1', 'stage 1', 'cresnet27_b1', stage=1),
        Piece('B1', 'stage 2', 'cresnet27_b1'),
    ], [
        Piece('B2', 'stage 2', 'cresnet27_b2'),
        Piece('B3', 'stage 2', 'cresnet27_b3'),
    ]]),
    'cresnet_c': ('C-ResNet C', [[
        Piece('C', 'stage 2, first', 'cresnet27_c'),
        Piece('C1', 'stage 2, first', 'cresnet27_c1'),
    ], [
        Piece('C', 'stage 2, further', 'cresnet27_c', block=1),
        Piece('C1', 'stage 2, further', 'cresnet27_c1', block=1),
    ]]),
    'recursion': ('Recursion formulas', [[
        formula('Plain ResNet', 'resnet'),
        formula('Eq. 20, the design', 'eq20'),
        Piece('Eq. 20', 'first of stage 2', 'resnet34_recursive'),
    ], [
        formula('Eq. 21', 'eq21'),
        formula('Appendix, first', 'appendix1'),
        formula('Appendix, second', 'appendix2'),
    ]]),
    'branches': ('Branches that the formulas run on', [[
        Piece('SE-ResNet', 'seresnet34', 'seresnet34', 1, 1),
        Piece('SE-ResNet', 'seresnet50', 'seresnet50', 1, 1),
        Piece('ResNeXt29', 'resnext29_2x64d', 'resnext29_2x64d', 1, 1),
        Piece('Res2NeXt29', 'res2next29_6c24w4s', 'res2next29_6c24w4s', 1, 1),
    ]]),
    'rir': ('ResNet in ResNet and ALL-CNN-C', [[
        Piece('CNN', 'stage 2, further', 'rir_cnn32', block=1),
        Piece('ResNet', 'stage 2, further', 'rir_resnet32', block=1),
        Piece('ResNet Init', 'stage 2, further', 'rir_init32', block=1),
        Piece('RiR', 'stage 2, further', 'rir32', block=1),
        Piece('RiR', 'stage 2, first', 'rir32'),
    ], [
        Piece('ALL-CNN-C', 'stage 1', 'all_cnn_c', stage=1),
        Piece('ALL-CNN-C', 'stage 2', 'all_cnn_c', stage=2, blocks=3),
        Piece('ALL-CNN-C', 'stage 3', 'all_cnn_c', stage=3, blocks=3),
        Piece('ALL-CNN-C Init', 'stage 2', 'all_cnn_c_init', stage=2, blocks=3),
    ]]),
}


def panels(picture: str) -> list[list[Panel]]:
    """The panels of a picture, in rows, recorded from the networks as they are built now."""
    _, rows = PICTURES[picture]
    return [[Panel(piece.title, piece.note, data_flow_of(piece)) for piece in row] for row in rows]


def data_flow_of(piece: Piece) -> DataFlow:
    """Builds the network on the meta device, runs it up to the part that is drawn, and records that."""
    with on_meta():
        network = create_backbone(piece.network, **{'num_stages': max(1, piece.stage), **piece.options}).eval()
        image = torch.empty(1, 3, 64, 64)
        if piece.stage == 0:
            return record([network.forward_stem], image, [network], [names_of, names_of])
        with torch.no_grad():
            state = network.begin(network.forward_stem(image))
            for number in range(1, piece.stage):
                state = getattr(network, f'layer{number}')(state)
            stage = getattr(network, f'layer{piece.stage}')
            state = stage[:piece.block](state)
        blocks = stage[piece.block:piece.block + piece.blocks]
        return record(blocks, state, blocks, [partial(names_of, back=piece.blocks - i) for i in range(len(blocks) + 1)])


def names_of(state: Any, back: int = 0) -> dict[str, Tensor]:
    """The names of the tensors of a state after the block that is ``back`` blocks before the last one drawn."""
    if isinstance(state, Tensor):
        return {f'{state.shape[1]} channels': state}
    if not isinstance(state, History):
        return {f'{i}: {tensor.shape[1]} channels': tensor for i, tensor in enumerate(tensors_in(state))}
    names = {f'X[{step(back + k)}]': output for k, output in enumerate(state.outputs)}
    names |= {f'W[{step(back + k)}] X[{step(back + k + 1)}]': branch for k, branch in enumerate(state.branches)}
    return names | ({} if state.origin is None else {'X[0]': state.origin})


def step(back: int) -> str:
    """'i', or 'i−2' for two blocks before."""
    return f'i−{back}' if back else 'i'
