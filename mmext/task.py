"""Tasks: detection, action recognition and classification.

The package of each task has one object, ``TASK``, that implements everything in which the tasks differ. Other code gets
it with ``task_of(config)``. The methods of ``Task`` itself are the defaults, which also serve models of no known task.
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
from mmext.data.decoding import read_rgb
from mmext.data.inputs import SUFFIXES
from mmext.errors import UserError
from mmext.necks import connect_neck, stated_by_neck
from mmext.results import Result
from mmext.samples import Anchors, Shown, picture_size, training_pipeline

if TYPE_CHECKING:
    from mmext.inference import Inferencer

# The library in the model's type, or in the config's default_scope -> the module with its task.
ROOMS = dict(mmdet='mmext.detection.task', mmaction='mmext.video.task', mmext='mmext.classification.task',
             mmengine='mmext.classification.task')
ValLoss = Callable[[nn.Module, dict, Sequence], dict[str, torch.Tensor]]
# The metrics whose results can be kept in a file.
RESULTS = 'mmext.CocoMetric, mmext.Accuracy or mmext.ActionAccuracy'
# What the size of a test's crops can be set for.
CROPPED_FOLDERS = ('a config of class folders, whose test pipeline has a Resize of the short side and then a '
                   'CenterCrop')


class Task:
    """A task; this base class stands for models of no known task.

    Attributes:
        name: 'detection', 'recognition' or 'classification'.
        model_kind: The kind of model: 'detector', 'recognizer' or 'classifier'.
        base: The name of the base class of all its models.
        heads: The keys of ``config.model`` whose heads read the last feature map of a backbone, if there is no neck.
        lays_anchors: Whether models place anchors, which requires feature maps that are aligned with the image.
        resize_keeps_ratio: The default of ``keep_ratio`` for a Resize of the task's library.
        inputs: The kinds of files that its models take: 'images', 'videos' or both.
        detects: Whether its models find boxes, with scores of which a threshold drops the low ones.
        averages_samples: Whether its metrics are means over samples, so that some of the samples can be evaluated.
    """

    name = ''
    model_kind = ''
    base = ''
    heads: tuple[str, ...] = ('head', )
    lays_anchors = False
    resize_keeps_ratio = False
    inputs: tuple[str, ...] = ('images', )
    detects = False
    averages_samples = False

    def is_model(self, model: nn.Module | type) -> bool:
        """Whether a model, or a class of models, is of this task."""
        cls = model if isinstance(model, type) else type(model)
        return bool(self.base) and any(base.__name__ == self.base for base in cls.__mro__)

    def require_operators(self, device: torch.device) -> None:
        """Raises a UserError if a library that the task's models need has no operators for a device."""

    # The config.

    def make_safe(self, config: Config) -> None:
        """Replaces components of the task's library that can fail during a run by those of mmext; in place."""

    def dataset_class(self, dataset: dict, config: Config) -> type:
        """The class of a data set whose classes can be changed.

        Raises:
            UserError: The data set has fixed classes.
        """
        component = find_component(dataset['type'], config.get('default_scope'))
        if isinstance(component, type) and hasattr(component, 'classes_from'):
            return component
        raise UserError(f'--classes: the classes of {dataset["type"]} can\'t be changed')

    def classes_of_test(self, config: Config) -> tuple[str, ...]:
        """The names of the classes of the test set, from the config or else from the class of the data set.

        Raises:
            UserError: There is no test set, or it names no classes.
        """
        datasets = datasets_of(config, 'test_dataloader')
        if not datasets:
            raise UserError('test_dataloader: it has no data set, so the classes are unknown')
        dataset = datasets[0]
        component = find_component(dataset['type'], config.get('default_scope'))
        classes = {**getattr(component, 'METAINFO', {}), **(dataset.get('metainfo') or {})}.get('classes')
        if not classes:
            raise UserError(f'test_dataloader.dataset: {dataset["type"]} names no classes; give --classes auto')
        return tuple(classes)

    # The backbone in the model.

    def takes_clips(self, model: Mapping) -> bool:
        """Whether the backbone of a model's config takes clips (N, C, T, H, W)."""
        return model['backbone']['type'].endswith('3d')

    def connect(self, model: dict, features: FeatureInfo) -> None:
        """Writes the channels of a new backbone into the neck or heads of a model's config, in place.

        Raises:
            UserError: The neck expects another number of feature maps.
        """
        if model.get('neck'):
            connect_neck(model['neck'], features.channels())
            return
        for key in self.heads:
            if model.get(key) and 'in_channels' in model[key]:
                model[key]['in_channels'] = features.channels()[-1]

    def stated_numbers(self, model: Mapping, channels: list[int], strides: list[int]) -> Iterator[
            tuple[str, object, object]]:
        """Finds the keys of a model's config that state channels or strides of the backbone's feature maps.

        Args:
            model: The config of the model.
            channels: The actual channels of each feature map.
            strides: The actual strides of each feature map.

        Yields:
            The key, the stated value and the correct value.
        """
        if model.get('neck'):
            yield from stated_by_neck(model['neck'], channels)
            return
        for key in self.heads:
            stated = (model.get(key) or {}).get('in_channels')
            if isinstance(stated, int):
                yield f'{key}.in_channels', stated, channels[-1]

    # Samples and outputs.

    def sample_shape(self, config: Config, size: Sequence[int] | None = None,
                     frames: int | None = None) -> tuple[int, ...]:
        """The shape of one sample of the training pipeline, without the batch dimension.

        Args:
            config: The whole config.
            size: (height, width) in pixels, instead of the pipeline's.
            frames: Number of frames of a clip, instead of the pipeline's.

        Returns:
            (3, H, W); for a recognizer (clips, 3, T, H, W) or, in 2D, (frames, 3, H, W).

        Raises:
            UserError: The pipeline has no fixed size, or ``frames`` is given for a model that takes images.
        """
        if frames:
            raise UserError(f'--frames {frames}: this model takes images, not clips')
        return 3, *self.picture_size(config, size)

    def picture_size(self, config: Config, size: Sequence[int] | None = None) -> tuple[int, int]:
        """The (height, width) of the training images, unless ``size`` is given.

        Raises:
            UserError: The training pipeline has no fixed size.
        """
        size = size or picture_size(training_pipeline(config), self.resize_keeps_ratio)
        if not size:
            raise UserError('the training pipeline has no fixed image size; give --size H W')
        height, width = size
        return height, width

    def made_up_batch(self, shape: Sequence[int], batch: int, num_classes: int, seed: int = 0) -> dict:
        """A random batch in the form that a loader returns: uint8 pixels and plausible targets.

        Args:
            shape: The shape of a sample, see ``sample_shape``.
            batch: Number of samples.
            num_classes: Number of classes; labels are below it.
            seed: Seed of the random numbers.
        """
        rng = np.random.default_rng(seed)
        pixels = torch.from_numpy(rng.integers(0, 256, (batch, *shape), np.uint8))
        return self.with_targets(pixels, rng, num_classes)

    def with_targets(self, pixels: torch.Tensor, rng: np.random.Generator, num_classes: int) -> dict:
        """Adds random targets to a batch of pixels (N, ...); see ``made_up_batch``."""
        return dict(inputs=pixels, labels=torch.from_numpy(rng.integers(0, num_classes, len(pixels))))

    head_arguments: Mapping[str, object] = {}  # needed besides mode='tensor' for a forward pass through the heads

    def head_outputs(self, model: nn.Module, data: dict) -> object:
        """The raw outputs of a model's heads for preprocessed data, before any post-processing."""
        return model(data['inputs'], data.get('data_samples'), mode='tensor', **self.head_arguments)

    def counted_forward(self, model: nn.Module) -> Callable:
        """A function of a batch of inputs that runs every layer once, for counting FLOPs."""
        def forward(inputs: torch.Tensor) -> object:
            return model(inputs, mode='tensor', **self.head_arguments)
        return forward

    def file_checks(self, dataset: Dataset) -> Iterator[FileCheck]:
        """Yields a check for each file of a data set that a training would read."""
        return image_checks(dataset)

    def shown(self, sample: Any) -> Shown:
        """What a page shows of a sample of a data set, after the whole pipeline.

        Raises:
            UserError: Samples of this task can't be drawn.
        """
        raise UserError('browse: the samples of this config are of no task that mmext knows')

    def anchors(self, config: Config, size: Sequence[int]) -> Anchors | None:
        """The anchors of a detector for an input of (height, width); None if the model has none."""
        return None

    # The validation of a training.

    def val_loss(self, config: Config) -> ValLoss:
        """The function that computes the losses of a batch of the validation set.

        Args:
            config: The whole config.

        Returns:
            A function of the model in eval mode, a batch of the loader, and the model's predictions for it, which
            returns name -> loss, a mean over the samples; the name of the whole loss is ``loss``.

        Raises:
            UserError: There is no loss for this task, or the validation pipeline loads no annotations.
        """
        raise UserError('--val-loss: it is for detectors, recognizers and classifiers, and the model is '
                        f'{(config.get("model") or {}).get("type")}')

    # The test.

    def metric_of(self, config: Config) -> ConfigDict:
        """The config of the test's metric; of several metrics the first one of mmext, to which the flags apply.

        Raises:
            UserError: The config has no metric.
        """
        metrics = metrics_of(config)
        return next((metric for metric in metrics if str(metric.type).startswith('mmext.')), metrics[0])

    def paper_names(self, config: Config) -> Mapping[str, str]:
        """The names that papers use for the values of the test's metric: name -> name in papers, in Markdown."""
        metric = find_component(self.metric_of(config).type, config.get('default_scope'), 'METRICS')
        return getattr(metric, 'paper_names', {})

    def detection_metric(self, config: Config, option: str) -> ConfigDict:
        """The config of the metric for detected boxes.

        Args:
            config: The whole config.
            option: The option that needs it, for the message.

        Raises:
            UserError: The config has another metric.
        """
        raise UserError(f'{option}: it is for detections of boxes; need a test_evaluator of mmext.CocoMetric, or of '
                        'mmdet.CocoMetric with the metric bbox alone, but this config has '
                        f'{self.metric_of(config).type}')

    def drawing_hook(self, config: Config, folder: str, score: float) -> dict:
        """The config of the hook that draws the results of a test.

        Args:
            config: The whole config.
            folder: The folder for the images.
            score: The smallest score of detections to draw.

        Raises:
            UserError: Results of this task can't be drawn.
        """
        raise UserError('--show-dir: it draws detections and videos, and this config has none')

    def set_views(self, config: Config, views: str) -> None:
        """Sets the number of clips and crops of each video in a test, such as '10x3'.

        Raises:
            UserError: The config is not for videos.
        """
        raise UserError('--views: needs a config for videos')

    def limit_views(self, config: Config, at_once: int) -> None:
        """Has a test send at most so many views of a video through the network at once."""

    def set_image_size(self, config: Config, size: int | None, crop_pct: float | None) -> None:
        """Sets the size of the image crops in a test; see ``classification.image_size.set_image_size``.

        Raises:
            UserError: The test pipeline does not resize and crop.
        """
        raise UserError(f'{"--crop-pct" if size is None else "--img-size"}: needs {CROPPED_FOLDERS}')

    def augment_test(self, config: Config, scales: Sequence[float]) -> None:
        """Makes a test classify or detect in several views of each image: flipped, and in several sizes.

        Args:
            config: The whole config, changed in place.
            scales: Factors of the size of the images.

        Raises:
            UserError: There are no such views for this task, or the test pipeline does not resize.
        """
        raise UserError('--tta: needs a detector or a classifier')

    def results_file(self, config: Config, path: str | None, folder: str, report: bool) -> str | None:
        """The file to which a test writes the detections, or the scores of all classes.

        Args:
            config: The whole config.
            path: The file from ``--save-detections`` or ``--save-scores``.
            folder: The folder to use if ``path`` is None.
            report: Whether a report is made from the file.

        Returns:
            The path of the file; None for no such file.

        Raises:
            UserError: A path is given but there is nothing to write, or the file can't be written.
        """
        if path:
            self.require_results(config, '--save-detections')
        return None

    def require_results(self, config: Config, option: str) -> None:
        """Raises UserError if no detections or scores result from a test of the config, which an option needs."""
        raise UserError(f'{option}: it needs a test_evaluator of {RESULTS}, but this config has '
                        f'{self.metric_of(config).type}')

    def evaluate_file(self, config: Config, path: str) -> dict[str, float]:
        """Evaluates a file of detections in COCO's result format, or of scores, without building the model.

        Args:
            config: The whole config; its annotation file and classes are used.
            path: The file.

        Returns:
            The metrics, under the same names as from ``engine.run.test``.

        Raises:
            UserError: The config has no metric for such a file, or the file is missing or malformed.
        """
        self.require_results(config, '--detections')
        return {}

    def require_report(self, config: Config, folder: str) -> None:
        """Raises UserError if ``write_report`` can't write a report on the test of this config into the folder."""
        self.require_results(config, '--report')

    def write_report(self, config: Config, folder: str, title: str, results: str, metrics: Mapping[str, float],
                     history: Sequence[dict], score: float) -> Path:
        """Writes the HTML page of ``--report`` from the results of a test.

        Args:
            config: The whole config.
            folder: The folder for the page.
            title: The heading of the page.
            results: The file of detections or scores.
            metrics: The metrics of the test.
            history: The records of the training, as returned by ``read_scalars``.
            score: The smallest score of detections in images and in the confusion matrix.

        Returns:
            The file of the page.

        Raises:
            UserError: There are no reports for this task, or a file can't be read.
        """
        self.require_report(config, folder)
        raise NotImplementedError

    # Inference on files without annotations.

    def require_model(self, config: Config) -> None:
        """Raises UserError if the model of a config does not belong to this task."""
        kind = (config.get('model') or {}).get('type')
        cls = find_component(kind, config.get('default_scope'), 'MODELS')
        if not (isinstance(cls, type) and self.is_model(cls)):
            raise UserError(f'{config.filename}: its model is {kind or "missing"}, not a '
                            f'{self.model_kind or "detector, recognizer or classifier"}')

    def inference_pipeline(self, config: Config) -> list[dict]:
        """The transforms from an item to the model's input: the test pipeline without loading annotations.

        Raises:
            UserError: The test pipeline of the config can't be used for inference.
        """
        raise NotImplementedError

    def infer_file(self, inferencer: Inferencer, path: Path) -> Result:
        """Returns the result for a file: by default, of an image.

        Raises:
            UserError: The file can't be read, or the models of this task do not take such files.
        """
        self.require_kind(path)
        return inferencer.infer(read_rgb(path), str(path))

    def require_kind(self, path: Path) -> None:
        """Raises UserError if a file has the suffix of a kind that the models of this task do not take."""
        kind = next((kind for kind, suffixes in SUFFIXES.items() if path.suffix.lower() in suffixes), None)
        if kind and kind not in self.inputs:
            raise UserError(f'{path}: this model is a {self.model_kind} of {" and ".join(self.inputs)}')

    def require_array(self, item: object) -> None:
        """Raises UserError if an array is not what the models of this task take: by default, an image."""
        require_pixels(item, ('height', 'width'), 'an image')

    def prepare(self, pipeline: Callable, item: Any, path: str) -> dict:
        """Applies the built ``inference_pipeline`` to an item.

        Args:
            pipeline: The built pipeline.
            item: An RGB image, a uint8 array (height, width, 3), or for recognizers the path of a video.
            path: The file of an image, for messages.
        """
        raise NotImplementedError

    collate = staticmethod(pseudo_collate)  # a list of prepared items -> a batch

    def result(self, inferencer: Inferencer, item: Any, data: dict, sample: Any) -> Result:
        """Converts the model's output for an item to the result type of the task.

        Args:
            inferencer: The inferencer that was called.
            item: The item that it was called with.
            data: The model's input.
            sample: The model's output.
        """
        raise NotImplementedError

    def known_classes(self, model: nn.Module) -> tuple[str, ...] | None:
        """The classes of a model whose checkpoint does not contain them; None if they are unknown."""
        return None


def require_pixels(item: object, axes: Sequence[str], what: str) -> None:
    """Raises UserError if an item is not an RGB array, uint8, (*axes, 3), with at least one pixel."""
    if isinstance(item, np.ndarray):
        if item.dtype == np.uint8 and item.ndim == len(axes) + 1 and item.shape[-1] == 3 and item.size:
            return
        found = f'{item.dtype} of shape {item.shape}'
    else:
        found = f'a {type(item).__name__}'
    raise UserError(f'an array is {what} if it is uint8, RGB, ({", ".join(axes)}, 3); this is {found}')


def task_of(config: Config) -> Task:
    """The task of a config, from the library in its model's type, else from its ``default_scope``."""
    kind = (config.get('model') or {}).get('type')
    library = (kind if isinstance(kind, str) and '.' in kind else getattr(kind, '__module__', '')).partition('.')[0]
    room = ROOMS.get(library) or ROOMS.get(config.get('default_scope') or 'mmengine')
    return importlib.import_module(room).TASK if room else Task()


def require_task(config: Config, model_kind: str, remedy: str) -> Task:
    """The task of a config whose model must be of a certain kind.

    Args:
        config: The whole config.
        model_kind: 'detector', 'recognizer' or 'classifier'.
        remedy: What to do otherwise, for the message.

    Raises:
        UserError: The model is of another kind.
    """
    task = task_of(config)
    if task.model_kind != model_kind:
        kind = (config.get('model') or {}).get('type') or 'missing'
        raise UserError(f'{config.filename}: its model is {kind}, not a {model_kind}; {remedy}')
    task.require_model(config)
    return task


def metrics_of(config: Config) -> list[ConfigDict]:
    """The configs of the test's metrics. Raises UserError if there is none."""
    given = config.get('test_evaluator')
    metrics = given if isinstance(given, list) else [given]
    if not metrics or not all(isinstance(metric, dict) and 'type' in metric for metric in metrics):
        raise UserError('test_evaluator: need a metric, a dict with a type')
    return metrics
