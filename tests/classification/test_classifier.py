"""A backbone, a mean over its last map, and one linear layer."""

from __future__ import annotations

import pytest
import torch

from mmext import create_backbone
from mmext.classification import Classifier
from tests.backbones.helpers import images, on_meta


@pytest.mark.parametrize(('name', 'dims', 'size'), [('iresnet18', 2, (40, 32)), ('iresnet18', 3, (4, 32, 32))])
def test_logits_are_the_linear_layer_of_the_mean(name: str, dims: int, size: tuple[int, ...]) -> None:
    model = Classifier(create_backbone(name, dims=dims), 7).eval()
    x = images(2, 3, *size)
    with torch.no_grad():
        mean = model.backbone(x)[-1].flatten(2).mean(2)
        torch.testing.assert_close(model(x), mean @ model.fc.weight.T + model.fc.bias)


@pytest.mark.parametrize(('name', 'channels'), [('resnet50', 2048), ('iresgroup50', 1024), ('iresnet164_cifar', 256)])
def test_it_reads_what_the_last_stage_hands_on(name: str, channels: int) -> None:
    with torch.device('meta'):
        model = Classifier(on_meta(name), 10)
    assert model.fc.in_features == channels
    assert model(torch.empty(2, 3, 64, 64, device='meta')).shape == (2, 10)


def test_the_last_of_several_outputs_is_classified() -> None:
    with torch.device('meta'):
        model = Classifier(on_meta('resnet18', out_indices=(0, 2)), 10)
    assert model(torch.empty(2, 3, 64, 64, device='meta')).shape == (2, 10)


def test_parameter_names() -> None:
    with torch.device('meta'):
        names = list(Classifier(on_meta('resnet18'), 10).state_dict())
    assert names[-2:] == ['fc.weight', 'fc.bias']
    assert all(name.startswith('backbone.') for name in names[:-2])
