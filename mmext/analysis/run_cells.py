"""Runs as cells of a table: which network each has trained on which data, as its config says."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mmext.analysis.runs import Summary, read_log, summarise
from mmext.engine.log import config_of, folders_of, require_once
from mmext.engine.resume.changes import parse_config
from mmext.errors import UserError

OTHERWISE = "; write the results to a CSV file 'method,dataset,value' and compare that"


@dataclass(frozen=True)
class Trained:
    """A run: its results, and what it trained.

    Attributes:
        work_dir: as it was given.
        summary: of the metric.
        network: the name of the backbone; None if it has none.
        data_type: the class of the data set that was validated on; '' if the config is not there.
        data_root: the name of the folder of its data; '' if the config names none.
    """

    work_dir: str
    summary: Summary
    network: str | None
    data_type: str
    data_root: str

    def values(self, best: bool) -> list[float]:
        """The value of the best epoch, or those of the last ones."""
        return [self.summary.best] if best else list(self.summary.last)


def read_trained(work_dirs: Sequence[str | Path], metric: str, last: int = 1) -> list[Trained]:
    """Reads runs; see ``runs.summarise``. Raises a UserError, too, if a run is given twice."""
    require_once(work_dirs)
    return [trained(str(work_dir), summarise(read_log(work_dir), metric, last)) for work_dir in work_dirs]


def trained(work_dir: str, summary: Summary) -> Trained:
    """What a run has trained, from the newest config in its log folders, which is parsed and not run."""
    from mmext.backbones.names import name_of

    texts = [text for text in map(config_of, folders_of(Path(work_dir))) if text]
    try:
        config = parse_config(texts[-1]) if texts else {}
    except ValueError as error:
        raise UserError(f'{work_dir}: the config in its log is not valid Python ({error})') from None
    backbone = part(config, 'model', 'backbone')
    data = part(config, 'val_dataloader', 'dataset')
    while isinstance(data.get('dataset'), dict):
        data = data['dataset']
    network = name_of(dict(backbone, type=str(backbone.get('type')).removesuffix('3d')))
    return Trained(work_dir, summary, network, str(data.get('type') or '').rpartition('.')[2],
                   Path(str(data.get('data_root') or '')).name)


def part(config: dict, *keys: str) -> dict:
    """The dict below some keys; an empty one if there is none."""
    for key in keys:
        value = config.get(key)
        config = value if isinstance(value, dict) else {}
    return config


def data_names(runs: Sequence[Trained]) -> list[str]:
    """The name of the data of each run: the folder of the data; with the class where one folder has data of several."""
    types = defaultdict(set)
    for run in runs:
        types[run.data_root].add(run.data_type)
    return [run.data_type if not run.data_root else run.data_root if len(types[run.data_root]) == 1
            else f'{run.data_root} ({run.data_type})' for run in runs]


def compared_cells(runs: Sequence[Trained], best: bool) -> dict[tuple[str, str], list[float]]:
    """The values of networks on data sets: (data, network) -> the values of all repetitions.

    Raises:
        UserError: a config does not say what was trained, or two recipes have trained the same network on the same
            data, so that the network's name does not tell them apart.
    """
    found: dict[tuple[str, str], list[Trained]] = defaultdict(list)
    for run, data in zip(runs, data_names(runs)):
        if not run.network or not data:
            lacks = 'network of a known name' if data else 'data set'
            raise UserError(f'{run.work_dir}: the config in its log has no {lacks}{OTHERWISE}')
        others = found[data, run.network]
        if others and others[0].summary.recipe != run.summary.recipe:
            raise UserError(f'{others[0].work_dir} and {run.work_dir} have both trained {run.network} on {data}; if '
                            f'they are repetitions, name them NAME_seed0 and NAME_seed1, else leave one out{OTHERWISE}')
        others.append(run)
    return {cell: [value for run in others for value in run.values(best)] for cell, others in found.items()}


def drawn_cells(runs: Sequence[Trained], best: bool) -> dict[tuple[str, str], list[float]]:
    """As ``compared_cells``, for any runs: a recipe whose network's name does not tell it apart has its own name."""
    names, recipes = data_names(runs), defaultdict(set)
    for run, data in zip(runs, names):
        recipes[data, run.network].add(run.summary.recipe)
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    for run, data in zip(runs, names):
        told = run.network and len(recipes[data, run.network]) == 1
        found[data, run.network if told and run.network else run.summary.recipe] += run.values(best)
    return dict(found)
