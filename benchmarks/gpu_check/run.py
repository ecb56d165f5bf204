"""Checks mmext on a GPU: make gpu-check, or tools/gpu_check.py

    tools/gpu_check.py                                     # 25 minutes on one H100
    tools/gpu_check.py --only correctness --budget 10
    tools/gpu_check.py --data-root data --budget 600       # and full CIFAR-10 recipes, while time is left
    tools/gpu_check.py --device cpu --quick                # the same path on a processor

The most valuable cases run first. Results are written after each, to gpu_check.json and gpu_check.md in the folder of
the check; the same command goes on where an earlier one ended. The exit code is 0 if every case that applies has
passed, 1 if one has failed, and 3 if some are left to run.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path

import mmext  # noqa: F401  repairs the stack before anything else is imported
from benchmarks.gpu_check.case import ROOT, Case, Place
from benchmarks.gpu_check.ledger import Ledger
from benchmarks.gpu_check.report import markdown, summary
from benchmarks.gpu_check.worker import work
from mmext.engine import cli
from mmext.errors import UserError
from mmext.files import require_writable

PARTS = ('correctness', 'speed', 'results')
BUDGET = 25
LEFT = 3  # the exit code
START = 'spawn'  # of a process; a fork could not use a GPU that this process has looked for


def build_parser() -> argparse.ArgumentParser:
    parser = cli.Parser(doc=__doc__)
    parser.add_argument('--budget', type=float, default=BUDGET, metavar='MINUTES',
                        help='begin no case after them (default: %(default)s)')
    parser.add_argument('--only', nargs='+', choices=PARTS, metavar='PART', default=PARTS, help=', '.join(PARTS))
    parser.add_argument('--cases', nargs='+', metavar='TEXT', help='only cases whose names contain one of these texts')
    parser.add_argument('--device', choices=('cuda', 'cpu'), default='cuda')
    parser.add_argument('--quick', action='store_true',
                        help='the smallest networks and inputs; shows that the check works, its figures mean nothing')
    parser.add_argument('--data-root', type=Path, metavar='DIR', help='the folder of cifar-10-batches-py, for results')
    parser.add_argument('--folder', type=Path, default=ROOT / 'work_dirs' / 'gpu_check', help='(default: %(default)s)')
    parser.add_argument('--fresh', action='store_true', help='forget earlier results')
    parser.add_argument('--retry', action='store_true', help='run again what has failed or been skipped before')
    parser.add_argument('--list', action='store_true', help='print the cases and run nothing')
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    args = build_parser().parse_args(arguments)
    if args.budget <= 0:
        raise UserError(f'--budget {args.budget}: need more than 0 minutes')
    if args.data_root and not args.data_root.is_dir():
        raise UserError(f'--data-root {args.data_root}: no such folder')
    if args.quick and args.device == 'cuda':
        raise UserError('--quick is for --device cpu; on a GPU give --budget')
    cases = chosen(args)
    if args.list:
        print('\n'.join(f'{case.key} ({case.seconds:g} s)' for case in cases))
        return 0
    if args.device == 'cpu':
        os.environ['CUDA_VISIBLE_DEVICES'] = ''
    from mmext.benchmark.setup import Setup
    from mmext.engine.work_dir import locked_folder

    Setup(device=args.device).check()
    folder = args.folder.absolute()
    require_writable(folder, '--folder')
    place = Place(folder, args.device, args.quick, args.data_root and args.data_root.absolute(),
                  time.time() + 60 * args.budget)
    with locked_folder(str(folder)):
        if args.fresh:
            (folder / 'gpu_check.json').unlink(missing_ok=True)
        ledger = Ledger(folder / 'gpu_check.json', dict(device=args.device, quick=args.quick))
        if args.retry:
            ledger.forget({case.key for case in cases})
        return check(cases, place, ledger)


def chosen(args: argparse.Namespace) -> list[Case]:
    """The cases that the arguments ask for. Raises a UserError where there are none."""
    from benchmarks.gpu_check.cases import CASES

    cases = [case for case in CASES if case.part in args.only and (case.part != 'results' or args.data_root)
             and (not args.cases or any(text in case.key for text in args.cases))]
    if cases:
        return cases
    if args.cases:
        raise UserError(f'--cases {" ".join(args.cases)}: no case has such a name; --list shows them')
    raise UserError('--only results: needs --data-root, the folder of cifar-10-batches-py')


def check(cases: Sequence[Case], place: Place, ledger: Ledger) -> int:
    """Runs what is left of the cases, and prints the report; returns the exit code."""
    tried: set[str] = set()
    while True:
        waiting = [case for case in cases if not ledger.is_done(case.key) and case.key not in tried
                   and (place.quick or time.time() + case.seconds <= place.end)]
        if not waiting:
            break
        process = Process(waiting, place, ledger)
        process.run()
        tried |= process.tried
    print(markdown(ledger))
    left = [case.key for case in cases if not ledger.is_done(case.key)]
    print(f'{summary(ledger)}; {len(left)} left. Results: {ledger.path}, {ledger.path.with_suffix(".md")}')
    failed = any(ledger.cases[case.key]['status'] == 'failed' for case in cases if case.key in ledger.cases)
    return 1 if failed else LEFT if left else 0


class Process:
    """A process that runs cases until it has done all, or one of them ends it.

    Args:
        cases: in order.
        place: of the check.
        ledger: gets the results.
        clock: returns the time.
    """

    def __init__(self, cases: Sequence[Case], place: Place, ledger: Ledger,
                 clock: Callable[[], float] = time.time) -> None:
        self.cases = {case.key: case for case in cases}
        self.place = place
        self.ledger = ledger
        self.clock = clock
        self.present: str | None = None
        self.tried: set[str] = set()

    def run(self) -> None:
        """Starts the process, keeps what it sends, and ends it with all that it has started."""
        context = multiprocessing.get_context(START)
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(target=work, args=(
            self.place, list(self.cases), str(self.place.folder / 'gpu_check.log'), sender))
        process.start()
        sender.close()
        try:
            self.follow(receiver)
        except EOFError:
            process.join()
            if self.present:
                self.fail(f'the process ended with code {process.exitcode}, see gpu_check.log')
        finally:
            end_group(process.pid)
            process.join()

    def follow(self, receiver: Connection) -> None:
        """Keeps results until the process has done all cases, takes too long, or has no time left for the next one."""
        left = list(self.cases)
        patience = 300.0  # for the start
        while left:
            if not receiver.poll(patience if patience < float('inf') else None):
                if self.present:
                    self.fail(f'stopped after {self.cases[self.present].limit:g} s')
                else:
                    raise UserError(f'the check has not started in {patience:g} s, see gpu_check.log')
                return
            sent = receiver.recv()
            if 'machine' in sent:
                self.ledger.machine = sent['machine']
            elif 'status' in sent:
                self.present = None
                left.remove(sent['key'])
                self.keep(sent.pop('key'), sent)
            else:
                case = self.cases[sent['key']]
                if self.clock() + case.seconds > self.place.end and not self.place.quick:
                    return
                self.present, patience = case.key, case.limit
                print(f'{case.key} ...', flush=True)

    def fail(self, error: str) -> None:
        """Keeps that the present case has failed."""
        assert self.present is not None
        self.keep(self.present, dict(status='failed', error=error, seconds=0))

    def keep(self, key: str, result: dict) -> None:
        """Keeps a result and prints it."""
        self.tried.add(key)
        self.ledger.add(key, result)
        text = result.get('error') or ''
        print(f'{key}: {result["status"]}{f", {text}" if text else ""} ({result["seconds"]} s)', flush=True)


def end_group(pid: int | None) -> None:
    """Kills a process and what it has started, as far as any of it still runs."""
    if pid:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
