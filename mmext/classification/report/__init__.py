"""One HTML page that says how good a classifier or recognizer is, and where it fails."""

from mmext.classification.report.write import write_report

__all__ = ['write_report']
