"""All cases, the most valuable first."""

from benchmarks.gpu_check import models, operators, results, speed, trainings

CASES = [*operators.CASES, *models.CASES, *trainings.CASES, *speed.CASES, *results.CASES]
assert len({case.key for case in CASES}) == len(CASES)
