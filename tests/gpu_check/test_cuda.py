"""On a GPU, as a part of the test suite: operators, and a training step and a prediction of every task."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.gpu_check import models, operators
from benchmarks.gpu_check.case import Case, Place, Skipped

pytestmark = pytest.mark.cuda


@pytest.mark.parametrize('case', [*operators.CASES, *models.CASES], ids=lambda case: case.name)
def test_what_the_processor_computes(case: Case, tmp_path: Path):
    try:
        case.run(Place(tmp_path, 'cuda'))
    except Skipped as reason:
        pytest.skip(str(reason))
