"""Export of backbones and whole models to ONNX files, checked to give the same outputs in onnxruntime as in torch."""

from mmext.export.backbone import backbone_graph
from mmext.export.detector import detector_graph
from mmext.export.graph import Graph, compare_files, require_onnx, write_onnx
from mmext.export.scores import scores_graph

__all__ = ['Graph', 'backbone_graph', 'compare_files', 'detector_graph', 'require_onnx', 'scores_graph', 'write_onnx']
