"""The quick check on networks that are sound or broken."""

import torch

from wwopt_objectives.training.quick_check import fails_quick_check


def test_what_is_broken_fails(network, diverged):
    """One direction, stray elements, zeros and values that are not finite are seen; of a sound network nothing."""
    assert not fails_quick_check(network(0.5), {})
    assert not fails_quick_check(torch.nn.Conv2d(64, 64, 3), {})
    assert fails_quick_check(network(6.0), {})
    assert fails_quick_check(diverged, {})
    for value in (0.0, float("nan"), float("inf")):
        assert fails_quick_check({"a.weight": torch.full((70, 60), value)}, {})
    stray = torch.randn(70, 60, generator=torch.Generator().manual_seed(0))
    stray[3, 4] = 60
    assert fails_quick_check({"a.weight": stray}, {})
    assert fails_quick_check({"a.weight": stray, "b.weight": torch.eye(60)}, {"exclude": "b"})
    assert not fails_quick_check({"a.weight": stray, "b.weight": torch.eye(60)}, {"exclude": "a"})


def test_a_difference_is_not_checked(network):
    """What is broken in the difference to another network does not show in the weights: it must be evaluated."""
    assert fails_quick_check(network(0.5), {"base": network(0.4)})
    assert not fails_quick_check(network(0.5), {"base": None})
