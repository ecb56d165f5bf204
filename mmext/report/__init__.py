"""What the HTML pages of ``--report`` and ``mmext browse`` share: the frame, plots, tables and training curves.

Each task has a page of its own beside it: ``mmext.detection.report`` and ``mmext.classification.report``.
"""
