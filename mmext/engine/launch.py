"""Distributed training: launchers, and settings that make several processes one training."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import MutableMapping

import torch
from mmengine.config import Config

from mmext.config_tree import add_hook
from mmext.engine import hooks  # noqa: F401  registers mmext.MeanLogProcessor
from mmext.errors import UserError

TORCHRUN = ('RANK', 'WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT')
SLURM = {'SLURM_PROCID': 'RANK', 'SLURM_NTASKS': 'WORLD_SIZE', 'SLURM_LOCALID': 'LOCAL_RANK'}


def prepare_processes(config: Config, launcher: str) -> None:
    """Prepares a config and the environment of this process for its launcher.

    With several processes, logged losses are averaged over all of them. The running statistics of batch norms, which
    each process computes from its own share of the data, are averaged after each epoch, so that all processes validate
    the network that is saved in the checkpoint.

    Args:
        config: changed in place.
        launcher: 'none', 'pytorch' (torchrun) or 'slurm' (srun).

    Raises:
        UserError: the process was not started by that launcher.
    """
    if launcher == 'slurm':
        set_slurm_environment(os.environ, torch.cuda.device_count())
    absent = [name for name in TORCHRUN if name not in os.environ]
    if launcher == 'pytorch' and absent:
        raise UserError(f'--launcher pytorch: {absent[0]} is not set; start with torchrun --nproc_per_node=N '
                        'instead of python')
    config.launcher = 'none' if launcher == 'none' else 'pytorch'
    if launcher == 'none':
        return
    if not torch.cuda.is_available():
        config.setdefault('model_wrapper_cfg', dict(type='MMDistributedDataParallel', broadcast_buffers=False))
        config.model_wrapper_cfg.device_ids = None
    config.log_processor = {**(config.get('log_processor') or {}), 'type': 'mmext.MeanLogProcessor'}
    add_hook(config, dict(type='SyncBuffersHook'))


def set_slurm_environment(environ: MutableMapping[str, str], gpus: int = 0) -> None:
    """Sets the environment variables of torchrun from those of srun; the master is the first node of the job.

    mmengine's own implementation needs a GPU, and uses an error message as the node name if scontrol fails. The port is
    derived from the job id, so that two jobs on a node do not collide. An existing MASTER_ADDR or MASTER_PORT is kept.

    Args:
        environ: the environment, changed in place.
        gpus: how many GPUs this process sees. With one GPU a task (``srun --gpus-per-task=1``), each sees its own as
            number 0, whatever its number on the node.

    Raises:
        UserError: the process was not started by srun, or the first node can't be determined.
    """
    absent = [name for name in (*SLURM, 'SLURM_JOB_ID') if name not in environ]
    if absent:
        raise UserError(f'--launcher slurm: {absent[0]} is not set; start with srun --ntasks=N python ...')
    environ.update({name: environ[slurm] for slurm, name in SLURM.items()})
    if gpus:
        environ['LOCAL_RANK'] = str(int(environ['LOCAL_RANK']) % gpus)
    if 'MASTER_ADDR' not in environ:
        environ['MASTER_ADDR'] = first_node(environ.get('SLURM_JOB_NODELIST', environ.get('SLURM_NODELIST', '')))
    environ.setdefault('MASTER_PORT', str(20000 + int(environ['SLURM_JOB_ID']) % 10000))


def first_node(nodes: str) -> str:
    """The first node of a Slurm node list such as 'gpu[07-09,12]'. Raises a UserError if scontrol fails."""
    done = None
    if nodes and shutil.which('scontrol'):
        done = subprocess.run(['scontrol', 'show', 'hostnames', nodes], capture_output=True, text=True)
    if done is None or done.returncode or not done.stdout.split():
        raise UserError(f'--launcher slurm: scontrol does not name the first node of {nodes!r}; set MASTER_ADDR to it')
    return done.stdout.split()[0]
