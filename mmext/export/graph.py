"""Export of a module with one input to an ONNX file, which is checked in onnxruntime before it gets its name."""

from __future__ import annotations

import json
import logging
import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.onnx.errors import OnnxExporterError

import mmext
from mmext.backbones.fuse import fuse
from mmext.compat import installed
from mmext.engine.fusion import Difference, difference
from mmext.errors import UserError
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
    """

    model: nn.Module
    input: str
    outputs: Sequence[str]
    shape: tuple[int, ...]
    metadata: Mapping[str, object]
    free: Sequence[int] = ()
    make_input: Callable[[Sequence[int]], Tensor] = torch.randn


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
        found.update(compare_outputs(graph, temporary, [graph.make_input(shape) for shape in shapes]))
        require_equal(found, path, tolerance)

    write_whole(path, write)
    return found


def enlarged(graph: Graph) -> tuple[int, ...]:
    """Another shape that the file must accept: three samples, each variable dimension larger by another amount."""
    return (3, *(size + size // 8 + place if place in graph.free else size for place, size in enumerate(graph.shape)))


def export_program(graph: Graph, model: nn.Module, example: Tensor, opset: int | None) -> torch.onnx.ONNXProgram:
    """Exports a model with torch.onnx."""
    names = SPATIAL[-len(graph.shape) + 1:]
    free = {0: 'batch', **{place + 1: names[place - 1] for place in graph.free}}
    try:
        with quiet(), torch.no_grad():
            program = torch.onnx.export(model, (example, ), dynamo=True, opset_version=opset, verbose=False,
                                        dynamic_shapes=(free, ), input_names=[graph.input],
                                        output_names=list(graph.outputs))
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


def compare_outputs(graph: Graph, path: Path, inputs: Sequence[Tensor]) -> dict[str, Difference]:
    """The largest difference of each output between onnxruntime with the file and torch with the model."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=['CPUExecutionProvider'])
    worst = dict.fromkeys(graph.outputs, Difference(0, 0))
    for x in inputs:
        found = session.run(list(graph.outputs), {graph.input: x.numpy()})
        with torch.inference_mode():
            expected = graph.model(x)
        for name, one, other in zip(graph.outputs, found, expected, strict=True):
            worst[name] = max(worst[name], difference(torch.from_numpy(one), other), key=badness)
    return worst


def badness(found: Difference) -> float:
    """Orders differences: one that is NaN or infinite is worse than any number."""
    return found.relative if math.isfinite(found.absolute) else math.inf


def require_equal(found: Mapping[str, Difference], path: str | Path, tolerance: float) -> None:
    """Raises a UserError if an output differs by more than the tolerance, or is not finite."""
    for name, worst in found.items():
        if not math.isfinite(worst.absolute):
            raise UserError(f'{path}: not written, {name} holds values that are not finite, or has another shape in '
                            'onnxruntime')
        if worst.relative > tolerance:
            raise UserError(f'{path}: not written, {name} differs in onnxruntime by {worst.absolute:.1e}, '
                            f'{worst.relative:.1e} of its largest value, above --tolerance {tolerance:g}')
