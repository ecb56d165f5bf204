"""What a run of a recognizer has."""

_base_ = '../default_runtime.py'

custom_imports = dict(imports=['mmext', 'mmext.video'], allow_failed_imports=False)
default_scope = 'mmaction'

default_hooks = dict(checkpoint=dict(save_best='accuracy/top1', rule='greater'))
vis_backends = [dict(type='LocalVisBackend')]
visualizer = dict(type='ActionVisualizer', vis_backends=vis_backends)
