"""What the papers printed: one row a network, from their tables."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path


@cache
def rows() -> list[dict]:
    """Every row: name, paper, table, task, stem, num_classes, input, flops (convention), params_M, gflops."""
    return json.loads(Path(__file__).with_name('published.json').read_text())


def classifier_rows(name: str, num_classes: int, shape: Sequence[int], stem: str) -> list[dict]:
    """The rows for just this classifier; the same network stands in several papers."""
    return [row for row in rows() if row['task'] in ('classifier', 'recognizer3d')
            and (row['name'], row['num_classes'], row['input'], row['stem']) == (name, num_classes, list(shape), stem)]


def line(row: dict) -> str:
    """A row in words. Not every paper prints FLOPs, and not every one that does has a convention of its own."""
    text = f'{row["paper"]} paper, Table {row["table"]}: {row["params_M"]} M params'
    if row['gflops'] is not None:
        text += f', {row["gflops"]} G FLOPs'
        text += f' (--convention {row["flops"]})' if row['flops'] else ''
    return text
