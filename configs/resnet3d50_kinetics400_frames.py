_base_ = [
    '_base_/recognition/models/recognizer3d_resnet50.py', '_base_/recognition/datasets/kinetics400_frames.py',
    '_base_/recognition/schedules/iresnet_video_90e.py', '_base_/recognition/runtime.py'
]
