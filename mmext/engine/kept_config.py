"""The config that a run leaves in its work dir: all that describes the run, and nothing that leads back to it."""

from __future__ import annotations

import ast
import os

from mmengine.config import Config
from mmengine.dist import master_only

from mmext.files import write_text

OF_A_RUN = ('work_dir', 'load_from', 'resume')


@master_only
def keep_config(config: Config, load_from: str | None) -> None:
    """Writes the config to ``<work dir>/<name of the config>``.

    A run that starts from this file must not write into the folder of this one, nor resume it or start from its
    checkpoints. Therefore ``work_dir``, ``resume`` and the checkpoint that is resumed or tested are left out. Other
    paths of a run (logs, detections, pictures) are never in its config.

    Args:
        config: the config of the run.
        load_from: the checkpoint of initial weights that the config itself named; None for none.
    """
    name = os.path.basename(config.filename) if config.filename else 'config.py'
    write_text(os.path.join(config.work_dir, name), without_run(config.pretty_text, load_from))


def without_run(text: str, load_from: str | None) -> str:
    """The text of a config without the values in ``OF_A_RUN``, except for ``load_from``."""
    lines = text.splitlines(keepends=True)
    for statement in reversed(ast.parse(text).body):
        target = statement.targets[0] if isinstance(statement, ast.Assign) else None
        if isinstance(target, ast.Name) and target.id in OF_A_RUN:
            del lines[statement.lineno - 1:statement.end_lineno]
    return ''.join(lines) + f'load_from = {load_from!r}\n'
