"""configs/README.md lists every config under its task, and each part below _base_ is used."""

from __future__ import annotations

import re

import pytest
from mmengine.config import Config

from mmext.engine.config import read_config
from tests.conftest import ROOT

FOLDER = ROOT / 'configs'
CONFIGS = sorted(str(path.relative_to(FOLDER)) for path in FOLDER.rglob('*.py') if '_base_' not in path.parts)
SCOPES = {'Detection': 'mmdet', 'Action recognition': 'mmaction', 'Classification': 'mmengine'}


@pytest.fixture(scope='module')
def listed() -> dict[str, list[str]]:
    """The configs in each section's table, by the section's title."""
    sections = re.split(r'^## ', (FOLDER / 'README.md').read_text(), flags=re.M)[1:]
    return {section.partition(':')[0]: re.findall(r'`([\w/]+\.py)`', section) for section in sections
            if section.partition(':')[0] in SCOPES}


def test_every_config_is_listed_once(listed: dict[str, list[str]]) -> None:
    assert sorted(name for names in listed.values() for name in names) == CONFIGS
    assert list(listed) == list(SCOPES)


@pytest.mark.parametrize('task', SCOPES)
def test_the_configs_of_a_section_are_of_its_task(listed: dict[str, list[str]], task: str) -> None:
    assert {read_config(FOLDER / name).get('default_scope') for name in listed[task]} == {SCOPES[task]}


def test_every_part_is_used() -> None:
    """By a config, or by another part that is used."""
    used: set[str] = set()

    def follow(name: str) -> None:
        path = FOLDER / name
        bases = Config._get_base_files(str(path)) if path.is_file() else []
        for base in (str((path.parent / base).resolve().relative_to(FOLDER)) for base in bases if '::' not in base):
            used.add(base)
            follow(base)

    for name in CONFIGS:
        follow(name)
    parts = {str(path.relative_to(FOLDER)) for path in (FOLDER / '_base_').rglob('*.py')}
    assert parts <= used
