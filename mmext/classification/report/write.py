"""Writes the report to a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mmext.classification.scores import SavedScores
from mmext.report.page import require_report, write_page

if TYPE_CHECKING:
    from mmext.classification.report.page import Draw

PICTURES = 12  # most confident right samples, and as many wrong ones


def write_report(folder: str | Path, title: str, saved: SavedScores, draw: Draw, samples: str, *,
                 metrics: Mapping[str, float] | None = None, history: Sequence[dict] = ()) -> Path:
    """Writes one self-contained HTML page, atomically. The same input gives the same bytes.

    Args:
        folder: where ``index.html`` is written.
        title: the heading of the page.
        saved: the scores of the test.
        draw: makes the picture of a sample, see ``page.Draw``. Samples for which it raises a UserError are named.
        samples: what they are: 'images' or 'videos'.
        metrics: the metrics of these scores as fractions of 1, if they are already known, to be compared.
        history: records of the training, as ``mmext.engine.log.read_scalars`` returns them.

    Returns:
        The path of the file.

    Raises:
        UserError: the folder is not writable, or a library is not installed.
        ValueError: ``metrics`` are not those of the scores.
    """
    require_report(folder)
    from mmext.classification.report.analysis import analyse
    from mmext.classification.report.page import render

    analysis = analyse(saved, PICTURES)
    for name, value in (('top1', analysis.top1), ('top5', analysis.top5)):
        if metrics and value is not None and abs(metrics.get(name, value) - value) > 1e-6:
            raise ValueError(f'{name} is {value} of these scores, not {metrics[name]}')
    return write_page(folder, render(title, analysis, draw, samples, history))
