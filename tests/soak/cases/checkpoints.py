"""Checkpoints, whole ones, damaged ones and malformed ones, in both forms.

Oracle: what was written. A damaged file that is accepted holds exactly that.
"""

from __future__ import annotations

import copy
import io
from pathlib import Path

import torch
from hypothesis import strategies as st
from mmengine.logging import HistoryBuffer

from mmext.checkpoints import read_checkpoint
from mmext.checkpoints.format import write_weights
from mmext.checkpoints.last import newest_checkpoint
from mmext.checkpoints.resume import require_resumable
from mmext.errors import UserError
from tests.soak.cases.junk import CHANGES, DAMAGE, changed, damaged

ALLOWED = ()
draw = st.one_of(st.tuples(st.sampled_from(['epoch_1.pth', 'weights.safetensors']), DAMAGE),
                 st.tuples(st.just('malformed'), CHANGES))


def content() -> dict:
    weights = {f'layer{i}.weight': torch.arange(12, dtype=torch.float32).reshape(3, 4) + i for i in range(3)}
    state = {i: dict(momentum_buffer=torch.ones(3, 4) * i) for i in range(3)}
    groups = [dict(params=[0, 1, 2], lr=0.1, momentum=0.9, weight_decay=0.0)]
    hub = dict(log_scalars={'train/loss': HistoryBuffer([1.0, 2.0], [1, 1])}, runtime_info=dict(epoch=0, iter=3),
               resumed_keys={})
    return dict(meta=dict(epoch=1, iter=3, seed=0, dataset_meta=dict(classes=('a', 'b'))), state_dict=weights,
                optimizer=dict(state=state, param_groups=groups), message_hub=hub, param_schedulers=[dict(last_step=3)])


def check(example: tuple, folder: Path) -> None:
    kind, damage = example
    if kind == 'malformed':
        path = folder / 'epoch_2.pth'
        torch.save(changed(copy.deepcopy(content()), damage), path)
        try:
            require_resumable(read_checkpoint(path), path)
        except UserError:
            find_newest(folder)
            raise
        return
    path = folder / kind
    if kind.endswith('.pth'):
        buffer = io.BytesIO()
        torch.save(content(), buffer)
        path.write_bytes(damaged(buffer.getvalue(), damage))
    else:
        write_weights(path, content()['state_dict'])
        path.write_bytes(damaged(path.read_bytes(), damage))
    found = read_checkpoint(path)
    expected = content()
    for part in ('state_dict', 'meta', 'optimizer') if kind.endswith('.pth') else ('state_dict', ):
        assert same(found.get(part), expected[part]), f'{part} is read otherwise than it was written'


def find_newest(folder: Path) -> None:
    try:
        newest_checkpoint(folder)
    except UserError as error:
        assert '\n' not in str(error)


def same(one: object, other: object) -> bool:
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict) and isinstance(other, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and one == other
