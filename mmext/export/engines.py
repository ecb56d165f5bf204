"""``--engine`` and ``--dtype``: another library than torch in eager mode computes the layers of a trained model.

What has no weights, such as the non-maximum suppression of a detector, stays in torch, so that the results of a test
and of predictions have the same form with every engine. ``mmext.export.parts`` has what is computed.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import cast

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner
from torch import Tensor, nn

import mmext
from mmext import pretrained
from mmext.checkpoints.download import cache_folder
from mmext.checkpoints.format import digest_of
from mmext.checkpoints.source import find_source
from mmext.compat import installed
from mmext.engine.flags.testing import CALIBRATED_WITH, DTYPES, ENGINES
from mmext.engine.wrapper import unwrap_model
from mmext.errors import UserError
from mmext.export.graph import Graph, require_onnx, write_onnx
from mmext.export.int8 import calibration_batches, inputs_of_parts, write_int8
from mmext.export.parts import Part, parts_of
from mmext.export.runtimes import RUNTIMES, Run, run_onnxruntime

COMPARED = 8  # samples on which 8 bits are compared with fp32
TINY = 1e-12


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
    if dtype == 'int8' and engine not in RUNTIMES:
        raise UserError(f'--engine {engine} --dtype int8: give --engine openvino, or onnxruntime')
    if engine not in RUNTIMES:
        return
    if not installed(engine):
        raise UserError(f'--engine {engine}: not installed; pip install {engine}')
    require_onnx()
    if engine == 'onnxruntime' and dtype == 'bf16':
        raise UserError(f'--engine onnxruntime --dtype {dtype}: it has no bf16 on a processor; give --engine openvino')
    if device is not None and device.type != 'cpu':
        raise UserError(f'--engine {engine}: it computes on the processor; give --device cpu')


def use_engine(model: nn.Module, source: str, engine: str = 'torch', dtype: str = 'fp32',
               batches: Sequence[dict] | None = None) -> None:
    """Has an engine compute the layers of a trained model in eval mode, in place.

    onnxruntime and OpenVINO compute ONNX files, which are kept beside the checkpoint, as <name>.network.onnx, and made
    again when the weights change; see ``path_of``.

    Args:
        model: a classifier, recognizer or detector with a backbone of mmext.
        source: file or URL of the checkpoint.
        engine: one of ``ENGINES``.
        dtype: one of ``DTYPES``.
        batches: for int8, of the training set, to find the scales with; without them, the files must exist already.

    Raises:
        UserError: see ``require_engine``; the model has another backbone; or the files for int8 do not exist.
    """
    require_engine(engine, dtype, next(model.parameters()).device)
    if (engine, dtype) == ('torch', 'fp32'):
        return
    parts = parts_of(model)
    files = int8_files(model, parts, source, engine, batches) if dtype == 'int8' else {}
    for part in parts:
        if engine in RUNTIMES:
            path = files.get(part.name) or onnx_file(part, source)
            part.put(Computed(RUNTIMES[engine](path, dtype)))
        else:
            module = Autocast(part.module) if dtype == 'bf16' else part.module
            part.put(compiled(module) if engine == 'compile' else module)


def compiled(module: nn.Module) -> nn.Module:
    """``torch.compile`` with the weights as constants, which lets it fold and rearrange them."""
    from torch._inductor import config

    config.freezing = True
    return cast(nn.Module, torch.compile(module))


def onnx_file(part: Part, source: str) -> Path:
    """The ONNX file of a part (``path_of``), made anew unless it has these layers and weights."""
    notes, path = notes_for(part), path_of(part, source)
    if not notes.items() <= notes_of(path).items():
        write_onnx(Graph(part.module, 'input', part.outputs, part.shape, notes, part.free), path)
    return path


def int8_files(model: nn.Module, parts: Sequence[Part], source: str, engine: str,
               batches: Sequence[dict] | None) -> dict[str, Path]:
    """The files of all parts in 8 bits, by the part's name, made anew unless they have these layers and weights.

    Of new files, a line of the log says how far the outputs are from those in fp32.

    Raises:
        UserError: they don't exist, and there are no batches to make them with.
    """
    paths = {part.name: path_of(part, source, '.int8') for part in parts}
    notes = {part.name: dict(notes_for(part), **({} if batches is None else dict(calibration=str(len(batches)))))
             for part in parts}
    if all(notes[name].items() <= notes_of(path).items() for name, path in paths.items()):
        return paths
    if batches is None:
        raise UserError(f'--dtype int8: no {next(iter(paths.values()))} for these weights; mmext test CONFIG {source} '
                        '--engine openvino --dtype int8 makes it with images of the training set')
    inputs = inputs_of_parts(model, parts, batches)
    for part in parts:
        plain, path, samples = onnx_file(part, source), paths[part.name], inputs[part.name]
        write_int8(plain, path, samples, notes[part.name])
        found = deviations(RUNTIMES[engine](path, 'int8'), run_onnxruntime(plain), samples[:COMPARED])
        shares = ' to '.join(dict.fromkeys(f'{100 * share:.2g}' for share in (min(found), max(found))))
        print_log(f'int8: outputs of the {part.name} deviate from those in fp32 by {shares} % (root mean square)',
                  'current')
    return paths


def deviations(run: Run, expected: Run, samples: Sequence[np.ndarray]) -> list[float]:
    """The root mean square of the deviation of each output, relative to that of what is expected."""
    pairs = [list(zip(run(sample), expected(sample), strict=True)) for sample in samples]
    return [math.sqrt(sum(np.square(found - right).sum() for found, right in output)
                      / max(sum(np.square(right).sum() for _, right in output), TINY))
            for output in zip(*pairs)]


def path_of(part: Part, source: str, kind: str = '') -> Path:
    """The place of a part's file: beside the checkpoint, or in the cache of downloads if nothing may be written there.

    Nothing is written into the folder of the weights that are published with the package.
    """
    path = find_source(source).absolute()
    folder = path.parent
    if folder == pretrained.FOLDER or not os.access(folder, os.W_OK):
        folder = cache_folder() / 'engines' / sha256(str(folder).encode()).hexdigest()[:16]
    return folder / f'{path.stem}.{part.name}{kind}.onnx'


def notes_for(part: Part) -> dict[str, str]:
    """What a file must have in its metadata to be of this part."""
    weights = digest_of({name: value.cpu() for name, value in part.module.state_dict().items()})
    layers = f'{mmext.__version__} {part.module} {part.outputs}'
    return dict(weights=weights, layers=sha256(layers.encode()).hexdigest())


def notes_of(path: Path) -> dict[str, str]:
    """The metadata of an ONNX file; empty if there is none or it can't be read."""
    import onnx

    if not path.is_file():
        return {}
    try:
        return {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    except Exception:  # damaged bytes raise anything; the file is made again
        return {}


class EngineHook(Hook):
    """Has an engine compute the model from the first batch of a test on, when its weights are loaded."""

    priority = 'LOWEST'  # after hooks that swap weights

    def __init__(self, source: str, engine: str, dtype: str, calibration: int = CALIBRATED_WITH) -> None:
        self.arguments = source, engine, dtype
        self.calibration = calibration
        self.done = False

    def before_test_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None) -> None:
        if self.done:
            return
        batches = list(calibration_batches(runner.cfg, self.calibration)) if 'int8' in self.arguments else None
        use_engine(unwrap_model(runner.model), *self.arguments, batches)
        self.done = True
