"""Replacement of mmdet's and mmaction2's steps that read files by mmext's, which our data sets do.

Configs name the standard steps, as other code looks for them: mmdet's ``DetInferencer`` and ``inference_detector``,
mmaction2's ``ActionRecogInferencer``, and tools that browse a data set. How unreadable files are handled is an option
of the data set.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

STANDARD = ('', 'mmcv.', 'mmdet.', 'mmaction.')  # scopes in which the standard steps are registered
# Standard step -> mmext's step, and the options that both have: name there -> name here.
OURS = {
    'LoadImageFromFile': ('mmext.LoadImage', {'backend_args': 'backend_args'}),
    'DecordInit': ('mmext.OpenVideo', {'num_threads': 'threads'}),
    'DecordDecode': ('mmext.DecodeVideo', {}),
    'RawFrameDecode': ('mmext.DecodeFrames', {}),
}


def read_with_ours(pipeline: Sequence[dict | Callable], on_error: str, log_file: str | None = None) -> list:
    """Replaces the standard steps of a pipeline that read files by mmext's.

    Args:
        pipeline: configs of steps, or steps that are built already, which are kept. A standard step with an option that
            mmext's step does not have is kept, too.
        on_error, log_file: for mmext's steps, unless they have their own; see ``mmext.data.unreadable.Reader``.

    Returns:
        The steps of the new pipeline.
    """
    return [replaced(step, dict(on_error=on_error, log_file=log_file)) if isinstance(step, dict) else step
            for step in pipeline]


def replaced(step: dict, reading: dict) -> dict:
    """The config of mmext's step in place of a standard one, or the step itself where there is none.

    Args:
        step: config of a step.
        reading: the options that only mmext's steps have.
    """
    scope, _, name = step['type'].rpartition('.') if isinstance(step['type'], str) else ('', '', '')
    scope = f'{scope}.' if scope else ''
    if scope == 'mmext.' and step['type'] in {ours for ours, _ in OURS.values()}:
        return {**reading, **step}
    if scope not in STANDARD or name not in OURS:
        return step
    ours, shared = OURS[name]
    options = {key: value for key, value in step.items() if key not in ('type', '_scope_') and value is not None}
    if not options.keys() <= shared.keys():
        return step
    return dict(type=ours, **{shared[key]: value for key, value in options.items()}, **reading)
