"""A training begins with some twenty lines on the screen; the environment and the config are in its log file."""

from __future__ import annotations

import re
from pathlib import Path

from mmengine.config import Config
from mmengine.config import config as config_module

from mmext.engine.summary import counted
from tests.conftest import CONFIG, ROOT
from tests.engine.resume.test_exact import RECIPE, cifar, classifier  # noqa: F401  a fixture
from tests.tools.helpers import succeeded


def test_a_summary_is_on_the_screen_and_the_rest_in_the_log(cifar: Path, tmp_path: Path):  # noqa: F811
    start = classifier(cifar, RECIPE, options=('train_dataloader.num_workers=0', 'train_cfg.max_epochs=1'))
    printed = succeeded(start(tmp_path / 'w', '--seed', 7))
    before = printed.partition('Epoch(train)')[0].splitlines()
    assert len(before) <= 24, printed
    assert 'Config:' not in printed and 'Hooks will be executed' not in printed and 'sys.platform' not in printed
    log, = (tmp_path / 'w').glob('*/*.log')
    whole = log.read_text()
    assert 'Config:\n' in whole and 'Hooks will be executed' in whole and 'sys.platform' in whole
    for text in (printed, whole):
        assert f'config: {RECIPE}' in text and f'training data: 80 samples in 8 batches, 0 workers, {cifar}' in text
        assert 'validation data: 16 samples in 1 batch, 0 workers' in text
        assert re.search(r'model: Classifier, RiR of depth 32, 0\.\d\d M parameters\n', text)
        assert 'schedule: 1 epoch, SGD, lr 0.02, seed 7\n' in text
        assert f'work dir: {tmp_path}/w\n' in text and f'log: {log}, ' in text
        assert 'device: the processor with 1 thread, torch ' in text


def test_plurals():
    things = [counted(number, thing) for number in (1, 2) for thing in ('batch', 'epoch', 'sample')]
    assert things == ['1 batch', '1 epoch', '1 sample', '2 batches', '2 epochs', '2 samples']


def test_a_config_is_laid_out_once():
    config = Config.fromfile(ROOT / CONFIG)
    before = config_module.FormatCode.cache_info()
    texts = {config.pretty_text for _ in range(3)}
    after = config_module.FormatCode.cache_info()
    assert len(texts) == 1 and after.misses - before.misses <= 1 and after.hits - before.hits >= 2
