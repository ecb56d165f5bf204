"""Reading of images and videos, the same for every task.

Nothing is imported here, so that a command that only reads videos does not wait for torch.
"""
