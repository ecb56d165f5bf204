# The networks of Tables 5 and 6 and Figure 4: a number of blocks, a third of them in each stage, and layers per block.
# Another one by command, here RiR 9x3: --cfg-options model.backbone.blocks=3,3,3 model.backbone.layers_per_block=3
_base_ = 'rir_cifar10.py'

model = dict(backbone=dict(variant='rir', blocks=(5, 5, 5), layers_per_block=6))
