"""mmdet's and mmaction2's steps that read files, and ours, which our data sets put in their place.

Configs name the standard steps, so that everything which looks for them finds them: mmdet's ``DetInferencer`` and
``inference_detector``, mmaction2's ``ActionRecogInferencer``, and tools that browse a data set. What a file that can't
be read means is an option of the data set.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

STANDARD = ('', 'mmcv.', 'mmdet.', 'mmaction.')  # scopes that they are registered in
# Standard step -> ours, and the options that both have: theirs -> ours.
OURS = {
    'LoadImageFromFile': ('mmext.LoadImage', {'backend_args': 'backend_args'}),
    'DecordInit': ('mmext.OpenVideo', {'num_threads': 'threads'}),
    'DecordDecode': ('mmext.DecodeVideo', {}),
    'RawFrameDecode': ('mmext.DecodeFrames', {}),
}


def read_with_ours(pipeline: Sequence[dict | Callable], on_error: str, log_file: str | None = None) -> list:
    """The steps of a pipeline with those that read files replaced by ours.

    Args:
        pipeline: dicts with a type, or steps that are built, which stay as they are. A standard step with an option
            that ours does not have stays, too. One of ours keeps the ``on_error`` and ``log_file`` that it has.
        on_error, log_file: of our steps; see ``mmext.data.unreadable.Reader``.
    """
    return [in_ours(step, dict(on_error=on_error, log_file=log_file)) if isinstance(step, dict) else step
            for step in pipeline]


def in_ours(step: dict, reading: dict) -> dict:
    """One step, ours if there is one for it; ``reading`` are the options of ours alone."""
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
