"""Record of the repairs that were needed so far in this process."""

from __future__ import annotations

from collections.abc import Callable

_APPLIED: dict[str, str] = {}


def note(repair: Callable, effect: str) -> None:
    """Records a repair that was needed; ``effect`` describes its result."""
    _APPLIED[repair.__name__] = effect


def applied() -> dict[str, str]:
    """The repairs that were needed so far in this process: name of the function -> its effect."""
    return dict(_APPLIED)
