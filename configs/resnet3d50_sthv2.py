_base_ = [
    '_base_/recognition/models/recognizer3d_resnet50.py', '_base_/recognition/datasets/sthv2.py',
    '_base_/recognition/schedules/iresnet_video_90e.py', '_base_/recognition/runtime.py'
]

model = dict(cls_head=dict(num_classes=174))
