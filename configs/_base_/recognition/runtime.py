"""What a run of a recognizer has."""

_base_ = '../default_runtime.py'

custom_imports = dict(imports=['mmext', 'mmext.video'], allow_failed_imports=False)
default_scope = 'mmaction'

log_processor = dict(custom_cfg=[  # means, as of the loss
    dict(data_src=name, method_name='mean', window_size=50) for name in ('top1_acc', 'top5_acc')])
default_hooks = dict(checkpoint=dict(save_best='accuracy/top1', rule='greater'))
vis_backends = [dict(type='LocalVisBackend')]
visualizer = dict(type='ActionVisualizer', vis_backends=vis_backends)
