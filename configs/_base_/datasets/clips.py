"""What loaders of clips have in common; 8 videos a process, 8 processes in the paper."""

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
