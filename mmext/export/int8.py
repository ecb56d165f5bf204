"""``--dtype int8``: layers computed in 8-bit whole numbers, whose scales are found on images of the training set."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from torch import Tensor, nn

from mmext.config_tree import datasets_of, pipeline_of_test
from mmext.errors import UserError
from mmext.export.parts import Part
from mmext.files import write_whole

ROWS = 64  # of the inputs of a batch that are kept; more than enough regions, clips or images


class Recorder(nn.Module):
    """Layers that keep what they are given."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module
        self.inputs: list[np.ndarray] = []

    def forward(self, inputs: Tensor) -> tuple[Tensor, ...]:
        """The outputs of the layers."""
        self.inputs.append(inputs[:ROWS].float().cpu().numpy())
        return self.module(inputs)


def calibration_batches(config: Config, count: int) -> Iterator[dict]:
    """Batches of ``count`` samples of a config's training set in all, one in each, as its test pipeline makes them.

    Raises:
        UserError: the config has no training set.
    """
    datasets = datasets_of(config, 'train_dataloader')
    if not datasets or not pipeline_of_test(config):
        raise UserError('--dtype int8: the config has no train_dataloader with images to calibrate with')
    loader = dict(config.test_dataloader, batch_size=1, num_workers=0, persistent_workers=False, pin_memory=False,
                  sampler=dict(type='DefaultSampler', shuffle=True),
                  dataset=dict(datasets[0], pipeline=pipeline_of_test(config)))
    loader.pop('batch_sampler', None)
    loader.pop('prefetch_factor', None)
    yield from islice(Runner.build_dataloader(loader, seed=0), count)


def inputs_of_parts(model: Any, parts: Sequence[Part], batches: Iterable[dict]) -> dict[str, list[np.ndarray]]:
    """What each part of a model is given while torch computes batches; by the part's name."""
    recorders = {part.name: Recorder(part.module) for part in parts}
    for part in parts:
        part.put(recorders[part.name])
    with torch.no_grad():
        for batch in batches:
            model.test_step(batch)
    return {name: recorder.inputs for name, recorder in recorders.items()}


def write_int8(plain: Path, path: Path, inputs: Sequence[np.ndarray], notes: Mapping[str, str]) -> None:
    """Writes an ONNX file with 8-bit layers.

    Weights have one scale for each output channel, activations one scale and zero point, from the range of values that
    occur. The file has a QuantizeLinear and a DequantizeLinear around each layer, which onnxruntime and OpenVINO
    replace by 8-bit layers.

    Args:
        plain: the file to start from.
        path: the file to write.
        inputs: what the layers are given, to find the ranges.
        notes: the metadata of the file.
    """
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.left = iter(inputs)

        def get_next(self) -> dict[str, np.ndarray] | None:
            found = next(self.left, None)
            return None if found is None else {'input': found}

    def write(temporary: Path) -> None:
        with tempfile.TemporaryDirectory() as folder:
            prepared, quantised = Path(folder, 'prepared.onnx'), Path(folder, 'int8.onnx')
            quant_pre_process(str(plain), str(prepared), skip_symbolic_shape=True)
            quantize_static(str(prepared), str(quantised), Reader(), quant_format=QuantFormat.QDQ, per_channel=True,
                            activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8)
            model = onnx.load(str(quantised))
        onnx.helper.set_model_props(model, dict(notes))
        onnx.save(model, str(temporary))

    level = logging.root.level
    logging.root.setLevel(logging.ERROR)  # it logs advice that is not for the user
    try:
        write_whole(path, write)
    finally:
        logging.root.setLevel(level)
