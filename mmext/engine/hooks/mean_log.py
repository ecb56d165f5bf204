"""Averages logged losses over processes."""

from __future__ import annotations

from statistics import fmean

from mmengine.dist import all_gather_object
from mmengine.runner import LogProcessor

from mmext.registry import LOG_PROCESSORS


@LOG_PROCESSORS.register_module()
class MeanLogProcessor(LogProcessor):
    """Logs training values averaged over all processes, so that the loss is that of the whole batch.

    mmengine's ``LogProcessor`` logs the values of the first process, for its share of the batch. The arguments are the
    same. All processes must log at the same iterations.
    """

    def _collect_scalars(self, custom_cfg: list[dict], runner, mode: str, reserve_prefix: bool = False) -> dict:
        own = super()._collect_scalars(custom_cfg, runner, mode, reserve_prefix)
        if mode != 'train':
            return own
        everyone = all_gather_object(own)
        return {name: fmean(tag[name] for tag in everyone if name in tag) for name in own}
