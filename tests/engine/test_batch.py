"""The line about the batch: what an update has, what the recipe has, the learning rate."""

from __future__ import annotations

import pytest

from mmext.engine.batch import batch_line


@pytest.mark.parametrize('given, words, fits', [
    ((32, 8, 1, 0.02, dict(base_batch_size=256)),
     'batch: 256 samples per update (8 processes x 32), the recipe has 256; learning rate 0.02', True),
    ((8, 1, 1, 0.02, dict(base_batch_size=256)),
     'the learning rate stays 0.02, scaled linearly it would be 0.000625', False),
    ((8, 1, 4, 0.02, dict(base_batch_size=256, enable=True)),
     '32 samples per update (4 batches x 8), the recipe has 256; learning rate 0.02 x 32 / 256 = 0.0025', True),
    ((2, 2, 4, 0.02, dict(base_batch_size=16)),
     '(2 processes x 4 batches x 2), the recipe has 16; learning rate', True),
    ((2, 1, 1, 0.02, {}), 'batch: 2 samples per update; the config does not state', True),
    ((8, 2, 4, 0.02, dict(base_batch_size=64), 6),
     'batch: 64 samples per update (2 processes x 4 batches x 8), of which the training set has 6, the recipe', True),
    ((8, 1, 1, 0.02, {}, 8), 'batch: 8 samples per update; the config does not state', True),
    ((2, 1, 1, None, dict(base_batch_size=4)), "the learning rate is the optimizer's own", False),
])
def test_line(given: tuple, words: str, fits: bool):
    line, found = batch_line(*given)
    assert words in line and found is fits
