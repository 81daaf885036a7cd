"""Report: one analysis or several as a self-contained HTML page."""

from wwopt.reporting.page import render_report, write_report

__all__ = ["render_report", "write_report"]
