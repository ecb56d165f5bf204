_base_ = [
    '_base_/models/recognizer3d_resnet50.py', '_base_/datasets/kinetics400.py', '_base_/schedules/iresnet_video_90e.py',
    '_base_/video_runtime.py'
]
