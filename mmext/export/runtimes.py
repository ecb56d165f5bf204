"""Libraries that compute ONNX files on the processor."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import cast

import numpy as np
import torch

from mmext.compat import installed

Run = Callable[[np.ndarray], 'list[np.ndarray]']


def run_onnxruntime(path: Path, dtype: str = 'fp32') -> Run:
    """A function from the input of an ONNX file to its outputs: onnxruntime, with as many threads as torch."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=['CPUExecutionProvider'])
    name = session.get_inputs()[0].name
    return lambda inputs: cast('list[np.ndarray]', session.run(None, {name: inputs}))


def run_openvino(path: Path, dtype: str = 'fp32') -> Run:
    """The same by OpenVINO, which also computes in bf16."""
    import openvino

    settings = dict(INFERENCE_PRECISION_HINT='bf16' if dtype == 'bf16' else 'f32',
                    INFERENCE_NUM_THREADS=torch.get_num_threads(), PERFORMANCE_HINT='LATENCY')
    model = openvino.Core().compile_model(str(path), 'CPU', settings)
    return lambda inputs: [np.array(found) for found in model(inputs).values()]


RUNTIMES = dict(onnxruntime=run_onnxruntime, openvino=run_openvino)


def installed_runtimes() -> dict[str, Callable[[Path], Run]]:
    """Those that are installed, by name."""
    return {name: run for name, run in RUNTIMES.items() if installed(name)}
