"""What a task is: detection, recognition of actions, or classification.

Each task's room has one object, ``TASK``, that knows all in which the task differs from the others. Whoever needs that,
asks ``task_of(config)``. A method of ``Task`` is the answer for a model of no known task.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from mmengine.config import Config, ConfigDict
from mmengine.dataset import pseudo_collate
from torch import nn
from torch.utils.data import Dataset

from mmext.backbones.backbone import FeatureInfo
from mmext.components import find_component
from mmext.config_tree import datasets_of
from mmext.data.checking import FileCheck, image_checks
from mmext.errors import UserError
from mmext.samples import picture_size, training_pipeline

if TYPE_CHECKING:
    from mmext.inference import Inferencer

# The library that a model's type or a config's default_scope names -> the module with its task.
ROOMS = dict(mmdet='mmext.detection.task', mmaction='mmext.video.task', mmext='mmext.classification.task',
             mmengine='mmext.classification.task')


class Task:
    """A task, or any model of none.

    Attributes:
        name: 'detection', 'recognition' or 'classification'.
        model_kind: what a model of it is called: 'detector', 'recognizer' or 'classifier'.
        base: the name of the class that all its models are of.
        heads: the keys of ``config.model`` whose heads read the last map of a backbone without a neck.
        lays_anchors: whether a model needs maps that lie stride by stride on the image.
        resize_keeps_ratio: what a Resize of the task's library does that does not say.
    """

    name = ''
    model_kind = ''
    base = ''
    heads: tuple[str, ...] = ('head', )
    lays_anchors = False
    resize_keeps_ratio = False

    def is_model(self, model: nn.Module | type) -> bool:
        """Whether a model, or a class of models, is of this task."""
        cls = model if isinstance(model, type) else type(model)
        return bool(self.base) and any(base.__name__ == self.base for base in cls.__mro__)

    # The config.

    def make_safe(self, config: Config) -> None:
        """Replaces what of the task's library ends a run badly by what mmext has for it; in place."""

    def dataset_class(self, dataset: dict, config: Config) -> type:
        """The class of a data set that can be given other classes.

        Raises:
            UserError: its classes are its own.
        """
        component = find_component(dataset['type'], config.get('default_scope'))
        if isinstance(component, type) and hasattr(component, 'classes_from'):
            return component
        raise UserError(f'--classes: the classes of {dataset["type"]} are its own')

    def classes_of_test(self, config: Config) -> tuple[str, ...]:
        """The names of the classes of the test set: the config's, or the data set's own.

        Raises:
            UserError: there is no test set, or it names no classes.
        """
        datasets = datasets_of(config, 'test_dataloader')
        if not datasets:
            raise UserError('test_dataloader: it has no data set, which names the classes')
        dataset = datasets[0]
        component = find_component(dataset['type'], config.get('default_scope'))
        classes = {**getattr(component, 'METAINFO', {}), **(dataset.get('metainfo') or {})}.get('classes')
        if not classes:
            raise UserError(f'test_dataloader.dataset: {dataset["type"]} names no classes; give --classes auto')
        return tuple(classes)

    # The backbone in the model.

    def takes_clips(self, model: Mapping) -> bool:
        """Whether a config's backbone takes clips (N, C, T, H, W)."""
        return model['backbone']['type'].endswith('3d')

    def connect(self, model: dict, features: FeatureInfo) -> None:
        """Writes a new backbone's channels wherever a config's model states them, in place.

        Raises:
            UserError: the neck takes another number of maps.
        """
        if model.get('neck'):
            connect_neck(model['neck'], features.channels())
            return
        for key in self.heads:
            if model.get(key) and 'in_channels' in model[key]:
                model[key]['in_channels'] = features.channels()[-1]

    def stated_numbers(self, model: Mapping, channels: list[int], strides: list[int]) -> Iterator[
            tuple[str, object, object]]:
        """Every place of a model that states channels or strides of the backbone's maps.

        Yields:
            its key, what it says, and what is right.
        """
        if model.get('neck'):
            yield from stated_by_neck(model['neck'], channels)
            return
        for key in self.heads:
            stated = (model.get(key) or {}).get('in_channels')
            if isinstance(stated, int):
                yield f'{key}.in_channels', stated, channels[-1]

    # Samples, and what a model makes of them.

    def sample_shape(self, config: Config, size: Sequence[int] | None = None,
                     frames: int | None = None) -> tuple[int, ...]:
        """The shape of one sample, without the batch, as the training pipeline makes it.

        Args:
            config: the whole config.
            size: (height, width) in pixels in place of the pipeline's.
            frames: of a clip, in place of the pipeline's.

        Returns:
            (3, H, W); of a recognizer (clips, 3, T, H, W) or, in 2D, (frames, 3, H, W).

        Raises:
            UserError: the pipeline does not fix a size, or frames are asked of a model that takes images.
        """
        if frames:
            raise UserError(f'--frames {frames}: this model takes images, not clips')
        return 3, *self.picture_size(config, size)

    def picture_size(self, config: Config, size: Sequence[int] | None = None) -> tuple[int, int]:
        """(height, width) of the training's pictures, or of those that are given. UserError where nothing says so."""
        size = size or picture_size(training_pipeline(config), self.resize_keeps_ratio)
        if not size:
            raise UserError('the training pipeline fixes no size of its images; give --size H W')
        height, width = size
        return height, width

    def made_up_batch(self, shape: Sequence[int], batch: int, num_classes: int, seed: int = 0) -> dict:
        """A batch as a loader gives it: random pixels of uint8, and targets like real ones.

        Args:
            shape: of ``sample_shape``.
            batch: number of samples.
            num_classes: labels are below it.
            seed: the same one, the same batch.
        """
        rng = np.random.default_rng(seed)
        pixels = torch.from_numpy(rng.integers(0, 256, (batch, *shape), np.uint8))
        return self.with_targets(pixels, rng, num_classes)

    def with_targets(self, pixels: torch.Tensor, rng: np.random.Generator, num_classes: int) -> dict:
        """A batch of pixels (N, ...) with made-up targets; see ``made_up_batch``."""
        return dict(inputs=pixels, labels=torch.from_numpy(rng.integers(0, num_classes, len(pixels))))

    head_arguments: Mapping[str, object] = {}  # beside mode='tensor', for the plain forward to go as far as the heads

    def head_outputs(self, model: nn.Module, data: dict) -> object:
        """What a model's last layers give for preprocessed data, before anything is selected."""
        return model(data['inputs'], data.get('data_samples'), mode='tensor', **self.head_arguments)

    def counted_forward(self, model: nn.Module) -> Callable:
        """A call with a batch of inputs that goes once through all layers; FLOPs are counted in it."""
        def forward(inputs: torch.Tensor) -> object:
            return model(inputs, mode='tensor', **self.head_arguments)
        return forward

    def file_checks(self, dataset: Dataset) -> Iterator[FileCheck]:
        """A check of each file of a built data set that a training would read."""
        return image_checks(dataset)

    # The test.

    def metric_of(self, config: Config) -> ConfigDict:
        """The metric of the test, as the config describes it; of several the first of ours, which the flags are for.

        Raises:
            UserError: the config has none.
        """
        metrics = metrics_of(config)
        return next((metric for metric in metrics if str(metric.type).startswith('mmext.')), metrics[0])

    def paper_names(self, config: Config) -> Mapping[str, str]:
        """What papers call the values of the test's metric: its name -> that, in Markdown."""
        metric = find_component(self.metric_of(config).type, config.get('default_scope'), 'METRICS')
        return getattr(metric, 'paper_names', {})

    def detection_metric(self, config: Config, option: str) -> ConfigDict:
        """The metric of a detector's boxes.

        Args:
            config: of the test.
            option: what asks for it, for the message.

        Raises:
            UserError: the config has another one.
        """
        raise UserError(f'{option}: it is for detections of boxes; need a test_evaluator of mmext.CocoMetric, or of '
                        'mmdet.CocoMetric with the metric bbox alone, and this config has '
                        f'{self.metric_of(config).type}')

    def drawing_hook(self, config: Config, folder: str, score: float) -> dict:
        """The config of the hook that draws a test's results into a folder.

        Args:
            config: of the test.
            folder: gets the pictures.
            score: the least score of a detection that is drawn.

        Raises:
            UserError: nothing draws results of this task.
        """
        raise UserError('--show-dir: it draws detections and videos, and this config has none')

    def set_views(self, config: Config, views: str) -> None:
        """Has a test look at so many clips and crops of each video. UserError where there are no videos."""
        raise UserError('--views: needs a config of videos, and this one is of none')

    def set_image_size(self, config: Config, size: int | None, crop_pct: float | None) -> None:
        """Has a test crop its images to another size. UserError where the config does not resize and crop."""
        raise UserError(f'{"--crop-pct" if size is None else "--img-size"}: needs a config of class folders, whose '
                        'test pipeline has a Resize of the short side and then a CenterCrop')

    def keep_detections(self, config: Config, path: str | None, default: str) -> str | None:
        """Has a test of a detector keep its detections.

        Args:
            config: changed in place.
            path: of the file, from ``--save-detections``.
            default: where they go if ``path`` is None.

        Returns:
            The file's path; None where nothing is detected.

        Raises:
            UserError: a path is given where nothing is detected, or the file can't be written.
        """
        if path:
            self.detection_metric(config, '--save-detections')
        return None

    def evaluate_file(self, config: Config, path: str) -> dict[str, float]:
        """Evaluates a file in COCO's result format; the config gives annotation file and classes, no model is built.

        Returns:
            The metrics, under the names that ``engine.run.test`` gives them.

        Raises:
            UserError: the config is not a detector's, or the file is missing or malformed.
        """
        self.detection_metric(config, '--detections')
        return {}

    def require_report(self, config: Config, folder: str) -> None:
        """Raises a UserError where ``write_report`` can't write a page of this config's test into a folder."""
        self.detection_metric(config, '--report')

    def write_report(self, config: Config, folder: str, title: str, detections: str, metrics: Mapping[str, float],
                     history: Sequence[dict], score: float) -> Path:
        """Writes ``--report``'s page from what a test has left.

        Args:
            config: of the test.
            folder: gets the page.
            title: its heading.
            detections: their file.
            metrics: as they were printed.
            history: records of the training, as ``read_scalars`` returns them.
            score: the least score of detections in pictures and confusion matrix.

        Returns:
            The page's file.

        Raises:
            UserError: there is no report of this task, or a file has become unreadable.
        """
        self.require_report(config, folder)
        raise NotImplementedError

    # Inference on a user's own files.

    def require_model(self, config: Config) -> None:
        """Raises a UserError where a config's model is not of this task."""
        kind = (config.get('model') or {}).get('type')
        cls = find_component(kind, config.get('default_scope'), 'MODELS')
        if not (isinstance(cls, type) and self.is_model(cls)):
            raise UserError(f'{config.filename}: its model is {kind or "missing"}, no '
                            f'{self.model_kind or "detector, recognizer or classifier"}')

    def inference_pipeline(self, config: Config) -> list[dict]:
        """The steps from an item to the model's input: the test pipeline, but for what reads annotations.

        Raises:
            UserError: the config's test pipeline can't be used for that.
        """
        raise NotImplementedError

    def prepare(self, pipeline: Callable, item: Any, path: str) -> dict:
        """Sends one item, a picture or a path, through the built ``inference_pipeline``."""
        raise NotImplementedError

    collate = staticmethod(pseudo_collate)  # prepared items -> a batch

    def result(self, inferencer: Inferencer, item: Any, data: dict, sample: Any) -> object:
        """The typed result of an item.

        Args:
            inferencer: that was called.
            item: with which it was called.
            data: the model's input.
            sample: the model's output.
        """
        raise NotImplementedError

    def known_classes(self, model: nn.Module) -> tuple[str, ...] | None:
        """The classes of a model whose checkpoint names none; None where nothing tells."""
        return None


def task_of(config: Config) -> Task:
    """The task of a config: by the library that its model's type names, or else by its ``default_scope``."""
    kind = (config.get('model') or {}).get('type')
    library = (kind if isinstance(kind, str) and '.' in kind else getattr(kind, '__module__', '')).partition('.')[0]
    room = ROOMS.get(library) or ROOMS.get(config.get('default_scope') or 'mmengine')
    return importlib.import_module(room).TASK if room else Task()


def require_task(config: Config, model_kind: str, remedy: str) -> Task:
    """The task of a config whose model is of one kind.

    Args:
        config: the whole config.
        model_kind: 'detector', 'recognizer' or 'classifier'.
        remedy: what to do where it is another.

    Raises:
        UserError: it is of another kind.
    """
    task = task_of(config)
    if task.model_kind != model_kind:
        kind = (config.get('model') or {}).get('type') or 'missing'
        raise UserError(f'{config.filename}: its model is {kind}, no {model_kind}; {remedy}')
    task.require_model(config)
    return task


def metrics_of(config: Config) -> list[ConfigDict]:
    """The metrics of the test, as the config describes them. UserError where there is none."""
    given = config.get('test_evaluator')
    metrics = given if isinstance(given, list) else [given]
    if not metrics or not all(isinstance(metric, dict) and 'type' in metric for metric in metrics):
        raise UserError('test_evaluator: need a metric, a dict with a type')
    return metrics


def connect_neck(neck: dict, channels: list[int]) -> None:
    """Writes the channels of a backbone's maps into a neck.

    Raises:
        UserError: it takes another number of maps.
    """
    several = isinstance(neck['in_channels'], (list, tuple))
    # A neck with num_outs (FPN and its like) makes the maps that the backbone lacks.
    if several and len(neck['in_channels']) != len(channels) and neck.get('num_outs', 0) < len(channels):
        raise UserError(f'the neck takes {len(neck["in_channels"])} feature maps, the backbone gives {len(channels)}; '
                        'set model.backbone.out_indices in the config')
    neck['in_channels'] = type(neck['in_channels'])(channels) if several else channels[-1]


def first_neck(neck: dict | Sequence[dict]) -> dict:
    """The neck that reads the backbone's maps: the first of a list."""
    return neck if isinstance(neck, dict) else neck[0]


def stated_by_neck(neck: dict | Sequence[dict], channels: list[int]) -> Iterator[tuple[str, object, object]]:
    """What a neck, or the first of a list, says of the backbone's channels; see ``Task.stated_numbers``."""
    first = first_neck(neck)
    stated, place = first.get('in_channels'), 'neck.in_channels' if first is neck else 'neck.0.in_channels'
    if isinstance(stated, (list, tuple)) and sorted(stated) != sorted(channels):  # some count from the last map
        yield place, list(stated), channels
    elif isinstance(stated, int) and stated not in channels:
        yield place, stated, channels[-1]
