"""The figures in the tables of the papers, one row for each network."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path


@cache
def rows() -> list[dict]:
    """All rows: name, paper, table, task, stem, num_classes, input, flops (the convention), params_M, gflops."""
    return json.loads(Path(__file__).with_name('published.json').read_text())


def classifier_rows(name: str, num_classes: int, shape: Sequence[int], stem: str) -> list[dict]:
    """The rows of exactly this classifier; several papers print figures of the same network."""
    return [row for row in rows() if row['task'] in ('classifier', 'recognizer3d')
            and (row['name'], row['num_classes'], row['input'], row['stem']) == (name, num_classes, list(shape), stem)]


def line(row: dict) -> str:
    """A row in words. Some papers print no FLOPs, and some that do have no convention of their own."""
    text = f'{row["paper"]} paper, Table {row["table"]}: {row["params_M"]} M params'
    if row['gflops'] is not None:
        text += f', {row["gflops"]} G FLOPs'
        text += f' (--convention {row["flops"]})' if row['flops'] else ''
    return text
