"""Choose among logged runs."""

from wwopt_trackers.selection.select import STATES, Selection, select

__all__ = ["STATES", "Selection", "select"]
