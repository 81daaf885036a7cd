"""`Analysis`: the numbers of a network's layers, and the file that keeps them."""

from wwopt.analysis.analysis import COLUMNS, LEADING, TEXT, Analysis

__all__ = ["COLUMNS", "LEADING", "TEXT", "Analysis"]
