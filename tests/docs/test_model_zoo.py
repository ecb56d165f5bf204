"""The model zoo is what the configs say, and OpenMMLab's tools find our configs through it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from mmengine.config import Config
from mmengine.hub import get_config

import model_zoo

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = {'ssd300_iresnet50_coco', 'faster_rcnn_rir18_wide_fpn_coco', 'iresnet3d18_motion', 'rir_cifar100'}


@pytest.fixture(scope='module')
def meta() -> dict[str, dict]:
    return {model['Name']: model for model in yaml.safe_load((ROOT / model_zoo.META).read_text())['Models']}


def test_every_config_is_in_it(meta: dict[str, dict]):
    configs = {path.stem for path in (ROOT / 'configs').rglob('*.py') if '_base_' not in path.parts}
    assert {*meta} == configs
    page = (ROOT / model_zoo.PAGE).read_text()
    assert all(f'[`{name}`]' in page for name in configs)


@pytest.mark.parametrize('name', sorted(SAMPLE))
def test_what_it_says_is_what_the_configs_are(meta: dict[str, dict], name: str):
    """``tools/docs/make.py --check`` looks at all of them, in half a minute."""
    entry = model_zoo.entry(ROOT, ROOT / meta[name]['Config'])
    assert model_zoo.model(entry) == meta[name]
    assert model_zoo.row(entry) in (ROOT / model_zoo.PAGE).read_text().splitlines()


def test_a_changed_page_is_stale(tmp_path: Path):
    made = {model_zoo.PAGE: 'a page\n', model_zoo.INDEX: 'an index\n'}
    (tmp_path / 'docs').mkdir()
    (tmp_path / model_zoo.PAGE).write_text('another page\n')
    assert model_zoo.stale(tmp_path, made) == [model_zoo.PAGE, model_zoo.INDEX]


@pytest.mark.parametrize('name', ['ssd300_iresnet50_coco.py', 'classification/iresnet_cifar10.py'])
def test_a_config_is_found_by_the_package_s_name(tmp_path: Path, name: str):
    """As a base, whose components keep the scope of the file, and by ``get_config``."""
    child = tmp_path / 'child.py'
    child.write_text(f"_base_ = 'mmext::{name}'\ntrain_cfg = dict(max_epochs=3)\n")
    whole = Config.fromfile(ROOT / 'configs' / name)
    config = Config.fromfile(child)
    assert config.train_cfg.max_epochs == 3 and '_scope_' not in config.model
    assert config.model == whole.model == get_config(f'mmext::{name}').model


def test_names_that_the_package_does_not_have_are_refused(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match='ssd9000'):
        get_config('mmext::ssd9000.py')
    with pytest.raises(ValueError):
        get_config('mmext::a::b')
