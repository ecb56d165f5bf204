"""``--engine`` and ``--dtype``: another library than torch in eager mode computes the layers of a trained model.

What has no weights, such as the non-maximum suppression of a detector, stays in torch, so that the results of a test
and of predictions have the same form with every engine. ``mmext.export.parts`` has what is computed.
"""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import cast

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor, nn

import mmext
from mmext.checkpoints.format import digest_of
from mmext.checkpoints.source import find_source
from mmext.compat import installed
from mmext.engine.flags.testing import DTYPES, ENGINES
from mmext.engine.wrapper import unwrap_model
from mmext.errors import UserError
from mmext.export.graph import Graph, require_onnx, write_onnx
from mmext.export.parts import Part, parts_of
from mmext.export.runtimes import RUNTIMES, Run


class Autocast(nn.Module):
    """A module computed in bf16, with outputs in float32."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, inputs: Tensor) -> tuple[Tensor, ...]:
        """The outputs of the module, a tuple."""
        with torch.autocast(inputs.device.type, torch.bfloat16):
            return tuple(found.float() for found in self.module(inputs))


class Computed(nn.Module):
    """Layers that another library computes on the processor.

    Args:
        run: a function from the input to the outputs.
    """

    def __init__(self, run: Run) -> None:
        super().__init__()
        self.run = run

    def forward(self, inputs: Tensor) -> tuple[Tensor, ...]:
        """The outputs."""
        return tuple(map(torch.from_numpy, self.run(inputs.float().contiguous().numpy())))


def require_engine(engine: str, dtype: str, device: torch.device | None = None) -> None:
    """Checks that an engine can be used, before a model is loaded.

    Raises:
        UserError: the library is not installed, or does not compute in this format or on this device.
    """
    if engine not in ENGINES or dtype not in DTYPES:
        raise UserError(f'engine {engine!r}, dtype {dtype!r}: there are {", ".join(ENGINES)}, and '
                        f'{" and ".join(DTYPES)}')
    if engine in ('torch', 'compile'):
        return
    if not installed(engine):
        raise UserError(f'--engine {engine}: not installed; pip install {engine}')
    require_onnx()
    if engine == 'onnxruntime' and dtype != 'fp32':
        raise UserError(f'--engine onnxruntime --dtype {dtype}: it computes in fp32 on a processor; give --engine '
                        'openvino')
    if device is not None and device.type != 'cpu':
        raise UserError(f'--engine {engine}: it computes on the processor; give --device cpu')


def use_engine(model: nn.Module, source: str, engine: str = 'torch', dtype: str = 'fp32') -> None:
    """Has an engine compute the layers of a trained model in eval mode, in place.

    onnxruntime and OpenVINO compute an ONNX file, which is kept beside the checkpoint, as <name>.backbone.onnx, and
    made again if the weights change.

    Args:
        model: a detector, classifier or recognizer with a backbone of mmext.
        source: file or URL of the checkpoint.
        engine: one of ``ENGINES``.
        dtype: one of ``DTYPES``.

    Raises:
        UserError: see ``require_engine``; or the model has another backbone.
    """
    require_engine(engine, dtype, next(model.parameters()).device)
    if (engine, dtype) == ('torch', 'fp32'):
        return
    for part in parts_of(model):
        part.put(computed(part, source, engine, dtype))


def computed(part: Part, source: str, engine: str, dtype: str) -> nn.Module:
    """What computes a part of a model."""
    if engine in RUNTIMES:
        return Computed(RUNTIMES[engine](onnx_file(part, source), dtype))
    module = Autocast(part.module) if dtype == 'bf16' else part.module
    return compiled(module) if engine == 'compile' else module


def compiled(module: nn.Module) -> nn.Module:
    """``torch.compile`` with the weights as constants, which lets it fold and rearrange them."""
    from torch._inductor import config

    config.freezing = True
    return cast(nn.Module, torch.compile(module))


def onnx_file(part: Part, source: str) -> Path:
    """The ONNX file of a part beside the checkpoint, made anew unless it has these layers and weights."""
    digest = digest_of({name: value.cpu() for name, value in part.module.state_dict().items()})
    layers = f'{mmext.__version__} {part.module} {part.outputs}'
    notes = dict(weights=digest, layers=sha256(layers.encode()).hexdigest())
    path = find_source(source)
    path = path.with_name(f'{path.stem}.{part.name}.onnx')
    if not path.is_file() or not notes.items() <= notes_of(path).items():
        write_onnx(Graph(part.module, 'input', part.outputs, part.shape, notes, part.free), path)
    return path


def notes_of(path: Path) -> dict[str, str]:
    """The metadata of an ONNX file; empty if it can't be read."""
    import onnx

    try:
        return {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    except Exception:  # damaged bytes raise anything; the file is made again
        return {}


class EngineHook(Hook):
    """Has an engine compute the model from the first batch of a test on, when its weights are loaded."""

    priority = 'LOWEST'  # after hooks that swap weights

    def __init__(self, source: str, engine: str, dtype: str) -> None:
        self.arguments = source, engine, dtype
        self.done = False

    def before_test_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None) -> None:
        if not self.done:
            use_engine(unwrap_model(runner.model), *self.arguments)
            self.done = True
