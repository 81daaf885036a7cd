"""The health of networks that are sound, broken or too small."""

import numpy as np
import pytest

import wwopt
from wwopt.diagnosis import MAX_TRAP_ENERGY, MIN_STABLE_RANK
from wwopt_objectives.trial.network_health import Health, health_of


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


def test_an_identity_matrix_breaks_nothing():
    """A layer that begins as the identity, as in recurrent networks, has no alpha, and the network is usable."""
    assert health_of(wwopt.analyze({"rnn.weight": np.eye(60)})).unusable == 0


def test_differences_may_have_any_rank():
    """A layer that was not trained, and one that changed by rank one, do not make a fine-tuned network broken."""
    rng = np.random.default_rng(0)
    base = {name: rng.normal(size=(80, 60)) for name in ("frozen.weight", "tuned.weight")}
    tuned = base | {"tuned.weight": base["tuned.weight"] + np.outer(rng.normal(size=80), rng.normal(size=60))}
    health = health_of(wwopt.analyze(tuned, base=base))
    assert (health.unusable, health.stable_rank) == (0, MIN_STABLE_RANK)
