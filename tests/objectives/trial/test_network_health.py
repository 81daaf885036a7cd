"""The health of networks that are sound, broken or too small."""

import numpy as np
import pytest

import wwopt
from wwopt_objectives.trial.network_health import MAX_TRAP_ENERGY, MIN_STABLE_RANK, Health, health_of


def test_a_sound_network_is_within_the_limits(network):
    """Its worst layer keeps more than one direction and has no stray elements."""
    health = health_of(wwopt.analyze(network(0.5)))
    assert health.unusable == 0
    assert health.stable_rank > MIN_STABLE_RANK
    assert health.trap_energy < MAX_TRAP_ENERGY


def test_the_worst_layer_counts(network, diverged):
    """One collapsed and one diverged layer among three make a network's health."""
    sound, collapsed = network(0.5)["layer.weight"], network(6.0)["layer.weight"]
    weights = {"a.weight": sound, "b.weight": collapsed, "c.weight": diverged["layer.weight"]}
    health = health_of(wwopt.analyze(weights))
    assert health.unusable == pytest.approx(1 / 3)
    assert health.stable_rank < MIN_STABLE_RANK


def test_a_network_without_layers_is_as_bad_as_can_be():
    """Nothing that was too small to be analysed passes for healthy."""
    assert health_of(wwopt.analyze({"w.weight": np.eye(4)})) == Health(1.0, 0.0, 0.0)
