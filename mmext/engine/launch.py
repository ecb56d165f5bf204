"""Several processes: how they are started, and what makes them one training."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import MutableMapping

import torch
from mmengine.config import Config

from mmext.config_tree import add_hook
from mmext.engine import hooks  # noqa: F401  makes mmext.MeanLogProcessor known
from mmext.errors import UserError

TORCHRUN = ('RANK', 'WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT')
SLURM = {'SLURM_PROCID': 'RANK', 'SLURM_NTASKS': 'WORLD_SIZE', 'SLURM_LOCALID': 'LOCAL_RANK'}


def prepare_processes(config: Config, launcher: str) -> None:
    """Readies a config and this process's environment for its launcher.

    With several processes the logged losses are the mean of all, and batch norms' running statistics, which every
    process gathers from its own share, are averaged after each epoch: all validate the same network, the checkpoint's.

    Args:
        config: changed in place.
        launcher: 'none', 'pytorch' (torchrun) or 'slurm' (srun).

    Raises:
        UserError: the process was not started by that launcher.
    """
    if launcher == 'slurm':
        take_slurm(os.environ)
    absent = [name for name in TORCHRUN if name not in os.environ]
    if launcher == 'pytorch' and absent:
        raise UserError(f'--launcher pytorch: {absent[0]} is not set; start with torchrun --nproc_per_node=N in place '
                        'of python')
    config.launcher = 'none' if launcher == 'none' else 'pytorch'
    if launcher == 'none':
        return
    if not torch.cuda.is_available():
        config.setdefault('model_wrapper_cfg', dict(type='MMDistributedDataParallel', broadcast_buffers=False))
        config.model_wrapper_cfg.device_ids = None
    config.log_processor = {**(config.get('log_processor') or {}), 'type': 'mmext.MeanLogProcessor'}
    add_hook(config, dict(type='SyncBuffersHook'))


def take_slurm(environ: MutableMapping[str, str]) -> None:
    """Sets what torchrun would set from what srun has set; the first node of the job is where all meet.

    mmengine's own way needs a GPU, and takes an error message for the node's name where scontrol fails. The port is
    made of the job's number, so that two jobs on one node do not meet; MASTER_ADDR and MASTER_PORT go before.

    Raises:
        UserError: not under srun, or the first node can't be found out.
    """
    absent = [name for name in (*SLURM, 'SLURM_JOB_ID') if name not in environ]
    if absent:
        raise UserError(f'--launcher slurm: {absent[0]} is not set; start with srun --ntasks=N in front of python')
    environ.update({name: environ[slurm] for slurm, name in SLURM.items()})
    if 'MASTER_ADDR' not in environ:
        environ['MASTER_ADDR'] = first_node(environ.get('SLURM_JOB_NODELIST', environ.get('SLURM_NODELIST', '')))
    environ.setdefault('MASTER_PORT', str(20000 + int(environ['SLURM_JOB_ID']) % 10000))


def first_node(nodes: str) -> str:
    """The first of Slurm's node list, as 'gpu[07-09,12]'; UserError where scontrol does not tell."""
    done = None
    if nodes and shutil.which('scontrol'):
        done = subprocess.run(['scontrol', 'show', 'hostnames', nodes], capture_output=True, text=True)
    if done is None or done.returncode or not done.stdout.split():
        raise UserError(f'--launcher slurm: scontrol does not name the first node of {nodes!r}; set MASTER_ADDR to it')
    return done.stdout.split()[0]
