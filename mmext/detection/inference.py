"""A trained detector on pictures that have no annotations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from mmdet.models.detectors import BaseDetector
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.registry import MODELS, init_default_scope

from mmext.backbones.trained import Trained
from mmext.detection.drawing import draw_boxes
from mmext.errors import UserError

LOADERS = ('mmext.LoadImage', 'LoadImageFromFile', 'mmdet.LoadImageFromFile')


@dataclass(frozen=True)
class Detections:
    """What was found in a picture, the surest first.

    Args:
        boxes: (N, 4), x1, y1, x2, y2 in pixels of the picture as it is seen.
        scores: (N,), from 0 to 1.
        labels: (N,), numbers of classes.
        names: of these classes, N.
    """

    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    names: list[str]

    def draw(self, image: np.ndarray) -> np.ndarray:
        """The picture, RGB, uint8, (height, width, 3), with boxes, names and scores in percent."""
        texts = [f'{name} {100 * score:.0f}' for name, score in zip(self.names, self.scores)]
        return draw_boxes(image, self.boxes.tolist(), self.labels.tolist(), texts)

    def as_json(self) -> dict:
        """Boxes to a hundredth of a pixel, scores to four digits."""
        return dict(boxes=[[round(side, 2) for side in box] for box in self.boxes.tolist()],
                    scores=[round(score, 4) for score in self.scores.tolist()], classes=self.names)


class Inferencer:
    """Calls a detector with a picture, RGB, uint8, (height, width, 3); ``Detections`` come back.

    Args:
        config: of the detector; its test pipeline is used, but for the reading of files.
        trained: must hold exactly the model's weights; its classes are used, where it has some, and the heads are made
            for their number.
        device: to compute on.
        score: detections of less are left out; the config's test_cfg may have left out more before.
        memory_format: of the weights, see ``memory_format.arrange_weights``.

    Raises:
        UserError: the config has no detector of pictures, or the checkpoint is not its.
    """

    def __init__(self, config: Config, trained: Trained, device: torch.device, score: float = 0.3,
                 memory_format: str = 'auto') -> None:
        require_detector(config)
        init_default_scope(config.get('default_scope', 'mmdet'))
        steps = config.get('test_dataloader', {}).get('dataset', {}).get('pipeline', [])
        if not steps or steps[0]['type'] not in LOADERS:
            raise UserError(f"{config.filename}: its test_dataloader.dataset.pipeline does not begin with "
                            f"{' or '.join(LOADERS[:2])}")
        self.pipeline = Compose([step for step in steps[1:] if not step['type'].endswith('LoadAnnotations')])
        self.model = trained.build(config.model, device, memory_format)
        self.classes = trained.classes or self.known_classes()
        self.score = score

    def known_classes(self) -> tuple[str, ...]:
        """COCO's names where there are as many classes, else numbers."""
        from mmdet.datasets import CocoDataset

        names = CocoDataset.METAINFO['classes']
        head = getattr(self.model, 'bbox_head', None) or self.model.roi_head.bbox_head
        head = head[0] if isinstance(head, torch.nn.ModuleList) else head
        return names if head.num_classes == len(names) else tuple(map(str, range(head.num_classes)))

    def __call__(self, image: np.ndarray, path: str = '') -> Detections:
        height, width = image.shape[:2]
        data = self.pipeline(dict(img=np.ascontiguousarray(image[..., ::-1]), img_path=path, img_id=0, height=height,
                                  width=width, img_shape=(height, width), ori_shape=(height, width)))
        with torch.no_grad():
            found = self.model.test_step(pseudo_collate([data]))[0].pred_instances
        found = found[found.scores >= self.score]
        found = found[found.scores.argsort(descending=True, stable=True)].cpu().numpy()
        return Detections(found.bboxes, found.scores, found.labels, [self.classes[label] for label in found.labels])


def require_detector(config: Config) -> None:
    """Raises a UserError where a config is for anything but a detector."""
    kind = (config.get('model') or {}).get('type')
    with MODELS.switch_scope_and_registry(config.get('default_scope', 'mmdet')) as registry:
        cls = registry.get(kind) if isinstance(kind, str) else kind
    if not (isinstance(cls, type) and issubclass(cls, BaseDetector)):
        raise UserError(f'{config.filename}: its model is {kind or "missing"}, no detector; tools/recognize.py is for '
                        'recognizers of videos')
