"""timm's names for the options of a network, translated to ours or rejected with advice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmext.backbones.meta import on_meta
from mmext.backbones.plan import STEMS
from mmext.errors import UserError


def translate_timm_options(options: Mapping[str, Any], cls: type, arguments: Mapping[str, Any], *,
                           classifier: bool) -> dict[str, Any]:
    """Replaces timm's ``in_chans``, ``features_only``, ``num_classes`` and ``output_stride``.

    Args:
        options: The options given to ``create_backbone`` or ``create_classifier``; our own are passed through.
        cls: The class of the network.
        arguments: The constructor arguments that the name of the network stands for.
        classifier: Whether a classifier is created; its ``num_classes`` is not one of the options.

    Raises:
        UserError: An option asks for something that is not available; the message says what to use instead.
    """
    options = dict(options)
    if 'in_chans' in options:
        if 'in_channels' in options:
            raise UserError('in_chans and in_channels are the same option; give one of them')
        options['in_channels'] = options.pop('in_chans')
    check_kind(options, classifier)
    if 'output_stride' in options:
        if {'strides', 'dilations'} & {*options}:
            raise UserError('output_stride sets strides and dilations; give either output_stride or these')
        output_stride = options.pop('output_stride')
        with on_meta():
            default = cls(**{**arguments, **options})
        stem, *stages = [stride for _, stride in default.reductions]
        if default.improved_projection and STEMS[default.stem].pool:
            stem *= 2  # strides do not count the max-pool, which is part of stage 1 in these networks
        options.update(strides_for(output_stride, [stem, *stages]))
    return options


def check_kind(options: dict, classifier: bool) -> None:
    """Removes ``features_only`` and ``num_classes`` if they fit what is being created.

    Raises:
        UserError: They do not fit.
    """
    features_only = options.pop('features_only', not classifier)
    if classifier and features_only:
        raise UserError('features_only=True: a classifier does not return features; use create_backbone(...)')
    if not classifier and not features_only:
        raise UserError('features_only=False: a backbone returns only features; use create_classifier(...)')
    if not classifier and options.pop('num_classes', 0):
        raise UserError('num_classes: a backbone has no classes; use create_classifier(..., num_classes=...)')


def strides_for(output_stride: int, totals: Sequence[int]) -> dict[str, Sequence[int]]:
    """The ``strides`` and ``dilations`` with which no stage has a larger total stride than ``output_stride``.

    Args:
        output_stride: timm's option.
        totals: The default total stride after the stem with its max-pool, and after each stage.

    Raises:
        UserError: The network does not support this output stride.
    """
    possible = sorted({*totals[1:]})
    if isinstance(output_stride, bool) or output_stride not in possible:
        raise UserError(f'output_stride={output_stride!r}: need one of {", ".join(map(str, possible))}')
    steps = [after // before for before, after in zip(totals, totals[1:])]
    strides = [step if total <= output_stride else 1 for step, total in zip(steps, totals[1:])]
    return dict(strides=strides, dilations=[max(total // output_stride, 1) for total in totals[1:]])
