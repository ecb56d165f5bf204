"""mmdet's and mmaction2's steps that read files become ours, where ours can do what they are asked for."""

from __future__ import annotations

import pytest

from mmext.data.standard import read_with_ours


@pytest.mark.parametrize('step, ours', [
    (dict(type='LoadImageFromFile'), dict(type='mmext.LoadImage')),
    (dict(type='mmdet.LoadImageFromFile', backend_args=None), dict(type='mmext.LoadImage')),
    (dict(type='LoadImageFromFile', _scope_='mmdet'), dict(type='mmext.LoadImage')),
    (dict(type='mmcv.LoadImageFromFile', backend_args=dict(backend='local')),
     dict(type='mmext.LoadImage', backend_args=dict(backend='local'))),
    (dict(type='DecordInit', num_threads=2), dict(type='mmext.OpenVideo', threads=2)),
    (dict(type='mmaction.DecordDecode'), dict(type='mmext.DecodeVideo')),
    (dict(type='RawFrameDecode'), dict(type='mmext.DecodeFrames')),
    (dict(type='mmext.LoadImage', bits=12), dict(type='mmext.LoadImage', bits=12)),
])
def test_standard_steps_become_ours(step: dict, ours: dict):
    assert read_with_ours([step], 'skip', 'log.txt') == [dict(ours, on_error='skip', log_file='log.txt')]


@pytest.mark.parametrize('step', [
    dict(type='LoadImageFromFile', color_type='grayscale'), dict(type='DecordDecode', mode='efficient'),
    dict(type='other.DecordInit'), dict(type='Resize', scale=(3, 3)), dict(type=dict), print])
def test_others_stay(step: object):
    assert read_with_ours([step], 'skip') == [step]


def test_what_one_of_ours_says_itself_counts():
    step = dict(type='mmext.LoadImage', on_error='blank', log_file='a.txt')
    assert read_with_ours([step], 'raise', 'b.txt') == [step]
