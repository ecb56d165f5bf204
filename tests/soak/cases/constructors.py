"""Constructors of networks with arguments of every type and range.

Oracle: a network that is built computes, on shapes alone, what its ``feature_info`` says.
"""

from __future__ import annotations

from pathlib import Path

import torch
from hypothesis import strategies as st

import mmext
from tests.soak.cases.junk import VALUES

ALLOWED = (TypeError, ValueError)
NAMES = [name for name in mmext.list_backbones() if not any(size in name for size in ('101', '152', '200', '302', '404',
                                                                                     '1001', '164', '3002'))]
SMALL = st.integers(-1, 5)
RIGHT = {
    'in_channels': st.integers(1, 5),
    'stem': st.sampled_from(['conv7x7', 'deep', 'conv3x3', 'conv1x1', 'conv3x3_twice', None]),
    'num_stages': SMALL, 'strides': st.lists(st.integers(0, 3), min_size=1, max_size=5),
    'dilations': st.lists(st.integers(0, 3), min_size=1, max_size=5), 'out_indices': st.lists(SMALL, max_size=3),
    'frozen_stages': SMALL, 'norm_eval': st.booleans(), 'with_cp': st.booleans(), 'zero_init_residual': st.booleans(),
    'norm_cfg': st.sampled_from([dict(type='BN'), dict(type='GN', num_groups=2), dict(type='SyncBN'), dict(type='x'),
                                 dict(), None]), 'dims': st.sampled_from([2, 3, 1]), 'bare': st.booleans(),
    'temporal_strides': st.lists(st.integers(0, 3), min_size=1, max_size=5),
    'temporal_kernels': st.lists(st.integers(0, 4), min_size=1, max_size=5), 'stem_temporal_stride': SMALL,
    'stem_temporal_kernel': SMALL, 'init_cfg': st.just(None)}
draw = st.tuples(st.sampled_from(NAMES), st.dictionaries(st.sampled_from(list(RIGHT)), st.none(), max_size=3).flatmap(
    lambda chosen: st.fixed_dictionaries({name: st.one_of(RIGHT[name], RIGHT[name], VALUES) for name in chosen})))


def check(example: tuple, folder: Path) -> None:
    name, options = example
    with torch.device('meta'):
        net = mmext.create_backbone(name, **options).eval()
        side = 32 * max(1, net.smallest_input // 32) * 2
        size = (8, side, side) if net.dims == 3 else (side, side)
        with torch.no_grad():
            found = net(torch.empty(1, options.get('in_channels', 3), *size))
    found = [found] if isinstance(found, torch.Tensor) else list(found)
    channels = [feature.shape[1] for feature in found]
    assert channels == list(net.feature_info.channels()), f'{channels}, and it says {net.feature_info.channels()}'
    for feature, reduction in zip(found, net.feature_info.reduction()):
        off = abs(feature.shape[-1] - side / reduction)
        assert off <= 2, f'{side} pixels become {feature.shape[-1]}, and it says {net.feature_info.reduction()}'
