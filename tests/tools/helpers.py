"""The commands without the seconds that a new process takes to start."""

from __future__ import annotations

import contextlib
import io
import os
import runpy
import subprocess
import sys
from unittest import mock

from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import DefaultScope
from mmengine.visualization import Visualizer

from tests.conftest import ROOT

KEPT_BY_MMENGINE = (DefaultScope, MessageHub, MMLogger, Visualizer)  # by name, from one run of a process to the next


def here(script: str, *arguments: object) -> subprocess.CompletedProcess:
    """Runs a script of tools/ in this process, as Python would: its exit code and what it printed."""
    command = [str(ROOT / 'tools' / script), *map(str, arguments)]
    out, err = io.StringIO(), io.StringIO()
    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.object(sys, 'argv', command))
        stack.enter_context(mock.patch.dict(os.environ, LOCAL_RANK='0'))
        for manager in KEPT_BY_MMENGINE:
            stack.enter_context(mock.patch.dict(manager._instance_dict, clear=True))
        stack.enter_context(contextlib.redirect_stdout(out))
        stack.enter_context(contextlib.redirect_stderr(err))
        try:
            runpy.run_path(command[0], run_name='__main__')
            code = 0
        except SystemExit as end:
            code = end.code
    return subprocess.CompletedProcess(command, code, out.getvalue(), err.getvalue())


def succeeded(done: subprocess.CompletedProcess) -> str:
    """All that a command printed; it must have ended well."""
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout + done.stderr
