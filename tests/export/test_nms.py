"""Detectors with non-maximum suppression in the file find what mmdet finds, in each library that computes them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.registry import MODELS, init_default_scope
from PIL import Image
from torch import Tensor, nn

from mmext.backbones.trained import Trained
from mmext.engine.config import load_config
from mmext.errors import UserError
from mmext.export import Graph, compare_files, detector_graph
from mmext.export.detections import Suppression
from mmext.export.detector import predict
from mmext.export.graph import export_program
from mmext.export.matching import detection_differences
from mmext.export.operators import roi_align
from mmext.export.parts import parts_of
from mmext.export.runtimes import installed_runtimes, run_onnxruntime
from tests.conftest import ROOT
from tests.tools.helpers import here, succeeded

onnx = pytest.importorskip('onnx')
pytest.importorskip('onnxruntime')

# Small networks of each kind: config, options and the size of the images.
TWO_MAPS = {'model.backbone.num_stages': 2, 'model.backbone.out_indices': (0, 1), 'model.neck.in_channels': [64, 128]}
FEW = {'model.rpn_head.anchor_generator.strides': [4, 8, 16], 'model.neck.num_outs': 3,
       'model.test_cfg.rpn.nms_pre': 80, 'model.roi_head.bbox_roi_extractor.featmap_strides': [4, 8],
       'model.roi_head.bbox_head.fc_out_channels': 32, 'model.roi_head.bbox_head.num_classes': 3,
       'model.test_cfg.rpn.max_per_img': 60,
       'model.test_cfg.rpn.min_bbox_size': 4}  # regions of no height at the border have equal scores
KINDS = {
    'ssd': ('ssd300_iresnet50_coco', 'iresnet18', {'model.bbox_head.num_classes': 3, 'model.test_cfg.nms_pre': 90},
            (300, 300)),
    'retinanet': ('retinanet_iresnet50_fpn_coco', 'iresnet18', {
        **TWO_MAPS, 'model.neck.num_outs': 3, 'model.neck.start_level': 0, 'model.neck.out_channels': 32,
        'model.bbox_head.num_classes': 3, 'model.bbox_head.in_channels': 32, 'model.bbox_head.stacked_convs': 1,
        'model.bbox_head.anchor_generator.strides': [4, 8, 16], 'model.test_cfg.nms_pre': 90}, (64, 96)),
    'fpn': ('faster_rcnn_iresnet50_fpn_coco', 'iresnet18', {**TWO_MAPS, **FEW}, (64, 96)),
    'c5': ('faster_rcnn_resnet18_c5_coco', 'resnet18', {
        'model.roi_head.bbox_head.fc_out_channels': 32, 'model.roi_head.bbox_head.num_classes': 3,
        'model.test_cfg.rpn.nms_pre': 60}, (96, 128)),
}


def detector(kind: str) -> tuple[Graph, nn.Module]:
    """The graph of a small detector, and mmdet's detector in it, whose scores and boxes are all over the place."""
    name, backbone, options, size = KINDS[kind]
    config = load_config(ROOT / 'configs' / f'{name}.py', backbone=backbone, options=options)
    init_default_scope('mmdet')
    torch.manual_seed(0)
    weights = MODELS.build(config.model).state_dict()
    trained = Trained('a.pth', weights, ('x', 'y', 'z'))
    graph = detector_graph(config, trained, None if kind == 'ssd' else size, nms=True)
    model = graph.model.detector
    spread(model, smooth(size))
    return graph, model


def spread(model: nn.Module, images: Tensor) -> None:
    """Scales the layers after the backbone so that scores and boxes differ widely: random weights give equal ones."""
    def scale(layer: nn.Module, _: object, found: Tensor) -> Tensor:
        if layer not in done:
            done.add(layer)
            layer.weight.data *= 1.5 / found.std().item()
            found = found * (1.5 / found.std().item())
        return found

    done = set()
    layers = [layer for name, layer in model.named_modules() if isinstance(layer, (nn.Conv2d, nn.Linear))
              and not name.startswith('backbone')]
    hooks = [layer.register_forward_hook(scale) for layer in layers]
    with torch.no_grad():
        predict(model, images)
    for hook in hooks:
        hook.remove()


def smooth(size: tuple[int, int], count: int = 2) -> Tensor:
    """Pictures of large spots, float32 (count, 3, H, W)."""
    small = torch.rand(count, 3, 9, 9, generator=torch.Generator().manual_seed(1)) * 255
    return nn.functional.interpolate(small, size, mode='bicubic').clamp(0, 255).round()


@pytest.mark.parametrize('kind', KINDS)
def test_in_torch_it_is_what_mmdet_predicts(kind: str):
    graph, model = detector(kind)
    images = smooth(KINDS[kind][3])
    with torch.no_grad():
        found, expected = graph.model(images), predict(model, images)
    for place, (scores, labels) in enumerate(zip(*expected[1:])):
        count = len(scores)
        assert count > 20 and scores.max() - scores.min() > 0.05 and len(labels.unique()) == 3
        assert (found[1][place, count:] == 0).all() and (found[2][place, count:] == -1).all()
        torch.testing.assert_close(found[1][place, :count], scores, atol=1e-6, rtol=0)
    worst = graph.differences([part.numpy() for part in found], expected)
    assert worst['labels'].absolute == 0 and worst['boxes'].absolute < 1e-3 and worst['scores'].absolute < 1e-6


@pytest.mark.parametrize('kind', KINDS)
def test_parts_that_an_engine_computes(kind: str):
    """Put in their own place they change nothing, and nothing else of the model has weights of its own."""
    _, model = detector(kind)
    images = smooth(KINDS[kind][3])
    with torch.no_grad():
        expected = predict(model, images)
    parts = parts_of(model)
    seen = []
    for part in parts:
        part.module.register_forward_hook(lambda module, given, found, part=part: seen.append((part.name, len(found))))
        part.put(part.module)
    with torch.no_grad():
        found = predict(model, images)
    for one, other in zip(found, expected):
        assert all(map(torch.equal, one, other))
    maps = dict(ssd=6, retinanet=3, fpn=3, c5=1)[kind]
    features = maps if 'box_head' in dict(seen) else 0
    assert seen[0] == ('network', features + 2 * maps)
    assert [part.name for part in parts] == ['network', *(['box_head'] if kind in ('fpn', 'c5') else [])]
    weights = {id(weight) for part in parts for weight in part.module.parameters()}
    assert weights == {id(weight) for weight in model.parameters()}


@pytest.mark.parametrize('kind', ['retinanet', 'fpn'])
def test_the_file(kind: str, tmp_path: Path):
    graph, model = detector(kind)
    name, backbone, options, size = KINDS[kind]
    torch.save(dict(state_dict=model.state_dict(), meta=dict(dataset_meta=dict(classes=('x', 'y', 'z')))),
               tmp_path / 'a.pth')
    for place, picture in enumerate(smooth(size)):
        image = Image.fromarray(picture.permute(1, 2, 0).byte().numpy())
        image.resize((100, 50 + 100 * place)).save(tmp_path / f'{place}.png')
    path = tmp_path / 'net.onnx'
    said = succeeded(here('export.py', 'detector', ROOT / 'configs' / f'{name}.py', tmp_path / 'a.pth', '--backbone',
                          backbone, '--nms', '--size', *size, '--check', tmp_path, '--out', path, '--cfg-options',
                          *(f'{key}={str(value).replace(" ", "")}' for key, value in options.items())))
    assert 'on 2 files' in said and 'labels: 0 detections' in said
    found = compare_files(graph, path, sorted(tmp_path.glob('*.png')))
    assert set(found) == set(installed_runtimes()) and 'onnxruntime' in found
    for runtime, worst in found.items():
        assert worst['labels'].absolute == 0 and worst['boxes'].absolute < 0.02 and worst['scores'].absolute < 1e-4
        assert f'boxes: {runtime} differs from torch by at most {worst["boxes"].absolute:.1e}' in said
    notes = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    assert json.loads(notes['classes']) == ['x', 'y', 'z'] and notes['nms'] == 'true'
    run, batch = run_onnxruntime(path), smooth(size, 3)
    together = run(batch.numpy())
    assert together[0].shape[::2] == (3, 4) and (together[1] > 0).sum() > 60
    alone = [torch.from_numpy(np.concatenate(parts)) for parts in zip(*(run(one[None].numpy()) for one in batch))]
    worst = graph.differences(together, alone)
    assert worst['labels'].absolute == 0 and worst['boxes'].absolute < 0.01


@pytest.mark.parametrize('samples', [0, 2])
def test_roi_align(samples: int, tmp_path: Path):
    """Also for no boxes at all, and for boxes beyond the map."""
    class Align(nn.Module):
        def forward(self, features: Tensor) -> tuple[Tensor]:
            corners = features[0, 0, :, :2] * 60
            boxes = torch.cat([corners, corners + features[0, 1, :, :2].abs() * 60], 1)
            there = (boxes[:, 0] > 0).nonzero().squeeze(1)
            return (roi_align(features, boxes[there], there * 0, 3, 0.25, samples), )

    graph = Graph(Align(), 'input', ('pooled', ), (2, 8, 9), {}, make_input=lambda shape: torch.rand(*shape) - 0.3)
    program = export_program(graph, graph.model, graph.make_input((2, 2, 8, 9)), None)
    program.save(str(tmp_path / 'a.onnx'))
    few = graph.make_input((1, 2, 8, 9))
    for features in (few, few.abs(), -few.abs()):
        expected = graph.model(features)[0]
        for start in installed_runtimes().values():
            found = torch.from_numpy(start(tmp_path / 'a.onnx')(features.numpy())[0])
            torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_detections_in_another_order():
    boxes = torch.tensor([[[0., 0, 10, 10], [20, 20, 40, 40], [50, 50, 60, 60], [0, 0, 0, 0]]])
    scores, labels = torch.tensor([[0.9, 0.8, 0.5, 0]]), torch.tensor([[1, 0, 1, -1]])
    order = torch.tensor([1, 0, 2, 3])
    other = [boxes[:, order] + 0.05, scores[:, order], labels[:, order]]
    worst = detection_differences(other, (boxes, scores, labels), 100)
    assert worst['boxes'].relative == pytest.approx(5e-4, rel=1e-3) and worst['labels'] == (0, 0)
    moved = detection_differences([boxes + 0.2, scores, labels], (boxes, scores, labels), 100)
    assert moved['labels'] == (2, pytest.approx(2 / 3)), 'the lowest one does not count'
    other[2] = labels
    assert detection_differences(other, (boxes, scores, labels), 100)['labels'] == (2, pytest.approx(2 / 3))
    lowest = [part[:, [0, 1, 3, 3]] for part in (boxes, scores, labels)]
    assert detection_differences(lowest, (boxes, scores, labels), 100)['labels'].absolute == 0, 'rounding'
    nothing = [part[:, 3:] for part in (boxes, scores, labels)]
    assert detection_differences(nothing, (boxes, scores, labels), 100)['labels'].absolute == 2
    assert detection_differences(nothing, nothing, 100)['labels'] == (0, 0)


def test_other_kinds_of_suppression():
    settings = dict(nms=dict(type='nms', iou_threshold=0.5), max_per_img=9)
    assert Suppression.of(settings, 0.1) == Suppression(0.5, 0.1, 9, False)
    for nms in (dict(type='soft_nms', iou_threshold=0.5), dict(type='nms'), dict(iou_threshold=0.5, max_num=4)):
        with pytest.raises(UserError, match='--nms: test_cfg has nms='):
            Suppression.of(dict(settings, nms=nms), 0.1)
    with pytest.raises(UserError, match='no max_per_img'):
        Suppression.of(dict(settings, max_per_img=-1), 0.1)


MISTAKES = {
    'no size': ('fpn', None, 'its ONNX file only of one; give --size'),
    'padded': ('fpn', (65, 96), '--size 65 96: need multiples of 32'),
    'cascade': ('cascade', (64, 96), 'CascadeRCNN: of detectors with two stages, only Faster R-CNN'),
}


@pytest.mark.parametrize('mistake', MISTAKES)
def test_mistakes(mistake: str):
    kind, size, told = MISTAKES[mistake]
    name, backbone, options = KINDS[kind][:3] if kind in KINDS else ('cascade_rcnn_iresnet50_fpn_coco', 'iresnet18', {})
    config = load_config(ROOT / 'configs' / f'{name}.py', backbone=backbone, options=options)
    init_default_scope('mmdet')
    with pytest.raises(UserError, match=told):
        detector_graph(config, Trained('a.pth', MODELS.build(config.model).state_dict(), None), size, nms=True)
