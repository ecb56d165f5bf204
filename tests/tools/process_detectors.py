"""Under torchrun: is a detector's loss of a whole batch the mean of its processes' losses, each of a part of it?

Arguments: detectors, by default all. Prints 'found:' and JSON: detector -> [relative difference of the losses, of the
gradients]. Random samplers (Faster and Cascade R-CNN) draw on each process for itself.
"""

from __future__ import annotations

import json
import sys

import torch
from mmengine.config import Config
from mmengine.dist import all_reduce, all_reduce_params, get_rank, get_world_size, init_dist, is_main_process
from mmengine.hub import get_config
from mmengine.registry import DefaultScope
from mmengine.structures import InstanceData
from torch import Tensor, nn

import mmext  # noqa: F401  repairs the stack before mmdet is imported
from mmext.registry import MODELS
from tests.conftest import CONFIG

DETECTORS = {
    'ssd': '',
    'ssd_mmdet': '',
    'retinanet': 'mmdet::retinanet/retinanet_r50_fpn_1x_coco.py',
    'faster_rcnn': 'mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py',
    'cascade_rcnn': 'mmdet::cascade_rcnn/cascade-rcnn_r50_fpn_1x_coco.py',
    'fcos': 'mmdet::fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py',
    'atss': 'mmdet::atss/atss_r50_fpn_1x_coco.py',
    'gfl': 'mmdet::gfl/gfl_r50_fpn_1x_coco.py',
}
OBJECTS = (1, 5, 2, 0)  # in each image of the batch


def build(name: str) -> nn.Module:
    """A detector on ResNet-18; in eval mode, so that no layer has batch statistics."""
    backbone = dict(type='mmext.ResNet', depth=18, stem='conv7x7')
    if name.startswith('ssd'):
        model = Config.fromfile(CONFIG).model
        backbone.update(num_stages=3, strides=(1, 2, 1), out_indices=(2, ))
        channels = (256, *model.neck.out_channels[1:])
        model.neck.update(in_channels=(256, ), out_channels=channels)
        model.bbox_head.update(in_channels=channels, type='mmdet.SSDHead' if name == 'ssd_mmdet' else 'mmext.SSDHead')
    else:
        model = get_config(DETECTORS[name]).model
        model.neck.in_channels = [64, 128, 256, 512]
    model.backbone = backbone
    torch.manual_seed(0)
    model = MODELS.build(model)
    model.init_weights()
    return model.eval()


def batch(size: int) -> tuple[Tensor, list]:
    """Images (N, 3, size, size) of noise, and boxes on them."""
    from mmdet.structures import DetDataSample

    generator = torch.Generator().manual_seed(1)
    samples = []
    for count in OBJECTS:
        corner, extent = torch.rand(2, count, 2, generator=generator) * size * 0.5
        labels = torch.randint(0, 80, (count, ), generator=generator)
        shape = dict.fromkeys(('img_shape', 'pad_shape', 'batch_input_shape'), (size, size))
        sample = DetDataSample(metainfo=dict(shape, scale_factor=(1, 1)))
        sample.gt_instances = InstanceData(bboxes=torch.cat([corner, corner + extent + 8], 1), labels=labels)
        samples.append(sample)
    return torch.randn(len(OBJECTS), 3, size, size, generator=generator), samples


def measure(model: nn.Module, images: Tensor, samples: list) -> tuple[Tensor, Tensor]:
    """Loss and gradient, averaged over the processes."""
    model.zero_grad()
    torch.manual_seed(get_rank())
    loss, _ = model.parse_losses(model.loss(images, [sample.clone() for sample in samples]))
    loss.backward()
    gradient = torch.cat([parameter.grad.flatten() for parameter in model.parameters() if parameter.grad is not None])
    loss = loss.detach()
    all_reduce(loss, 'mean')
    all_reduce_params([gradient], op='mean')
    return loss, gradient


def main() -> None:
    init_dist('pytorch', 'gloo')
    torch.set_num_threads(1)
    DefaultScope.get_instance('detectors', scope_name='mmdet')
    found = {}
    for name in sys.argv[1:] or DETECTORS:
        model = build(name)
        images, samples = batch(300 if name.startswith('ssd') else 128)
        share = slice(get_rank(), None, get_world_size())
        wholes, parts = measure(model, images, samples), measure(model, images[share], samples[share])
        found[name] = [((part - whole).norm() / whole.norm()).item() for whole, part in zip(wholes, parts)]
    if is_main_process():
        print('found:', json.dumps(found))


if __name__ == '__main__':
    main()
