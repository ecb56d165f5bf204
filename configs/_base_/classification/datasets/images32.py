"""Small images in memory: a random 32 x 32 window of the image padded to 40 x 40, and flips, a batch at a time.

The main process prepares them; on a GPU, two workers do, unless ``num_workers`` is given.
"""

train_dataloader = dict(
    batch_size=128,
    worker_init_fn=dict(type='mmext.seed_worker'),
    collate_fn=dict(type='mmext.collate_images'),
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        pipeline=[dict(type='mmext.BatchRandomCrop', size=32, pad_to=40),
                  dict(type='mmext.BatchRandomFlip', prob=0.5)]))
val_dataloader = dict(
    batch_size=256,
    collate_fn=dict(type='mmext.collate_images'),
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(test_mode=True, pipeline=[dict(type='mmext.BatchCenterPad', size=32)]))
test_dataloader = val_dataloader

val_evaluator = dict(type='mmext.Accuracy', topk=(1, 5))
test_evaluator = val_evaluator
