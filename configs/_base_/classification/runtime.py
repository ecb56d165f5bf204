"""What a run of a classifier has."""

_base_ = '../default_runtime.py'

default_scope = 'mmengine'

log_processor = dict(custom_cfg=[dict(data_src='accuracy', method_name='mean', window_size=50)])  # as the loss
default_hooks = dict(checkpoint=dict(save_best='accuracy/top1', rule='greater'))
vis_backends = [dict(type='LocalVisBackend')]
visualizer = dict(type='Visualizer', vis_backends=vis_backends, name='visualizer')
