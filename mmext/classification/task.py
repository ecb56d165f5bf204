"""The task of image classification."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from mmengine.config import Config
from PIL import Image
from torch import nn

from mmext.classification.arrays import ArrayDataset, collate_images
from mmext.classification.image_size import set_image_size
from mmext.classification.metric import log_loss
from mmext.classification.results import Classified, scores_by_name
from mmext.classification.scored import Scored
from mmext.config_tree import add_hook, kind_of, pipeline_of_test
from mmext.data.decoding import read_rgb
from mmext.errors import UserError
from mmext.report.pictures import shrunk
from mmext.samples import Shown
from mmext.task import ValLoss

if TYPE_CHECKING:
    from mmext.inference import Inferencer

IMAGE_READERS = ('LoadImage', 'LoadImageFromFile')
ARRAY_STEPS = ('BatchCenterPad', 'BatchResize')  # of data sets of small images in memory, which are all of that size


class Classification(Scored):
    """Classification of images with ``mmext.Classifier``."""

    name = 'classification'
    model_kind = 'classifier'
    base = 'Classifier'
    accuracy = 'mmext.Accuracy'
    samples = 'images'
    collate = staticmethod(collate_images)

    def counted_forward(self, model: nn.Module) -> Callable:
        return model

    def shown(self, sample: Any) -> Shown:
        return Shown([sample['inputs'].permute(1, 2, 0).numpy()], [int(sample['labels'])],
                     name=str(sample.get('names', '')))

    def set_image_size(self, config: Config, size: int | None, crop_pct: float | None) -> None:
        set_image_size(config, size, crop_pct)

    def augment_test(self, config: Config, scales: Sequence[float]) -> None:
        """Adds the mirror image of each image."""
        if list(scales) != [1]:
            raise UserError('--tta: the views of a classifier are an image and its mirror image; give --tta without '
                            'sizes, or --img-size for another size')
        add_hook(config, dict(type='PrepareTTAHook', tta_cfg=dict(type='mmext.FlippedClassifier')))

    def val_loss(self, config: Config) -> ValLoss:
        def losses(model: nn.Module, batch: dict, outputs: Sequence[dict]) -> dict[str, torch.Tensor]:
            return dict(loss=log_loss(torch.stack([output['pred_scores'] for output in outputs]),
                                      [output['gt_label'] for output in outputs]))
        return losses

    def source_of(self, dataset: Any, index: int) -> tuple[int, str | None]:
        if isinstance(dataset, ArrayDataset):
            return int(dataset.labels[index]), None
        info = dataset.get_data_info(index)
        return int(info['gt_label']), info['img_path']

    def picture_of(self, dataset: Any, index: int) -> np.ndarray:
        """The whole image, shrunk if it is large."""
        if isinstance(dataset, ArrayDataset):
            return np.ascontiguousarray(dataset.images[index].expand(3, -1, -1).permute(1, 2, 0).numpy())
        picture = read_rgb(dataset.get_data_info(index)['img_path'])
        return np.asarray(shrunk(Image.fromarray(picture))[0])

    def inference_pipeline(self, config: Config) -> list[dict]:
        """The test pipeline without its first transform, which reads the file.

        For a data set of small images in memory, whose pipeline is for whole batches: a resize to their size.
        """
        steps = pipeline_of_test(config)
        if steps and kind_of(steps[0]) in ARRAY_STEPS:
            size = steps[0]['size']
            resize = dict(type='Resize', scale=(size, size), backend='pillow')  # which averages when it shrinks
            return [resize, dict(type='mmext.PackClassInputs')]
        if not steps or kind_of(steps[0]) not in IMAGE_READERS:
            raise UserError(f'{config.filename}: its test pipeline does not begin with a transform that reads an '
                            'image file; need a config of class folders')
        return steps[1:]

    def prepare(self, pipeline: Callable, item: np.ndarray, path: str) -> dict:
        """Applies the pipeline to ``item``, an RGB image, uint8 (height, width, 3)."""
        return pipeline(dict(img=np.ascontiguousarray(item[..., ::-1]), img_path=path, img_shape=item.shape[:2],
                             gt_label=-1))

    def result(self, inferencer: Inferencer, item: np.ndarray, data: dict, sample: dict[str, Any]) -> Classified:
        return Classified(scores_by_name(inferencer.classes, sample['pred_scores']), item)


TASK = Classification()
