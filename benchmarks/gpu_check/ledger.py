"""What a check has found so far: one JSON file, written whole after each case, and the Markdown made of it."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from mmext.errors import UserError
from mmext.files import read_json, write_json, write_text

DONE = ('passed', 'failed', 'skipped')  # a second call does not run these again, or with --retry only the passed


class Ledger:
    """Results of cases by their keys.

    Args:
        path: of the JSON file; that of an earlier call is continued.
        settings: what the results depend on: device, quick. An earlier file must have the same.

    Raises:
        UserError: the file is none of this command, or has results of other settings.
    """

    def __init__(self, path: Path, settings: dict) -> None:
        self.path = path
        self.settings = settings
        self.machine: dict = {}
        self.cases: dict[str, dict[str, Any]] = {}
        if path.exists():
            found = read_json(path, 'file of results')
            if not isinstance(found, dict) or not {'settings', 'machine', 'cases'} <= {*found}:
                raise UserError(f'{path}: was not written by this command; give --fresh or another --folder')
            if found['settings'] != settings:
                raise UserError(f'{path}: has results of {json.dumps(found["settings"])}, not of '
                                f'{json.dumps(settings)}; give --fresh or another --folder')
            self.machine, self.cases = found['machine'], found['cases']

    def is_done(self, key: str) -> bool:
        return self.cases.get(key, {}).get('status') in DONE

    def forget(self, keys: set[str]) -> None:
        """Forgets results other than passed ones, so that these cases run again."""
        self.cases = {key: case for key, case in self.cases.items() if key not in keys or case['status'] == 'passed'}

    def add(self, key: str, result: dict) -> None:
        """Keeps a result, beside the seconds that earlier calls have spent on an unfinished case."""
        spent = self.cases.get(key, {})
        seconds = result.get('seconds', 0) + (spent.get('seconds', 0) if spent.get('status') == 'unfinished' else 0)
        self.cases[key] = dict(result, seconds=round(seconds, 1), date=time.strftime('%Y-%m-%d'))
        self.save()

    def save(self) -> None:
        """Writes both files."""
        from benchmarks.gpu_check.report import markdown

        write_json(self.path, dict(settings=self.settings, machine=self.machine, cases=self.cases))
        write_text(self.path.with_suffix('.md'), markdown(self))
