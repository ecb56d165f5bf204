"""A backbone with global average pooling and one linear layer."""

from __future__ import annotations

from torch import Tensor, nn

from mmext.backbones import Backbone
from mmext.backbones.layers import Layers


class Classifier(nn.Module):
    """Images (N, C, H, W) or clips (N, C, T, H, W) -> logits (N, num_classes).

    Args:
        backbone: its last output is classified.
        num_classes: of the linear layer ``fc``.
    """

    def __init__(self, backbone: Backbone, num_classes: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.pool = Layers(backbone.dims).global_pool()
        self.fc = nn.Linear(backbone.feature_info.channels()[-1], num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.backbone(x)[-1]
        return self.fc(self.pool(x).flatten(1))
