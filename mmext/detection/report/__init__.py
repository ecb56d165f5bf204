"""One HTML page that says how good a detector is, and where it fails."""

from mmext.detection.report.papers import paper_row
from mmext.detection.report.write import require_report, write_report

__all__ = ['paper_row', 'require_report', 'write_report']
