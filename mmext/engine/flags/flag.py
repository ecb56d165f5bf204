"""The definition of a flag. This module imports nothing slow, so that ``--help`` does not wait for torch."""

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
        name: the name with its dashes.
        options: the options of ``add_argument``: help, type, choices ...
        docs: the description in the docs, in Markdown; by default the help text.
        shown: the flag as written in the docs; by default its name and its ``metavar``.
        effect: ``effect(config, value, given)`` checks the value and changes the config; ``given`` has the values of
            all flags. It raises a UserError for an unusable value. None if the command itself reads the argument.
        always: whether the effect is also applied to the default value.
        needs_model: whether the flag does not apply to ``--detections``, a test without a model.
        also: alternative names.
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
        """The name of its attribute in the parsed arguments."""
        return str(self.options.get('dest') or self.name.lstrip('-').replace('-', '_'))

    @property
    def default(self) -> object:
        """Its value if it is not given."""
        return self.options.get('default', False if self.options.get('action') == 'store_true' else None)

    def is_given(self, value: object) -> bool:
        """Whether a value differs from the default."""
        return value != self.default

    def row(self) -> str:
        """Its row in the table of the docs."""
        shown = self.shown or ' '.join(filter(None, (self.name, str(self.options.get('metavar') or ''))))
        shown, description = (text.replace('|', r'\|') for text in (shown, self.docs or str(self.options['help'])))
        return f'| `{shown}` | {description} |'


def flag(name: str, *, docs: str = '', shown: str = '', always: bool = False, needs_model: bool = False,
         **options: Any) -> Callable[[Effect], Flag]:
    """A decorator that turns an effect function into a flag; see ``Flag``."""
    return lambda effect: Flag(name, options, docs, shown, effect, always, needs_model)


def add_flags(parser: argparse.ArgumentParser, flags: Iterable[Flag]) -> None:
    """Adds flags to a parser, in the given order."""
    for one in flags:
        parser.add_argument(one.name, *one.also, **one.options)


def apply_flags(flags: Iterable[Flag], config: Config, given: argparse.Namespace) -> None:
    """Applies the effects of all flags that are given or have ``always`` set, in the order of ``flags``.

    Args:
        flags: the flags of the command.
        config: changed in place.
        given: the parsed arguments.

    Raises:
        UserError: a flag does not work with this machine, launcher or config, or a value is out of range.
    """
    for one in flags:
        value = getattr(given, one.dest, one.default)
        if one.effect and (one.always or one.is_given(value)):
            one.effect(config, value, given)


def with_defaults(flags: Iterable[Flag], values: Mapping[str, object]) -> argparse.Namespace:
    """Parsed arguments with these values, by ``dest``, and defaults for the others.

    Raises:
        TypeError: a name does not belong to a flag.
    """
    given = {one.dest: one.default for one in flags}
    unknown = values.keys() - given.keys()
    if unknown:
        raise TypeError(f'no flag is called {sorted(unknown)[0]!r}')
    return argparse.Namespace(**{**given, **values})


def table(flags: Iterable[Flag]) -> str:
    """The flags as a Markdown table."""
    rows = [one.row() for one in flags if one.options.get('help') is not argparse.SUPPRESS]
    return '\n'.join(('| flag | what it does |', '|---|---|', *rows)) + '\n'
