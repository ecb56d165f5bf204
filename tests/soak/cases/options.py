"""Options of the configs of three tasks, with values of every type: all is built, or refused.

Each case loads a config and builds what it describes, which takes a second or two.
"""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

from hypothesis import strategies as st

from mmext.engine.config import load_config
from tests.engine.test_mutated_options import CONFIGS, READ, VALUES, leaves, try_out, write_data

ALLOWED = ()
draw = st.tuples(st.sampled_from(sorted(CONFIGS)), st.integers(0, 10**6), st.sampled_from(range(len(VALUES))))


@functools.cache
def places(task: str) -> list[str]:
    path, backbone = CONFIGS[task]
    config = load_config(path, backbone=backbone)
    return [place for name in READ if name in config for place in leaves(config._cfg_dict[name], name)]


@functools.cache
def data() -> dict[str, Path]:
    from tests.soak.trainings import MAKE

    folder = Path(tempfile.mkdtemp(prefix='soak_options_'))
    MAKE['detection'](folder / 'detection')
    return dict(write_data(folder / 'folders', folder / 'videos'), detection=folder / 'detection')


def check(example: tuple, folder: Path) -> None:
    task, number, value = example
    path, backbone = CONFIGS[task]
    place = places(task)[number % len(places(task))]
    try:
        try_out(path, backbone, data()[task], {place: VALUES[value]}, folder)
    except Exception as error:
        error.__notes__ = [f'{task}: {place}={VALUES[value]!r}']
        raise
