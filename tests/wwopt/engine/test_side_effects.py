"""What an analysis leaves alone: the model, random state, threads, the user's terminal."""

from __future__ import annotations

import copy
import random

import numpy as np
import pytest
import threadpoolctl
import torch

import wwopt


@pytest.fixture
def model():
    return torch.nn.Sequential(
        torch.nn.Linear(60, 70), torch.nn.Dropout(), torch.nn.BatchNorm1d(70), torch.nn.Linear(70, 60)
    )


@pytest.mark.parametrize("training", [True, False])
def test_model_is_not_changed(model, training):
    """Weights, gradients, hooks, mode, device and type of the model are what they were."""
    model.train(training)
    model(torch.ones(4, 60)).sum().backward()
    model[0].weight.requires_grad_(False)
    before, gradients = copy.deepcopy(model), [copy.deepcopy(parameter.grad) for parameter in model.parameters()]
    pointers = [parameter.data_ptr() for parameter in model.parameters()]
    wwopt.analyze(model)
    assert pointers == [parameter.data_ptr() for parameter in model.parameters()]
    assert [module.training for module in model.modules()] == [module.training for module in before.modules()]
    for ours, theirs, gradient in zip(model.parameters(), before.parameters(), gradients, strict=True):
        assert torch.equal(ours, theirs)
        assert ours.requires_grad == theirs.requires_grad
        assert torch.equal(ours.grad, gradient)
    assert all(not module._forward_hooks for module in model.modules())


def test_arrays_are_not_changed(rng):
    """Neither are arrays, whether they can be written to or not."""
    array = rng.normal(size=(70, 60))
    before = array.copy()
    wwopt.analyze({"a.weight": array, "b.weight": np.asfortranarray(array)})
    np.testing.assert_array_equal(array, before)


def test_random_state_is_untouched(model):
    """The global random states of Python, NumPy and torch are those from before."""

    def states():
        return repr(random.getstate()), repr(np.random.get_state()), torch.get_rng_state().tolist()  # noqa: NPY002  (the old global state is meant)

    before = states()
    wwopt.analyze(model)
    assert states() == before


def test_thread_counts_are_untouched(model):
    """BLAS and torch keep their number of threads, also when the analysis fails."""

    def threads():
        return [
            (pool["filepath"], pool["num_threads"]) for pool in threadpoolctl.threadpool_info()
        ], torch.get_num_threads()

    wwopt.analyze(model)
    before = threads()
    wwopt.analyze(model)
    assert threads() == before
    with pytest.raises(ValueError, match="No weight matrix"):
        wwopt.analyze({})
    assert threads() == before


def test_default_device_and_dtype_of_the_user_do_not_matter(model):
    """A user's default dtype changes no number."""
    expected = wwopt.analyze(model).details
    torch.set_default_dtype(torch.float64)
    try:
        assert wwopt.analyze(model).details.equals(expected)
    finally:
        torch.set_default_dtype(torch.float32)


def test_quiet_unless_asked(model, capsys):
    """Nothing is printed where there is no terminal."""
    wwopt.analyze(model)
    assert capsys.readouterr() == ("", "")


def test_gradients_are_not_recorded(model):
    """The analysis leaves no graph behind, and works under `inference_mode` and on its tensors."""
    with torch.inference_mode():
        inside = wwopt.analyze(model).details
        weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    assert wwopt.analyze(weights).details["alpha"].equals(inside["alpha"])
