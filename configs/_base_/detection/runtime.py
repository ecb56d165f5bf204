"""What a run of a detector has."""

_base_ = '../default_runtime.py'

default_scope = 'mmdet'

default_hooks = dict(
    checkpoint=dict(save_best='coco/AP', rule='greater'), visualization=dict(type='DetVisualizationHook'))
vis_backends = [dict(type='LocalVisBackend')]
visualizer = dict(type='DetLocalVisualizer', vis_backends=vis_backends, name='visualizer')
