"""Where logs go besides the work dir."""

from __future__ import annotations

from pathlib import Path

from mmengine.config import Config
from mmengine.visualization import WandbVisBackend as MMEngineWandbVisBackend

from mmext.config_tree import kind_of
from mmext.errors import UserError
from mmext.files import write_bytes
from mmext.registry import VISBACKENDS

RUN_ID = 'wandb_run'  # the file in the work dir


@VISBACKENDS.register_module()
class WandbVisBackend(MMEngineWandbVisBackend):
    """mmengine's ``WandbVisBackend``; a run has the name of its work dir, and a start that fails is told in one line.

    A training that is resumed in its work dir goes on with its run: the file ``wandb_run`` there has the run's id.

    Args:
        save_dir: ``<work dir>/<time>/vis_data``, where wandb keeps its files.
        init_kwargs: arguments of ``wandb.init``.
        kwargs: other arguments of mmengine's.

    Raises:
        UserError: wandb can't start, for example because no key is known.
    """

    def __init__(self, save_dir: str, init_kwargs: dict | None = None, **kwargs) -> None:
        self.work_dir = Path(save_dir).absolute().parent.parent
        super().__init__(save_dir, dict(dict(name=self.work_dir.name), **(init_kwargs or {})), **kwargs)

    def _init_env(self) -> None:
        import wandb  # pyright: ignore[reportMissingImports]  optional

        note = self.work_dir / RUN_ID
        assert self._init_kwargs is not None  # the constructor gives a name
        if self._init_kwargs.get('resume') and note.is_file():
            self._init_kwargs['id'] = note.read_text().strip()
        try:
            super()._init_env()
        except (wandb.Error, ValueError) as error:
            raise UserError(f'--wandb: {str(error).rstrip(".")}; set WANDB_MODE=offline in the environment to log '
                            "without Weights & Biases' servers") from None
        write_bytes(note, f'{wandb.run.id}\n'.encode())


def continue_wandb_run(config: Config) -> None:
    """Has a training that is resumed go on with its run at Weights & Biases, if it logs there; in place."""
    for backend in (config.get('visualizer') or {}).get('vis_backends') or []:
        if kind_of(backend) == 'WandbVisBackend' and config.get('resume'):
            backend.setdefault('init_kwargs', {})['resume'] = 'allow'
