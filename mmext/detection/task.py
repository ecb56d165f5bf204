"""The task of object detection, see ``mmext.task``."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmengine.config import Config, ConfigDict
from mmengine.structures import InstanceData
from torch import nn

from mmext.backbones.backbone import FeatureInfo
from mmext.components import find_component
from mmext.config_tree import LOADERS, datasets_of, kind_of, pipeline_of_test
from mmext.data.inputs import is_video
from mmext.data.standard import read_with_ours
from mmext.detection import connection
from mmext.detection.dataset import CocoDataset
from mmext.detection.tta import augment_test
from mmext.detection.val_loss import val_loss
from mmext.errors import UserError
from mmext.files import require_target
from mmext.operators import require_operators
from mmext.registry import METRICS
from mmext.results import Result
from mmext.samples import Anchors, Shown
from mmext.task import Task, ValLoss, metrics_of

if TYPE_CHECKING:
    from mmdet.models.detectors import BaseDetector, TwoStageDetector

    from mmext.inference import Inferencer

BOXES = 'mmext.CocoMetric'
SHARED_OPTIONS = ('ann_file', 'outfile_prefix', 'collect_device', 'prefix')  # of mmdet's CocoMetric and of ours
PLAIN_COCO = ('CocoDataset', 'mmdet.CocoDataset')
IMAGE_READERS = ('mmext.LoadImage', 'LoadImageFromFile', 'mmdet.LoadImageFromFile')
OBJECTS = 7  # the mean number per COCO image
SIDES = 0.04, 0.9  # the smallest and the largest side of a box, as a fraction of the image's side


class Detection(Task):
    """Boxes of objects in images, with COCO-format data and mmdet's detectors."""

    name = 'detection'
    model_kind = 'detector'
    base = 'BaseDetector'
    lays_anchors = True
    detects = True
    inputs = ('images', 'videos')

    def require_operators(self, device: torch.device) -> None:
        require_operators(device)

    def make_safe(self, config: Config) -> None:
        """Replaces mmdet's ``CocoDataset``, which does not check annotations, and its reading of images, in place."""
        for loader in LOADERS:
            for dataset in datasets_of(config, loader):
                replace_coco_dataset(dataset)
                if not dataset['type'].startswith('mmext.'):  # those of mmext do so themselves
                    on_error = 'skip' if loader == 'train_dataloader' else 'raise'
                    dataset['pipeline'] = read_with_ours(dataset['pipeline'], on_error)

    def dataset_class(self, dataset: dict, config: Config) -> type:
        component = find_component(dataset['type'], config.get('default_scope'))
        if not hasattr(component, 'classes_from') and kind_of(dataset) == 'CocoDataset':
            return CocoDataset
        return super().dataset_class(dataset, config)

    def connect(self, model: dict, features: FeatureInfo) -> None:
        connection.connect(model, features)

    def stated_numbers(self, model: Mapping, channels: list[int], strides: list[int]) -> Iterator[
            tuple[str, object, object]]:
        yield from connection.stated_channels(model, channels)
        yield from connection.stated_strides(model, strides)

    def with_targets(self, pixels: torch.Tensor, rng: np.random.Generator, num_classes: int) -> dict:
        samples = [random_objects(rng, pixels.shape[-2:], num_classes) for _ in pixels]
        return dict(inputs=list(pixels), data_samples=samples)

    def head_outputs(self, model: nn.Module, data: dict) -> object:
        """The outputs of the heads; for two stages the features, because rounding may reorder proposals."""
        if hasattr(model, 'roi_head'):
            return cast('BaseDetector', model).extract_feat(data['inputs'])
        return super().head_outputs(model, data)

    def shown(self, sample: Any) -> Shown:
        data = sample['data_samples']
        pixels = sample['inputs'].permute(1, 2, 0).flip(-1).clamp(0, 255).to(torch.uint8).numpy()
        boxes, ignored = (corners_of(instances) for instances in (data.gt_instances, data.get('ignored_instances')))
        return Shown([pixels], data.gt_instances.labels.tolist(), boxes, ignored, str(data.get('img_path', '')))

    def anchors(self, config: Config, size: Sequence[int]) -> Anchors | None:
        from mmext.detection.anchors import anchors_of

        return anchors_of(config, size)

    def counted_forward(self, model: nn.Module) -> Callable:
        if hasattr(model, 'rpn_head') and hasattr(model, 'roi_head'):
            return lambda images: forward_two_stages(cast('TwoStageDetector', model), images)
        return super().counted_forward(model)

    def val_loss(self, config: Config) -> ValLoss:
        return val_loss(config)

    def metric_of(self, config: Config) -> ConfigDict:
        """Also replaces mmdet's CocoMetric of boxes by ours, in place: the same metrics, unrounded, as in papers."""
        for metric in metrics_of(config):
            scope = metric.get('_scope_', config.get('default_scope'))
            if metric['type'] == 'mmdet.CocoMetric' or metric['type'] == 'CocoMetric' and scope == 'mmdet':
                replace_coco_metric(metric)
        return super().metric_of(config)

    def detection_metric(self, config: Config, option: str) -> ConfigDict:
        metric = self.metric_of(config)
        return metric if metric.type == BOXES else super().detection_metric(config, option)

    def drawing_hook(self, config: Config, folder: str, score: float) -> dict:
        if self.metric_of(config).type != BOXES:
            return super().drawing_hook(config, folder, score)
        return dict(type='mmext.ShowDetectionsHook', out_dir=os.path.abspath(folder), score_thr=score)

    def augment_test(self, config: Config, scales: Sequence[float]) -> None:
        augment_test(config, scales)

    def results_file(self, config: Config, path: str | None, folder: str, report: bool) -> str | None:
        """``path``, the file of the config's ``outfile_prefix``, or else ``detections.json`` in the folder."""
        metric = self.detection_metric(config, '--save-detections') if path else self.metric_of(config)
        if metric.type != BOXES:
            return None
        prefix = metric.get('outfile_prefix')
        path = path or (f'{prefix}.bbox.json' if prefix else os.path.join(folder, 'detections.json'))
        require_target(path, '--save-detections')
        return path

    def evaluate_file(self, config: Config, path: str) -> dict[str, float]:
        metric = METRICS.build(self.detection_metric(config, '--detections'))
        metric.dataset_meta = dict(classes=self.classes_of_test(config))
        return metric.evaluate_file(path)

    def require_report(self, config: Config, folder: str) -> None:
        from mmext.detection.report import require_report

        self.detection_metric(config, '--report')
        require_report(folder)

    def write_report(self, config: Config, folder: str, title: str, results: str, metrics: Mapping[str, float],
                     history: Sequence[dict], score: float) -> Path:
        from mmext.detection.detections import read_detections
        from mmext.detection.evaluation import read_ground_truth
        from mmext.detection.report import paper_row, write_report

        annotations = str(self.detection_metric(config, '--report')['ann_file'])
        truth = read_ground_truth(annotations).of_classes(self.classes_of_test(config))
        dataset = datasets_of(config, 'test_dataloader')[0]
        images = os.path.join(dataset.get('data_root') or '', dataset.get('data_prefix', {}).get('img', ''))
        return write_report(folder, title, annotations, images, read_detections(results, truth), metrics=metrics,
                            category_ids=truth.category_ids, paper=paper_row(config.get('model', {})), history=history,
                            score=score, data_root=dataset.get('data_root') or '')

    def inference_pipeline(self, config: Config) -> list[dict]:
        """The steps of the test pipeline after the one that reads the file, without those that load annotations."""
        steps = pipeline_of_test(config)
        if not steps or steps[0]['type'] not in IMAGE_READERS:
            raise UserError(f"{config.filename}: its test_dataloader.dataset.pipeline does not start with "
                            f"{' or '.join(IMAGE_READERS[:2])}")
        return [step for step in steps[1:] if not kind_of(step).endswith('LoadAnnotations')]

    def prepare(self, pipeline: Callable[[dict], dict], item: np.ndarray, path: str) -> dict:
        """``item`` is a picture, RGB, uint8, (height, width, 3)."""
        height, width = item.shape[:2]
        return pipeline(dict(img=np.ascontiguousarray(item[..., ::-1]), img_path=path, img_id=0, height=height,
                             width=width, img_shape=(height, width), ori_shape=(height, width)))

    def infer_file(self, inferencer: Inferencer, path: Path) -> Result:
        """``Detections`` of an image, ``DetectedVideo`` of a video, whose frames are taken one by one."""
        if not is_video(path):
            return super().infer_file(inferencer, path)
        from mmext.detection.results import detect_in_video

        return detect_in_video(path, inferencer.infer)

    def result(self, inferencer: Inferencer, item: np.ndarray, data: dict, sample: Any) -> Result:
        from mmext.detection.results import Detections

        assert inferencer.classes is not None  # known_classes always names them
        found = sample.pred_instances
        found = found[found.scores >= inferencer.score]
        found = found[found.scores.argsort(descending=True, stable=True)].cpu().numpy()
        return Detections(found.bboxes, found.scores, found.labels,
                          [inferencer.classes[label] for label in found.labels], item)

    def known_classes(self, model: nn.Module) -> tuple[str, ...]:
        """COCO's names if the number of classes is that of COCO, otherwise numbers."""
        names: tuple[str, ...] = CocoDataset.METAINFO['classes']
        head: Any = getattr(model, 'bbox_head', None) or cast('TwoStageDetector', model).roi_head.bbox_head
        head = head[0] if isinstance(head, nn.ModuleList) else head
        return names if head.num_classes == len(names) else tuple(map(str, range(head.num_classes)))


def replace_coco_dataset(dataset: dict) -> None:
    """Replaces mmdet's ``CocoDataset`` with local files by ours, which checks annotations, in place.

    As with mmdet's, the file may have more categories than the config has classes.
    """
    local = not dataset.get('backend_args') and dataset.get('ann_file') and 'img' in (dataset.get('data_prefix') or {})
    if dataset.get('type') in PLAIN_COCO and local and not dataset.get('lazy_init'):
        dataset.update(type='mmext.CocoDataset', subset=True)


def replace_coco_metric(metric: ConfigDict) -> None:
    """Replaces mmdet's CocoMetric by ours, in place, if it computes the metrics of boxes and nothing else."""
    known = ('type', '_scope_', 'metric', 'classwise', *SHARED_OPTIONS)
    other = [key for key, value in metric.items() if value and key not in known]
    if not other and metric.get('metric', 'bbox') in ('bbox', ['bbox']) and metric.get('ann_file'):
        kept = {key: metric[key] for key in SHARED_OPTIONS if key in metric}
        per_class = metric.get('classwise', False)
        metric.clear()
        metric.update(kept, type=BOXES, per_class=per_class)


def corners_of(instances: InstanceData | None) -> np.ndarray:
    """The boxes (n, 4) of instances as x1, y1, x2, y2."""
    boxes = None if instances is None else instances.get('bboxes')
    if boxes is None:
        return np.zeros((0, 4))
    return np.asarray(getattr(boxes, 'tensor', boxes), float).reshape(-1, 4)


def random_objects(rng: np.random.Generator, size: Sequence[int], num_classes: int) -> DetDataSample:
    """Random annotations of an image of (height, width): boxes of all sizes, as in COCO, inside the image."""
    height, width = size
    least, greatest = np.log(SIDES)
    sides = np.exp(rng.uniform(least, greatest, (OBJECTS, 2)))
    corner = rng.uniform(0, 1 - sides)
    boxes = np.hstack([corner, corner + sides]) * (width, height, width, height)
    sample = DetDataSample(metainfo=dict(img_shape=(height, width), ori_shape=(height, width), img_id=0,
                                         scale_factor=(1., 1.), batch_input_shape=(height, width)))
    sample.gt_instances = InstanceData(bboxes=torch.from_numpy(boxes.astype(np.float32)),
                                       labels=torch.from_numpy(rng.integers(0, num_classes, OBJECTS)))
    sample.ignored_instances = InstanceData(bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.int64))
    return sample


def forward_two_stages(model: TwoStageDetector, images: torch.Tensor) -> None:
    """Runs all layers of a two-stage detector, the RoI head on as many regions as in a test.

    The regions are not real proposals, which depend on the image. Only their number matters, and it is given by the
    config (``model.test_cfg.rpn.max_per_img``).
    """
    model.rpn_head(model.extract_feat(images))
    heads, extractors = model.roi_head.bbox_head, model.roi_head.bbox_roi_extractor
    several, count = isinstance(heads, nn.ModuleList), cast(Any, model.test_cfg).rpn.max_per_img
    for head, extractor in zip(heads if several else [heads], extractors if several else [extractors]):
        size = extractor.roi_layers[0].output_size
        regions = images.new_empty(count, extractor.out_channels, *size)
        head(model.roi_head.shared_head(regions) if model.roi_head.with_shared_head else regions)


TASK = Detection()
