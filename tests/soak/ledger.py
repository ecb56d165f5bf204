"""What a soak has done so far: a JSON file that is written after each case, and the table that is made of it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from mmext.files import read_json, write_json

KEPT = 200  # failures of a part that are kept whole


class Ledger:
    """Cases that were done, by part and kind, with their failures.

    Args:
        path: of the JSON file; an earlier soak's goes on.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.parts: dict[str, dict] = dict(read_json(path, 'file of results')['parts']) if path.exists() else {}

    def part(self, name: str) -> dict:
        return self.parts.setdefault(name, dict(done={}, notes={}, failed=0, failures=[], seconds=0.0))

    def done(self, part: str, kind: str | None = None) -> int:
        """How many cases of a kind, or of the whole part."""
        done = self.part(part)['done']
        return sum(done.values()) if kind is None else done.get(kind, 0)

    def add(self, part: str, kind: str, count: int = 1, *, seconds: float = 0.0) -> None:
        entry = self.part(part)
        entry['done'][kind] = entry['done'].get(kind, 0) + count
        entry['seconds'] += seconds
        self.save()

    def fail(self, part: str, kind: str, what: str, **example: object) -> None:
        """Notes what went wrong, and what makes it happen again."""
        entry = self.part(part)
        entry['failed'] += 1
        if len(entry['failures']) < KEPT:
            entry['failures'].append(dict(kind=kind, what=what, when=time.strftime('%Y-%m-%d %H:%M:%S'), **example))
        print(f'  FAILED {part}, {kind}: {what}', flush=True)
        self.save()

    def note(self, part: str, name: str, value: float | int | str, *, add: bool = False) -> None:
        """Keeps a number beside the cases; ``add`` sums it up."""
        notes = self.part(part)['notes']
        notes[name] = notes.get(name, 0) + value if add else value
        self.save()

    @contextmanager
    def timed(self, part: str) -> Iterator[None]:
        begin = time.monotonic()
        try:
            yield
        finally:
            self.part(part)['seconds'] += time.monotonic() - begin
            self.save()

    def save(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_json(self.path, dict(parts=self.parts))


def fewest(ledger: Ledger, part: str, wanted: Mapping[str, int]) -> Iterator[str]:
    """The kind that is next, again and again until each has as many cases as wanted: the one that has the least."""
    while left := [kind for kind, number in wanted.items() if ledger.done(part, kind) < number]:
        yield min(left, key=lambda kind: ledger.done(part, kind) / wanted[kind])
