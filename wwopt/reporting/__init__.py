"""A network's analysis, or several, as one page that opens anywhere."""

from wwopt.reporting.page import render_report, write_report

__all__ = ["render_report", "write_report"]
