"""SSD512 on SSD300's backbone: cut after stage 3 at stride 8, hence one map of 64 x 64.

From mmdet's SSD512: seven maps, 64 to 1, the last by a kernel of 4; their anchors, 24564 in all. From the iResNet
paper's SSD300, as it has no SSD512: the backbone, the channels (one more level of 256), batch norm, no L2Norm.
"""

_base_ = 'ssd300_resnet50.py'

model = dict(
    neck=dict(
        out_channels=(1024, 512, 512, 256, 256, 256, 256),
        level_strides=(2, 2, 2, 2, 2, 1),
        level_paddings=(1, 1, 1, 1, 1, 1),
        last_kernel_size=4),
    bbox_head=dict(
        in_channels=(1024, 512, 512, 256, 256, 256, 256),
        anchor_generator=dict(
            input_size=512,
            basesize_ratio_range=(0.1, 0.9),
            strides=[8, 16, 32, 64, 128, 256, 512],
            ratios=[[2], [2, 3], [2, 3], [2, 3], [2, 3], [2], [2]])))
