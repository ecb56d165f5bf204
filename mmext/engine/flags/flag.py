"""What a flag is. Importing this takes no time, so that ``--help`` does not wait for torch."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmengine.config import Config

Effect = Callable[..., None]


@dataclass(frozen=True)
class Flag:
    """A flag of a command.

    Args:
        name: with its dashes.
        options: of ``add_argument``: help, type, choices ...
        docs: what the table in the docs says, in Markdown; the help by default.
        shown: how the table writes the flag, where that is not its name and its ``metavar``.
        effect: ``effect(config, value, given)`` checks the value and changes the config; ``given`` has the values of
            all flags. It raises a UserError for what can't work. None: whoever reads the arguments deals with it.
        always: whether the effect is also that of the default.
        needs_model: whether it says nothing of a test of a file of detections.
        also: further names of it.
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    docs: str = ''
    shown: str = ''
    effect: Effect | None = None
    always: bool = False
    needs_model: bool = False
    also: tuple[str, ...] = ()

    @property
    def dest(self) -> str:
        """Its attribute in the parsed arguments."""
        return str(self.options.get('dest') or self.name.lstrip('-').replace('-', '_'))

    @property
    def default(self) -> object:
        """Its value where it is not given."""
        return self.options.get('default', False if self.options.get('action') == 'store_true' else None)

    def is_given(self, value: object) -> bool:
        """Whether a value is another than the default."""
        return value != self.default

    def row(self) -> str:
        """Its line of the table in the docs."""
        shown = self.shown or ' '.join(filter(None, (self.name, str(self.options.get('metavar') or ''))))
        shown, said = (text.replace('|', r'\|') for text in (shown, self.docs or str(self.options['help'])))
        return f'| `{shown}` | {said} |'


def flag(name: str, *, docs: str = '', shown: str = '', always: bool = False, needs_model: bool = False,
         **options: Any) -> Callable[[Effect], Flag]:
    """A decorator that makes a flag of its effect; see ``Flag``."""
    return lambda effect: Flag(name, options, docs, shown, effect, always, needs_model)


def add_flags(parser: argparse.ArgumentParser, flags: Iterable[Flag]) -> None:
    """Adds flags to a parser, in their order."""
    for one in flags:
        parser.add_argument(one.name, *one.also, **one.options)


def apply_flags(flags: Iterable[Flag], config: Config, given: argparse.Namespace) -> None:
    """Applies the effects of the flags that are given, and of those that always have one, in the order of ``flags``.

    Args:
        flags: of the command.
        config: changed in place.
        given: the parsed arguments.

    Raises:
        UserError: a flag that can't work with this machine, launcher or config, or a value out of its range.
    """
    for one in flags:
        value = getattr(given, one.dest, one.default)
        if one.effect and (one.always or one.is_given(value)):
            one.effect(config, value, given)


def with_defaults(flags: Iterable[Flag], values: Mapping[str, object]) -> argparse.Namespace:
    """Values by ``dest`` as parsed arguments, the others at their defaults. TypeError for a name of no flag."""
    given = {one.dest: one.default for one in flags}
    unknown = values.keys() - given.keys()
    if unknown:
        raise TypeError(f'no flag is called {sorted(unknown)[0]!r}')
    return argparse.Namespace(**{**given, **values})


def table(flags: Iterable[Flag]) -> str:
    """The flags as a Markdown table."""
    rows = [one.row() for one in flags if one.options.get('help') is not argparse.SUPPRESS]
    return '\n'.join(('| flag | what it does |', '|---|---|', *rows)) + '\n'
