"""What tasks have in common whose models give a score of each class for a sample: classification and recognition."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.registry import DATASETS, init_default_scope

from mmext.components import accepts
from mmext.config_tree import datasets_of
from mmext.errors import UserError
from mmext.files import require_target
from mmext.registry import METRICS
from mmext.task import Task
from mmext.text import require_inside

SCORES = 'scores.npz'
PREFIXES = ('img_path', 'img', 'video')  # keys of a data set's data_prefix


class Scored(Task):
    """A task whose metric keeps the scores of all classes, from which ``--report`` makes its page.

    Attributes:
        accuracy: The type of that metric.
        samples: What the samples are, in the plural.
    """

    accuracy = ''
    samples = ''
    averages_samples = True

    def require_results(self, config: Config, option: str) -> None:
        if self.metric_of(config).type != self.accuracy:
            raise UserError(f'{option}: it needs the scores that {self.accuracy} collects, but the test_evaluator of '
                            f'this config is {self.metric_of(config).type}')

    def results_file(self, config: Config, path: str | None, folder: str, report: bool) -> str | None:
        """``path``, or ``scores.npz`` in the folder if a report is made; the scores of a large test set are large."""
        if not path and not report:
            return None
        self.require_results(config, '--save-scores')
        path = path or str(Path(folder, SCORES))
        require_target(path, '--save-scores')
        return path

    def evaluate_file(self, config: Config, path: str) -> dict[str, float]:
        self.require_results(config, '--scores')
        metric: Any = METRICS.build(self.metric_of(config))
        dataset = (datasets_of(config, 'test_dataloader') or [{}])[0]
        metric.dataset_meta = dict(classes=(dataset.get('metainfo') or {}).get('classes'))
        return metric.evaluate_file(path)

    def require_report(self, config: Config, folder: str) -> None:
        from mmext.report.page import require_report

        self.require_results(config, '--report')
        require_report(folder)

    def write_report(self, config: Config, folder: str, title: str, results: str, metrics: Mapping[str, float],
                     history: Sequence[dict], score: float) -> Path:
        from mmext.classification.report import write_report
        from mmext.classification.scores import read_scores

        return write_report(folder, title, read_scores(results), Pictures(self, config), self.samples, metrics=metrics,
                            history=history)

    def source_of(self, dataset: Any, index: int) -> tuple[int, str | None]:
        """The label of a sample of a data set, and its file or folder; None if it has none of its own."""
        raise NotImplementedError

    def picture_of(self, dataset: Any, index: int) -> np.ndarray:
        """A picture that shows a sample of a data set.

        Returns:
            RGB, uint8, (height, width, 3).

        Raises:
            UserError: The sample can't be read.
        """
        raise NotImplementedError


class Pictures:
    """Draws samples of the test set of a config, called with the position of a sample and its label.

    The data set is built with the first picture. Files that can't be read are an error, also if the test replaced them
    by black ones.

    Raises:
        UserError: In a call: the data set can't be built, has other samples than the test had, or the sample can't be
            read or is outside of the data root.
    """

    def __init__(self, task: Scored, config: Config) -> None:
        self.task = task
        self.config = config
        self.dataset: Any = None

    def __call__(self, index: int, label: int) -> np.ndarray:
        self.dataset = self.dataset or self.build()
        known, path = self.task.source_of(self.dataset, index) if index < len(self.dataset) else (None, None)
        if known != label:
            raise UserError(f'the test set has other {self.task.samples} now, or in another order, than it had in the '
                            'test')
        if path is not None:
            self.require_inside(path)
        return self.task.picture_of(self.dataset, index)

    def require_inside(self, path: str) -> None:
        """Raises a UserError if the name of a file, which comes from annotations, leads out of the data root."""
        prefixes = getattr(self.dataset, 'data_prefix', None) or {}
        folder = next((str(prefixes[key]) for key in PREFIXES if prefixes.get(key)), '')
        name = path[len(folder):].lstrip('/') if folder and path.startswith(folder.rstrip('/') + '/') else path
        require_inside(getattr(self.dataset, 'data_root', None) or '', folder, [name], 'the test set')

    def build(self) -> Any:
        """Builds the test set such that an unreadable file raises a UserError when it is read."""
        config = Config(copy.deepcopy(self.config._cfg_dict))
        scope = config.get('default_scope') or 'mmengine'
        init_default_scope(scope)
        for dataset in datasets_of(config, 'test_dataloader'):
            for part in (dataset, *dataset['pipeline']):
                for key, value in (('on_error', 'raise'), ('on_missing', 'blank'), ('log_file', None)):
                    if accepts(part, key, scope):
                        part[key] = value
        return DATASETS.build(config.test_dataloader.dataset)
