"""Networks and detectors as ONNX files that onnxruntime runs as torch does."""

from mmext.export.backbone import backbone_graph
from mmext.export.detector import detector_graph
from mmext.export.graph import Graph, require_onnx, write_onnx

__all__ = ['Graph', 'backbone_graph', 'detector_graph', 'require_onnx', 'write_onnx']
