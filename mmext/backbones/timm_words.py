"""timm's words for the options of a network: what each is called here, or what to write in its place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmext.backbones.meta import on_meta
from mmext.backbones.plan import STEMS
from mmext.errors import UserError


def in_our_words(options: Mapping[str, Any], cls: type, arguments: Mapping[str, Any], *, classifier: bool) -> dict:
    """Replaces timm's ``in_chans``, ``pretrained``, ``features_only``, ``num_classes`` and ``output_stride``.

    Args:
        options: as a caller of ``create_backbone`` or ``create_classifier`` gives them; ours pass as they are.
        cls, arguments: the network's class, and the arguments that its name stands for.
        classifier: whether a classifier is being made, whose ``num_classes`` is not among the options.

    Raises:
        UserError: a word that asks for what this function does not give; the message says what to write instead.
    """
    options = dict(options)
    if 'in_chans' in options:
        if 'in_channels' in options:
            raise UserError('in_chans and in_channels are the same option; give one of them')
        options['in_channels'] = options.pop('in_chans')
    if options.pop('pretrained', False):
        raise UserError('pretrained: mmext has no weights of its own to download; give checkpoint_path=..., a file or '
                        'a URL, such as one that tools/convert_weights.py has made')
    check_kind(options, classifier)
    if 'output_stride' in options:
        if {'strides', 'dilations'} & {*options}:
            raise UserError('output_stride sets strides and dilations; give it or them')
        wanted = options.pop('output_stride')
        with on_meta():
            usual = cls(**{**arguments, **options})
        stem, *stages = [stride for _, stride in usual.reductions]
        if usual.improved_projection and STEMS[usual.stem].pool:
            stem *= 2  # strides are counted after the pool, which is part of stage 1 then
        options.update(strides_for(wanted, [stem, *stages]))
    return options


def check_kind(options: dict, classifier: bool) -> None:
    """Takes out ``features_only`` and ``num_classes``, where they ask for what is being made."""
    features_only = options.pop('features_only', not classifier)
    if classifier and features_only:
        raise UserError('features_only=True: a classifier has no features to give; write create_backbone(...)')
    if not classifier and not features_only:
        raise UserError('features_only=False: a backbone gives features alone; write create_classifier(...)')
    if not classifier and options.pop('num_classes', 0):
        raise UserError('num_classes: a backbone has no classes; write create_classifier(..., num_classes=...)')


def strides_for(wanted: int, usual: Sequence[int]) -> dict[str, Sequence[int]]:
    """``strides`` and ``dilations`` with which no stage divides the input by more than ``wanted``.

    Args:
        wanted: timm's ``output_stride``.
        usual: by how much the stem with its pool, and each stage, divide the input without it.

    Raises:
        UserError: the network can't have it.
    """
    possible = sorted({*usual[1:]})
    if isinstance(wanted, bool) or wanted not in possible:
        raise UserError(f'output_stride={wanted!r}: need one of {", ".join(map(str, possible))}')
    steps = [after // before for before, after in zip(usual, usual[1:])]
    strides = [step if reached <= wanted else 1 for step, reached in zip(steps, usual[1:])]
    return dict(strides=strides, dilations=[max(reached // wanted, 1) for reached in usual[1:]])
