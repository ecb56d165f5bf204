"""Where logs go besides the work dir."""

from __future__ import annotations

from pathlib import Path

from mmengine.visualization import WandbVisBackend as MMEngineWandbVisBackend

from mmext.errors import UserError
from mmext.registry import VISBACKENDS


@VISBACKENDS.register_module()
class WandbVisBackend(MMEngineWandbVisBackend):
    """mmengine's ``WandbVisBackend``; a run has the name of its work dir, and a start that fails is told in one line.

    Args:
        save_dir: ``<work dir>/<time>/vis_data``, where wandb keeps its files.
        init_kwargs: arguments of ``wandb.init``.
        kwargs: other arguments of mmengine's.

    Raises:
        UserError: wandb can't start, for example because no key is known.
    """

    def __init__(self, save_dir: str, init_kwargs: dict | None = None, **kwargs) -> None:
        name = Path(save_dir).absolute().parent.parent.name
        super().__init__(save_dir, dict(dict(name=name), **(init_kwargs or {})), **kwargs)

    def _init_env(self) -> None:
        import wandb  # pyright: ignore[reportMissingImports]  optional

        try:
            super()._init_env()
        except (wandb.Error, ValueError) as error:
            raise UserError(f'--wandb: {str(error).rstrip(".")}; set WANDB_MODE=offline in the environment to log '
                            "without Weights & Biases' servers") from None
