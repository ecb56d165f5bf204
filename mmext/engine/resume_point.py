"""The checkpoint that a training resumes from: its checks, and its handover to a runner."""

from __future__ import annotations

from mmengine.config import Config
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner

from mmext.backbones.weights import require_match
from mmext.checkpoints import read_checkpoint, weights_of
from mmext.checkpoints.resume import require_resumable, require_same_groups
from mmext.engine.agreement import sample_count
from mmext.engine.flags.training import require_average
from mmext.engine.resume.changes import check_changed_config, check_changed_data, finished
from mmext.engine.resume.position import ResumableLoop
from mmext.engine.resume.state import read_state
from mmext.engine.wrapper import unwrap_model
from mmext.errors import UserError


class ResumePoint:
    """The checkpoint that a training resumes from, checked before anything is built.

    Args:
        config: names the checkpoint in ``load_from``; gets its seed if the config has none.
        anyway: ``resume_anyway`` of ``train``.

    Raises:
        UserError: the checkpoint was not written by a training, or by one with other settings.
    """

    def __init__(self, config: Config, anyway: bool) -> None:
        self.path, self.anyway = config.load_from, anyway
        content = read_checkpoint(self.path)
        require_resumable(content, self.path)
        require_average(config, content, self.path)
        self.content: dict | None = content
        meta = content['meta']
        self.state = read_state(meta, self.path)
        self.finished = finished(config, meta, self.state)
        if anyway or not self.finished:
            check_changed_config(config, meta, self.state, self.path, anyway)

    def apply_to(self, runner: Runner) -> None:
        """Makes a built runner resume from here. Raises a UserError if model, optimiser or data set do not match."""
        assert self.content is not None, 'applied before'
        require_match(unwrap_model(runner.model), weights_of(self.content), self.path)
        if isinstance(runner.optim_wrapper, OptimWrapper):
            require_same_groups(self.content['optimizer'], runner.optim_wrapper.optimizer, self.path)
        explain_failed_resume(runner)
        loader = runner.train_dataloader
        check_changed_data(self.state, sample_count(loader.dataset), len(loader), self.path, self.anyway)
        if isinstance(runner.train_loop, ResumableLoop):
            runner.train_loop.resume_from(self.state, self.path)
        self.content = None


def explain_failed_resume(runner: Runner) -> None:
    """Makes the runner's ``resume`` raise a UserError that names the file, whatever is malformed in it."""
    original = runner.resume

    def resume(filename: str, *args, **kwargs) -> None:
        try:
            original(filename, *args, **kwargs)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError, AssertionError, RuntimeError) as error:
            raise UserError(f'{filename}: cannot be resumed from ({type(error).__name__}: '
                            f'{" ".join(str(error).split())[:200]}); was it written with the same config?') from None

    runner.resume = resume
