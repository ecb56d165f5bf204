"""Export of a module with one input to an ONNX file, which is checked in onnxruntime before it gets its name."""

from __future__ import annotations

import copy
import json
import logging
import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.onnx.errors import OnnxExporterError

import mmext
from mmext.backbones.fuse import fuse
from mmext.compat import installed
from mmext.engine.fusion import Difference, difference
from mmext.errors import UserError
from mmext.export.operators import translations
from mmext.export.runtimes import Run, installed_runtimes, run_onnxruntime
from mmext.files import write_whole

PACKAGES = ('onnx', 'onnxscript', 'onnxruntime')
TOLERANCE = 1e-4
SPATIAL = ('frames', 'height', 'width')


@dataclass(frozen=True)
class Graph:
    """What is exported.

    Attributes:
        model: in eval mode, takes one tensor and returns a tuple of tensors.
        input: the name of its input in the file.
        outputs: the names of its outputs in the file.
        shape: of one sample, (C, H, W) or (C, T, H, W).
        free: the dimensions of a sample, counted from 0, that are variable in the file; the batch always is.
        metadata: is stored in the file, values that are not strings as JSON.
        make_input: makes a synthetic batch of a shape, for the check.
        compare: the difference of each output, from those of the file and those of torch.
        tolerances: for outputs whose difference may be another one than all others'.
        read: makes a batch of a user's file, as the task's test pipeline prepares it; None if there are no such files.
        predict: what ``model`` must give, if there is another way to it than ``model``.
    """

    model: nn.Module
    input: str
    outputs: Sequence[str]
    shape: tuple[int, ...]
    metadata: Mapping[str, object]
    free: Sequence[int] = ()
    make_input: Callable[[Sequence[int]], Tensor] = torch.randn
    compare: Callable[[Sequence, Sequence], dict[str, Difference]] | None = None
    tolerances: Mapping[str, float] = field(default_factory=dict)
    read: Callable[[Path], Tensor] | None = None
    predict: Callable[[Tensor], Sequence] | None = None

    def differences(self, found: Sequence[np.ndarray], expected: Sequence) -> dict[str, Difference]:
        """The difference of each output, from those of the file and those of torch."""
        tensors = list(map(torch.from_numpy, found))
        if self.compare:
            return self.compare(tensors, expected)
        return {name: difference(*pair) for name, *pair in zip(self.outputs, tensors, expected, strict=True)}


def random_pixels(shape: Sequence[int]) -> Tensor:
    """A tensor of random whole numbers from 0 to 255, as float32."""
    return torch.randint(256, tuple(shape)).float()


def require_onnx() -> None:
    """Raises a UserError that says what to install if a package that export needs is missing."""
    missing = [name for name in PACKAGES if not installed(name)]
    if missing:
        raise UserError(f'export: {" and ".join(missing)} not installed; pip install {" ".join(missing)}')


def write_onnx(graph: Graph, path: str | Path, *, fused: bool = False, opset: int | None = None,
               tolerance: float = TOLERANCE) -> dict[str, Difference]:
    """Writes a graph to an ONNX file, if onnxruntime computes the same outputs with it as torch.

    The file includes the weights, and its batch size is variable. Its outputs are compared with those of the model,
    not fused, on two synthetic inputs: one of the shape it was traced with, one of another size in every variable
    dimension.

    Args:
        graph: what is exported.
        path: of the file.
        fused: fold batch norms into convolutions first (see ``mmext.backbones.fuse``).
        opset: version of the ONNX operators; by default chosen by torch.
        tolerance: the largest allowed difference, relative to the largest value of an output.

    Returns:
        For each output the larger one of the differences on the two inputs.

    Raises:
        UserError: torch can't export the model, or an output differs by more than the tolerance. No file is written.
    """
    shapes = [(2, *graph.shape), enlarged(graph)]
    program = export_program(graph, fuse(graph.model) if fused else graph.model, graph.make_input(shapes[0]), opset)
    for key, value in dict(graph.metadata, mmext_version=mmext.__version__, fused=fused).items():
        program.model.metadata_props[key] = value if isinstance(value, str) else json.dumps(value)
    found: dict[str, Difference] = {}

    def write(temporary: Path) -> None:
        program.save(str(temporary), external_data=False)
        inputs = [graph.make_input(shape) for shape in shapes]
        runs = {'onnxruntime': run_onnxruntime(temporary)}
        found.update(compare_runs(graph, runs, graph.model, inputs)['onnxruntime'])
        require_equal(found, path, tolerance, graph.tolerances)

    write_whole(path, write)
    return found


def enlarged(graph: Graph) -> tuple[int, ...]:
    """Another shape that the file must accept: three samples, each variable dimension larger by another amount."""
    return (3, *(size + size // 8 + place if place in graph.free else size for place, size in enumerate(graph.shape)))


def export_program(graph: Graph, model: nn.Module, example: Tensor, opset: int | None) -> torch.onnx.ONNXProgram:
    """Exports a model with torch.onnx.

    The weights are those of a copy in contiguous memory. For channels-last ones, torch writes the global average pool
    with a Gather on computed indices, and OpenVINO gets it wrong in 8-bit files.
    """
    copied = cast(Any, copy.deepcopy(model)).to(memory_format=torch.contiguous_format)
    names = SPATIAL[-len(graph.shape) + 1:]
    free = {0: 'batch', **{place + 1: names[place - 1] for place in graph.free}}
    try:
        with quiet(), torch.no_grad():
            program = torch.onnx.export(copied, (example, ), dynamo=True, opset_version=opset, verbose=False,
                                        dynamic_shapes=(free, ), input_names=[graph.input],
                                        output_names=list(graph.outputs), custom_translation_table=translations())
    except OnnxExporterError as error:
        reason = ' '.join(str(error.__cause__ or error).split())[:200]
        raise UserError(f'export: torch.onnx can not export this network ({reason})') from None
    assert program is not None, 'torch.onnx.export returns a program with dynamo=True'
    version = program.model.opset_imports['']
    if opset and version != opset:
        raise UserError(f'--opset {opset}: this network can not be written in it; {version} works')
    return program


@contextmanager
def quiet() -> Iterator[None]:
    """Silences the exporter, which logs its own deprecations, missing libraries and tracebacks."""
    loggers = {logger: logger.level for logger in map(logging.getLogger, ('torch.onnx', 'onnxscript', 'onnx_ir'))}
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            yield
    finally:
        for logger, level in loggers.items():
            logger.setLevel(level)


def compare_runs(graph: Graph, runs: Mapping[str, Run], predict: Callable[[Tensor], Sequence],
                 inputs: Iterable[Tensor]) -> dict[str, dict[str, Difference]]:
    """The largest difference of each output between each of several libraries with a file, and torch."""
    worst = {name: dict.fromkeys(graph.outputs, Difference(0, 0)) for name in runs}
    for x in inputs:
        with torch.inference_mode():
            expected = predict(x)
        for name, run in runs.items():
            for output, one in graph.differences(run(x.numpy()), expected).items():
                worst[name][output] = max(worst[name][output], one, key=badness)
    return worst


def compare_files(graph: Graph, path: str | Path, files: Sequence[Path]) -> dict[str, dict[str, Difference]]:
    """The largest differences on a user's files between each library that is installed and torch.

    Raises:
        UserError: a file can't be read.
    """
    assert graph.read is not None
    runs = {name: start(Path(path)) for name, start in installed_runtimes().items()}
    return compare_runs(graph, runs, graph.predict or graph.model, map(graph.read, files))


def badness(found: Difference) -> float:
    """Orders differences: one that is NaN or infinite is worse than any number."""
    return found.relative if math.isfinite(found.absolute) else math.inf


def require_equal(found: Mapping[str, Difference], path: str | Path, tolerance: float,
                  tolerances: Mapping[str, float]) -> None:
    """Raises a UserError if an output differs by more than its tolerance, or is not finite."""
    for name, worst in found.items():
        if not math.isfinite(worst.absolute):
            raise UserError(f'{path}: not written, {name} holds values that are not finite, or has another shape in '
                            'onnxruntime')
        if worst.relative > tolerances.get(name, tolerance):
            raise UserError(f'{path}: not written, {name} differs in onnxruntime by {worst.absolute:.1e}, '
                            f'{worst.relative:.1e} of its largest value, above --tolerance {tolerance:g}')
