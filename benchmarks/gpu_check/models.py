"""A training step and a prediction of every task on the device, beside the same on the processor."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from functools import lru_cache, partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from benchmarks.gpu_check.case import ROOT, Case, Figures, Place, Skipped, require
from mmext.analysis.subjects import Spec, Subject, from_spec
from mmext.backbones.memory_format import arrange_weights
from mmext.benchmark.setup import Setup
from mmext.engine.hooks.precision import prepare_for_mixed_precision

BATCH = 2
# All detections count, also those of the random weights. The second stage of a detector takes all proposals: a random
# choice of them would be another one as soon as rounding makes one proposal more a negative one.
ONE_STAGE = {'model.test_cfg.score_thr': 0.}
TWO_STAGES = {'model.test_cfg.rcnn.score_thr': 0., 'model.train_cfg.rcnn.sampler.num': 100_000,
              'model.train_cfg.rpn_proposal.max_per_img': 200, 'model.test_cfg.rpn.max_per_img': 200}
# name -> config; height and width, frames, and options
MODELS: dict[str, tuple[str, dict]] = {
    'SSD300': ('ssd300_iresnet50_coco', dict(options=ONE_STAGE)),
    'RetinaNet': ('retinanet_iresnet50_fpn_coco', dict(size=(256, 320), options=ONE_STAGE)),
    'Faster R-CNN with FPN': ('faster_rcnn_iresnet50_fpn_coco', dict(size=(256, 320), options=TWO_STAGES)),
    'Faster R-CNN on C5': ('faster_rcnn_resnet50_c5_coco', dict(size=(256, 320), options=TWO_STAGES)),
    'classifier': ('classification/iresnet_imagenet', dict(size=(112, 112))),
    'recognizer': ('iresnet3d50_kinetics400', dict(size=(112, 112), frames=8)),
}
QUICK = dict(size=(96, 96), frames=4)
# The loss may differ by this much of itself, and the gradient's cosine with the processor's must be so high.
LOSS = {'fp32': 1e-3, 'bf16': 0.05, 'fp16': 0.02}
COSINE = {'fp32': 0.999, 'bf16': 0.5, 'fp16': 0.9}  # bf16 on a processor: 0.78 to 0.97
SCORES = {'fp32': 0.05, 'bf16': 0.1, 'fp16': 0.1}
SCALE = 1024  # of the loss in fp16, so that small gradients stay above zero


def subject_of(name: str, quick: bool) -> Subject:
    """The subject of a model, with a small network and input in a quick check."""
    config, given = MODELS[name]
    if quick:
        given = {**given, **{key: QUICK[key] for key in QUICK if key in given}, 'backbone': 'iresnet18'}
    return from_spec(Spec(str(ROOT / 'configs' / f'{config}.py'), **given), name)


@lru_cache(maxsize=1)
def reference(name: str, quick: bool) -> tuple[nn.Module, dict, dict[str, Any]]:
    """A model on the processor with its initial weights, a batch, and what it computes there in fp32."""
    subject = subject_of(name, quick)
    torch.manual_seed(0)
    model, batch = subject.new_model(), subject.batch(BATCH)
    return model, batch, computed(copy.deepcopy(model), batch, Setup())


def computed(model: Any, batch: dict, setup: Setup) -> dict[str, Any]:
    """The loss, the gradient and the scores of a prediction of a model that is on its device."""
    batch = copy.deepcopy(batch)  # preprocessors add to the samples
    scale = SCALE if setup.dtype == 'fp16' else 1
    model.train()
    torch.manual_seed(1)  # of the samplers of two-stage detectors
    with setup.autocast():
        loss, _ = model.parse_losses(model._run_forward(model.data_preprocessor(batch, True), mode='loss'))
    (scale * loss).backward()
    gradient = torch.cat([value.grad.detach().float().flatten().cpu() for value in model.parameters()
                          if value.grad is not None]) / scale
    model.zero_grad()
    model.eval()
    with torch.no_grad(), setup.autocast():
        predicted = model._run_forward(model.data_preprocessor(batch, False), mode='predict')
    return dict(loss=float(loss), gradient=gradient, scores=scores_of(predicted))


def scores_of(predicted: list) -> Tensor:
    """All scores of a batch of predictions, the highest first."""
    found = []
    for sample in predicted:
        if isinstance(sample, Mapping):
            found.append(sample['pred_scores'])
        elif 'pred_instances' in sample:
            found.append(sample.pred_instances.scores)
        else:
            found += [leaf for leaf in tree_leaves(sample.pred_score) if isinstance(leaf, Tensor)]
    return torch.cat([scores.detach().float().flatten().cpu() for scores in found]).sort(descending=True).values


def check(name: str, variant: str, place: Place) -> Figures:
    """Compares loss, gradient and scores in a number format, or in channels-last memory, with the processor's."""
    dtype = 'fp32' if variant == 'channels last' else variant
    if place.device == 'cpu' and dtype == 'fp16':
        raise Skipped('fp16 is for GPUs')
    setup = Setup(place.device, dtype)
    setup.apply()
    model, batch, expected = reference(name, place.quick)
    model = copy.deepcopy(model).to(place.device)
    if dtype != 'fp32':
        prepare_for_mixed_precision(model)
    if variant == 'channels last':
        arrange_weights(model, 'channels_last')
    found = computed(model, batch, setup)
    loss = abs(found['loss'] - expected['loss']) / abs(expected['loss'])
    cosine = float(torch.nn.functional.cosine_similarity(found['gradient'].double(), expected['gradient'].double(), 0))
    count = min(len(found['scores']), len(expected['scores']))
    scores = float((found['scores'][:count] - expected['scores'][:count]).abs().max()) if count else 0.
    figures = dict(loss=loss, cosine=cosine, scores=scores, predictions=count)
    told = f'{name}, {variant}: {figures}'
    require(loss <= LOSS[dtype], f'the loss is {found["loss"]:.5g}, the processor has {expected["loss"]:.5g}; {told}')
    require(cosine >= COSINE[dtype], f'the gradient is another one than the processor\'s; {told}')
    require(count > 0 and scores <= SCORES[dtype], f'the predictions are not those of the processor; {told}')
    return figures


CASES = [Case('correctness', f'{name}, {variant}', partial(check, name, variant), seconds=6)
         for name in MODELS for variant in ('fp32', 'channels last', 'bf16', 'fp16')]
