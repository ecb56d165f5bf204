"""What a user with a GPU runs: whether mmext computes there what it computes on a processor, and how fast.

``tools/gpu_check.py`` (``make gpu-check``) starts it, and docs/gpu.md explains it. A check is a list of cases. Each is
a function of a ``Place`` that returns figures or raises. A process of its own runs them one after the other, so that an
error that leaves a GPU unusable ends that process alone; ``run.py`` then starts another one for the rest.
"""
