"""What a run of a classifier has."""

_base_ = '../default_runtime.py'

default_scope = 'mmengine'

default_hooks = dict(checkpoint=dict(save_best='accuracy/top1', rule='greater'))
vis_backends = [dict(type='LocalVisBackend')]
visualizer = dict(type='Visualizer', vis_backends=vis_backends, name='visualizer')
