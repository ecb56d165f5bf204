"""What a training's log says over time."""

from __future__ import annotations

import math
from collections.abc import Sequence

Line = tuple[list[float], list[float]]

LABELS = {'AP': 'AP', 'AP50': 'AP50', 'AP75': 'AP75', 'bbox_mAP': 'AP', 'bbox_mAP_50': 'AP50', 'bbox_mAP_75': 'AP75'}


def line(records: Sequence[dict], key: str, scale: float = 1.0) -> Line:
    """One quantity of the records that have it: (iterations, values), without what is not finite."""
    points = [(record['iter'], scale * record[key]) for record in records
              if isinstance(record.get(key), (int, float)) and math.isfinite(record[key])]
    return [x for x, _ in points], [y for _, y in points]


def training_lines(records: Sequence[dict]) -> dict[str, dict[str, Line]]:
    """Records of ``engine.log.read_scalars`` -> the curves 'loss', 'lr' and 'AP' (in percent), each name: line.

    A curve of which nothing was logged is left out.
    """
    trained = [record for record in records if record['mode'] == 'train']
    validated = [record for record in records if record['mode'] == 'val']
    curves = {
        'loss': {'total': line(trained, 'loss')} | {
            label: line(trained, key) for key, label in (('loss_cls', 'classes'), ('loss_bbox', 'boxes'))},
        'lr': {'learning rate': line(trained, 'lr')},
        'AP': {LABELS[key.partition('/')[2]]: line(validated, key, 100) for record in validated for key in record
               if key.partition('/')[2] in LABELS},
    }
    curves = {name: {label: values for label, values in lines.items() if values[0]} for name, lines in curves.items()}
    return {name: lines for name, lines in curves.items() if lines}
