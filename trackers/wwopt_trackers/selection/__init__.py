"""Selection among logged runs, by the spectra that they logged."""

from wwopt_trackers.selection.select import STATES, Selection, select

__all__ = ["STATES", "Selection", "select"]
