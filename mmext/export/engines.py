"""``--engine`` and ``--dtype``: another library than torch in eager mode computes the backbone of a trained model.

Everything else, such as the heads and the non-maximum suppression of a detector, stays in torch, so that the results of
a test and of predictions have the same form with every engine.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor, nn

from mmext.backbones.backbone import Backbone
from mmext.checkpoints.format import digest_of
from mmext.checkpoints.source import find_source
from mmext.compat import installed
from mmext.engine.flags.testing import DTYPES, ENGINES
from mmext.engine.wrapper import unwrap_model
from mmext.errors import UserError
from mmext.export.backbone import graph_of
from mmext.export.graph import require_onnx, write_onnx

FRAMES = 8  # of the clip with which a backbone is traced; its file takes any number
Run = Callable[[np.ndarray], 'list[np.ndarray]']


class Autocast(nn.Module):
    """A module computed in bf16, with inputs and outputs in float32."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, inputs: Tensor) -> Tensor | tuple[Tensor, ...]:
        """The outputs of the module."""
        with torch.autocast(inputs.device.type, torch.bfloat16):
            found = self.module(inputs)
        return found.float() if isinstance(found, Tensor) else tuple(one.float() for one in found)


class Computed(nn.Module):
    """A backbone that another library computes on the processor.

    Args:
        run: a function from the input to the feature maps of all stages.
        bare: whether the result is the last feature map, not a tuple.
    """

    def __init__(self, run: Run, bare: bool) -> None:
        super().__init__()
        self.run = run
        self.bare = bare

    def forward(self, inputs: Tensor) -> Tensor | tuple[Tensor, ...]:
        """The feature maps."""
        found = tuple(map(torch.from_numpy, self.run(inputs.float().contiguous().numpy())))
        return found[-1] if self.bare else found


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
    """Replaces the backbone of a trained model in eval mode, in place.

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
    backbone: Any = getattr(model, 'backbone', None)
    device = next(model.parameters()).device
    require_engine(engine, dtype, device)
    if (engine, dtype) == ('torch', 'fp32'):
        return
    if not isinstance(backbone, Backbone):
        raise UserError(f'--engine {engine} --dtype {dtype}: its backbone is {type(backbone).__name__}, not one of '
                        'mmext')
    if engine in ('torch', 'compile'):
        found: nn.Module = Autocast(backbone) if dtype == 'bf16' else backbone
        cast(Any, model).backbone = compiled(found) if engine == 'compile' else found
        return
    path = onnx_file(backbone, source)
    run = run_openvino(path, dtype) if engine == 'openvino' else run_onnxruntime(path)
    cast(Any, model).backbone = Computed(run, backbone.bare)


def compiled(module: nn.Module) -> nn.Module:
    """``torch.compile`` with the weights as constants, which lets it fold and rearrange them."""
    from torch._inductor import config

    config.freezing = True
    return cast(nn.Module, torch.compile(module))


def onnx_file(backbone: Backbone, source: str) -> Path:
    """The ONNX file of a backbone beside its checkpoint, made anew unless it has these weights."""
    digest = digest_of({name: value.cpu() for name, value in backbone.state_dict().items()})
    path = find_source(source)
    path = path.with_name(f'{path.stem}.backbone.onnx')
    if not path.is_file() or notes_of(path).get('weights') != digest:
        frames = FRAMES if backbone.dims == 3 else None
        graph = graph_of(backbone, type(backbone).__name__, frames=frames, dynamic=True, weights=digest)
        write_onnx(replace(graph, model=AllStages(backbone)), path)
    return path


class AllStages(nn.Module):
    """A backbone whose result is a tuple, also if it is a bare one."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, inputs: Tensor) -> tuple[Tensor, ...]:
        """The feature maps of all stages that the backbone returns."""
        found = self.backbone(inputs)
        return (found, ) if isinstance(found, Tensor) else found


def notes_of(path: Path) -> dict[str, str]:
    """The metadata of an ONNX file; empty if it can't be read."""
    import onnx

    try:
        return {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    except Exception:  # damaged bytes raise anything; the file is made again
        return {}


def run_onnxruntime(path: Path) -> Run:
    """A function that computes an ONNX file with onnxruntime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(str(path), options, providers=['CPUExecutionProvider'])
    return lambda inputs: cast('list[np.ndarray]', session.run(None, {'input': inputs}))


def run_openvino(path: Path, dtype: str) -> Run:
    """A function that computes an ONNX file with OpenVINO."""
    import openvino

    settings = dict(INFERENCE_PRECISION_HINT='bf16' if dtype == 'bf16' else 'f32',
                    INFERENCE_NUM_THREADS=torch.get_num_threads(), PERFORMANCE_HINT='LATENCY')
    model = openvino.Core().compile_model(str(path), 'CPU', settings)
    return lambda inputs: [np.array(found) for found in model(inputs).values()]


class EngineHook(Hook):
    """Replaces the backbone at the first batch of a test, when its weights are loaded."""

    priority = 'LOWEST'  # after hooks that swap weights

    def __init__(self, source: str, engine: str, dtype: str) -> None:
        self.arguments = source, engine, dtype
        self.done = False

    def before_test_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None) -> None:
        if not self.done:
            use_engine(unwrap_model(runner.model), *self.arguments)
            self.done = True
