"""The commands as processes of their own, without the seconds that a new Python needs to import the libraries.

A fork server, a process with one thread, imports torch, mmdet and what the tools import; each command is a fork of it.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from unittest import mock

# What a command would import in its first seconds. mmaction2 is left out: only some commands import it, and see a scope
# more in mmengine's registries if it is there.
IMPORTED = ['mmext', 'mmext.detection.task', 'mmext.classification.task', 'mmext.engine.run', 'mmext.inference',
            'torch._dynamo', 'mmdet.apis', 'mmdet.engine', 'mmdet.evaluation']
ONE_THREAD = dict(OMP_NUM_THREADS='1')


def run_warm(script: Path, *arguments: str, env: dict | None = None,
             timeout: float = 600) -> subprocess.CompletedProcess:
    """Runs a script as ``python script arguments`` would, in the current folder; output is captured as text."""
    with tempfile.TemporaryDirectory() as folder:
        streams = [Path(folder, name) for name in ('out', 'err')]
        process = start_warm(script, *arguments, env=env, streams=streams)
        process.join(timeout)
        if process.is_alive():
            process.kill()
            raise subprocess.TimeoutExpired([str(script), *arguments], timeout)
        out, err = (stream.read_text(errors='replace') for stream in streams)
    return subprocess.CompletedProcess([str(script), *arguments], process.exitcode, out, err)


def start_warm(script: Path, *arguments: str, streams: Sequence[Path],
               env: dict | None = None) -> multiprocessing.process.BaseProcess:
    """Starts a script as ``run_warm`` does, and does not wait for it: a process that can be killed.

    Args:
        script: of a folder in the repository's root.
        arguments: of the script.
        streams: the files that its standard output and error go to.
        env: beside this process's environment.
    """
    context = multiprocessing.get_context('forkserver')
    with mock.patch.dict(os.environ, ONE_THREAD):
        context.set_forkserver_preload(IMPORTED)
        multiprocessing.forkserver.ensure_running()
    process = context.Process(target=execute, args=(
        [str(script), *arguments], str(script.parents[1]), {**os.environ, **ONE_THREAD, **(env or {})},
        [str(stream) for stream in streams]))
    process.start()
    return process


def execute(command: list[str], folder: str, environment: dict[str, str], streams: list[str]) -> None:
    """In the fork: becomes the command."""
    for number, stream in enumerate(streams, 1):
        os.dup2(os.open(stream, os.O_WRONLY | os.O_CREAT), number)
    sys.stdout, sys.stderr = (os.fdopen(number, 'w', buffering=1, closefd=False) for number in (1, 2))
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    multiprocessing.set_start_method(None, force=True)  # the fork server is none of the command's
    sys.argv = command
    sys.path[0] = os.path.dirname(command[0])
    runpy.run_path(command[0], run_name='__main__')
