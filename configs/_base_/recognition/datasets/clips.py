"""What loaders of clips have in common; 8 videos a process, 8 processes in the paper.

Augmentation is that of Non-local networks (Wang et al., arXiv 1711.07971), to which the paper refers: the short side is
resized to 256 to 320 pixels, drawn at random, and 224 x 224 pixels are cropped at random, the same of all frames.
"""

train_augmentation = [dict(type='RandomRescale', scale_range=(256, 320)), dict(type='RandomCrop', size=224)]

train_dataloader = dict(
    batch_size=8,
    num_workers=8,
    drop_last=True,  # a last batch of one clip has poor statistics for the batch norms
    worker_init_fn=dict(type='mmext.seed_worker'),
    sampler=dict(type='DefaultSampler', shuffle=True))
val_dataloader = dict(
    batch_size=8,
    num_workers=8,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(test_mode=True))
test_dataloader = val_dataloader

val_evaluator = dict(type='mmext.ActionAccuracy', topk=(1, 5))
test_evaluator = val_evaluator
