"""Sources: what somebody names is resolved once, into weights, analyses, tables, runs and registered models."""

from wwopt.sources.candidates import READ_ERRORS, Candidate, expand
from wwopt.sources.resolve import Kind, Source, resolve, weights_of
from wwopt.sources.runnable import load_module
from wwopt.sources.weightwatcher_table import read_details

__all__ = [
    "READ_ERRORS",
    "Candidate",
    "Kind",
    "Source",
    "expand",
    "load_module",
    "read_details",
    "resolve",
    "weights_of",
]
