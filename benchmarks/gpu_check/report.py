"""The section of Markdown for docs/benchmarks.md or a report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.gpu_check.case import table

if TYPE_CHECKING:
    from benchmarks.gpu_check.ledger import Ledger

TITLES = dict(correctness='Correctness', speed='Speed', results='Results')
NOTES = dict(
    correctness='Models are compared with the processor in fp32: relative difference of the loss, cosine of both\n'
                'gradients, largest difference of a score.',
    speed='For SSD300-ResNet50, NVIDIA reports 724 images/s on an A100, in mixed precision.',
    results='Top-1 accuracy in percent after the last epoch of the full recipe, one seed.')


def markdown(ledger: Ledger) -> str:
    """The whole section."""
    machine = ledger.machine
    quick = ' (quick: the figures mean nothing)' if ledger.settings['quick'] else ''
    dates = sorted({case['date'] for case in ledger.cases.values()})
    lines = [f'## GPU check: {machine.get("device", "nothing has run")}{quick}', '',
             f'`make gpu-check`, {" to ".join(dict.fromkeys(dates[:1] + dates[-1:]))}: {summary(ledger)}.', '',
             table(('', ''), [(name.replace('_', ' '), value) for name, value in machine.items() if value is not None])]
    for part, title in TITLES.items():
        rows = [(key.partition(': ')[2], case) for key, case in ledger.cases.items() if key.startswith(f'{part}: ')]
        if rows:
            lines += ['', f'### {title}', '', NOTES[part], '', table(
                ('case', 'result', 'found', 's'),
                [(name, told(case['status']), found(case), case['seconds']) for name, case in rows])]
    return '\n'.join(lines) + '\n'


def summary(ledger: Ledger) -> str:
    """'12 passed, 1 failed'"""
    count: dict[str, int] = {}
    for case in ledger.cases.values():
        count[case['status']] = count.get(case['status'], 0) + 1
    return ', '.join(f'{number} {status}' for status, number in count.items()) or 'no case has run'


def told(status: str) -> str:
    """A status, of which failures stand out."""
    return '**FAILED**' if status == 'failed' else status


def found(case: dict) -> str:
    """The error of a case, or its figures."""
    return case.get('error') or '; '.join(f'{name}: {shown(value)}' for name, value in case['figures'].items())


def shown(value: object) -> str:
    return f'{value:.4g}' if isinstance(value, float) else str(value)
