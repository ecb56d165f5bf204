"""Parser actions for flags whose values are dicts."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence

from mmengine.config import DictAction as MMEngineDictAction

from mmext.errors import UserError


class DictAction(MMEngineDictAction):
    """``--option k=v k=v ...``: a dict of values. Raises a UserError for an argument of another form."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Sequence[str],
                 option_string: str | None = None) -> None:
        for word, following in zip(values, [*values[1:], '']):
            key, sign, _ = word.partition('=')
            if not key or not sign:
                raise UserError(f'{option_string} {word}: need key=value{self.remedy(word, following)}')
        self.keep(parser, namespace, values)

    @staticmethod
    def remedy(word: str, following: str) -> str:
        """Guesses the intended form of a malformed argument, for the message."""
        if word.startswith('='):
            return ', without a space before the ='
        if os.path.exists(word):
            return f'; is {word} a separate argument? put it before the option'
        value = following.removeprefix('=')
        return f', without a space: {word}={value}' if following and not value.partition('=')[1] else ''

    def keep(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Sequence[str]) -> None:
        """Stores the values in the namespace."""
        super().__call__(parser, namespace, values)


class OptionsAction(DictAction):
    """``--cfg-options k=v k=v ...``: a dict of ``option_values.Text``, which are parsed once the config is loaded."""

    def keep(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Sequence[str]) -> None:
        from mmext.engine.option_values import Text

        given = dict(getattr(namespace, self.dest, None) or {})
        given.update((key, Text(text)) for key, _, text in (word.partition('=') for word in values))
        setattr(namespace, self.dest, given)
