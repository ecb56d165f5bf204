"""Which repairs were needed so far in this process."""

from __future__ import annotations

from collections.abc import Callable

_APPLIED: dict[str, str] = {}


def note(repair: Callable, effect: str) -> None:
    """Enters a repair that was needed; ``effect`` says what it did."""
    _APPLIED[repair.__name__] = effect


def applied() -> dict[str, str]:
    """The repairs that were needed so far in this process: function name -> what it did."""
    return dict(_APPLIED)
