"""When a training is evaluated: by an interval, by what evaluations cost, or by powers of two."""

import pytest

from wwopt_objectives.training.schedule import EvenlySpaced, EveryNSteps, PowersOfTwo, choose_schedule


def due(schedule, steps):
    """The steps, of so many, after which a training is evaluated."""
    return [step for step in range(steps) if schedule.is_due(step)]


def test_an_interval_and_the_last_step():
    """After every third step; after the last one too, where it is known."""
    assert due(EveryNSteps(3), 8) == [2, 5]
    assert due(EveryNSteps(3, n_steps=8), 8) == [2, 5, 7]


def test_powers_of_two():
    """After 1, 2, 4, 8, ... steps."""
    assert due(PowersOfTwo(), 40) == [0, 1, 3, 7, 15, 31]


@pytest.mark.parametrize(("count", "n_steps"), [(2, 7), (3, 10), (8, 8), (8, 4000), (5, 3)])
def test_equal_distances(count, n_steps):
    """The last evaluation is at the end, and no two distances differ by more than a step."""
    steps = due(EvenlySpaced(count, n_steps), n_steps + 5)
    gaps = {later - earlier for earlier, later in zip([-1, *steps], steps, strict=False)}
    assert steps[-1] == n_steps - 1
    assert len(steps) == min(count, n_steps)
    assert max(gaps) - min(gaps) <= 1


def test_what_is_affordable_depends_on_shapes_and_steps_alone(network):
    """A short training is evaluated after half and all of it, a long one eight times; one without end after 1, 2, 4."""
    assert choose_schedule("auto", network(), 40) == EvenlySpaced(2, 40)
    assert choose_schedule("auto", network(), 8000) == EvenlySpaced(8, 8000)
    assert choose_schedule("auto", network(), None) == PowersOfTwo()
    assert choose_schedule(5, network(), 40) == EveryNSteps(5, 40)
