"""Diagnosis: what is wrong with a network, layer by layer; every other room reads it here."""

from wwopt.diagnosis.catalogue import CATALOGUE, FAULT_KEYS, LayerColumns, Rule
from wwopt.diagnosis.diagnose import diagnose
from wwopt.diagnosis.finding import Finding, Severity
from wwopt.diagnosis.limits import (
    MAX_TRAP_ENERGY,
    MIN_STABLE_RANK,
    STANDARD_ERRORS,
    STRONG_TRAP,
    distance_from_range,
    outside_range,
)

__all__ = [
    "CATALOGUE",
    "FAULT_KEYS",
    "MAX_TRAP_ENERGY",
    "MIN_STABLE_RANK",
    "STANDARD_ERRORS",
    "STRONG_TRAP",
    "Finding",
    "LayerColumns",
    "Rule",
    "Severity",
    "diagnose",
    "distance_from_range",
    "outside_range",
]
