"""timm's words for the options of a network."""

from __future__ import annotations

import pytest
import torch

import mmext
from mmext.errors import UserError

SIZE = 96


@pytest.mark.parametrize('name', ['resnet18', 'iresnet18', 'preact_resnet50', 'iresgroup50', 'cresnet15_a1', 'rir32',
                                  'resnet18_recursive', 'all_cnn_c', 'iresnet164_cifar'])
def test_output_stride_dilates_instead(name: str):
    """Every map is as large as asked for, its weights are the usual network's, and a cell sees as far."""
    with torch.device('meta'):
        usual = mmext.create_backbone(name)
    strides = [feature.stride for feature in usual.feature_info]
    for wanted in sorted({*strides})[:-1]:
        dilated = mmext.create_backbone(name, output_stride=wanted)
        assert [feature.stride for feature in dilated.feature_info] == [min(stride, wanted) for stride in strides]
        assert [stage.dilation for stage in dilated.stages] == [max(stride // wanted, 1) for stride in strides]
        assert {key: value.shape for key, value in dilated.state_dict().items()} == {
            key: value.shape for key, value in usual.state_dict().items()}
    if name != 'all_cnn_c':  # whose stage 3 is not padded
        maps = dilated.eval()(torch.zeros(1, 3, SIZE, SIZE))
        assert [SIZE // min(stride, wanted) for stride in strides] == [found.shape[-1] for found in maps]


def test_the_usual_output_stride_changes_nothing():
    one, other = mmext.create_backbone('iresnet18'), mmext.create_backbone('iresnet18', output_stride=32)
    assert one.stages == other.stages


def test_words_that_mean_the_same():
    grey = mmext.create_backbone('resnet18', in_chans=1, features_only=True, pretrained=False, num_classes=0)
    assert grey.conv1.in_channels == 1
    model = mmext.create_classifier('resnet18', in_chans=1, num_classes=5, features_only=False)
    assert model.backbone.conv1.in_channels == 1 and model.fc.out_features == 5
    assert mmext.create_classifier('resnet18', output_stride=8).backbone.stages[-1].dilation == 4


@pytest.mark.parametrize('make, options, remedy', [
    (mmext.create_backbone, dict(pretrained=True), 'checkpoint_path='),
    (mmext.create_classifier, dict(pretrained=True), 'checkpoint_path='),
    (mmext.create_backbone, dict(num_classes=10), r'create_classifier\(..., num_classes=...\)'),
    (mmext.create_backbone, dict(features_only=False), r'create_classifier\(...\)'),
    (mmext.create_classifier, dict(features_only=True), r'create_backbone\(...\)'),
    (mmext.create_backbone, dict(in_chans=1, in_channels=1), 'give one of them'),
    (mmext.create_backbone, dict(output_stride=12), 'one of 4, 8, 16, 32'),
    (mmext.create_backbone, dict(output_stride=True), 'one of 4, 8, 16, 32'),
    (mmext.create_backbone, dict(output_stride='8'), 'one of 4, 8, 16, 32'),
    (mmext.create_backbone, dict(output_stride=8, strides=(1, 1, 1, 1)), 'give either output_stride or these'),
])
def test_words_that_ask_for_something_else_are_answered(make, options: dict, remedy: str):
    with pytest.raises(UserError, match=remedy):
        make('resnet18', **options)
