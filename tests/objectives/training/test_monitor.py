"""`AlphaMonitor` on networks whose layers are made to be this or that."""

import numpy as np
import pytest
import torch

from wwopt_objectives import AlphaMonitor


class Model(torch.nn.Module):
    """One layer whose weights a test sets."""

    def __init__(self, weights):
        super().__init__()
        self.layer = torch.nn.Linear(64, 64)
        self.become(weights)

    def become(self, weights):
        with torch.no_grad():
            self.layer.weight.copy_(weights["layer.weight"])


def stray(weights):
    weights["layer.weight"][[1, 5, 9], [2, 6, 3]] += 40
    return weights


@pytest.mark.parametrize(
    ("make", "verdict"),
    [
        (lambda network, diverged: diverged, "broken"),
        (lambda network, diverged: network(6.0), "collapsed"),
        (lambda network, diverged: stray(network(0.2)), "trapped"),
        (lambda network, diverged: {"layer.weight": torch.randn(64, 64)}, "too early"),
        (lambda network, diverged: network(0.5), "training"),
        (lambda network, diverged: network(0.65), "over-trained"),
    ],
)
def test_verdicts(network, diverged, make, verdict):
    """Each kind of layer is called what it is, with the advice that belongs to it."""
    torch.manual_seed(0)
    reading = AlphaMonitor(Model(make(network, diverged))).step(0)
    assert reading.layers[0].verdict == verdict, reading.analysis.details.T
    assert reading.layers[0].advice
    assert reading.broken == (verdict in ("broken", "collapsed", "trapped"))


def test_a_steady_layer_has_converged(network):
    """Three readings alike make a layer converged, and one that moves does not."""
    model = Model(network(0.5))
    monitor = AlphaMonitor(model)
    assert [monitor.step(step).layers[0].verdict for step in range(3)] == ["training", "training", "converged"]
    model.become(network(0.35))
    assert monitor.step(3).layers[0].verdict != "converged"
    assert [reading.step for reading in monitor.history] == [0, 1, 2, 3]


def test_the_model_is_only_read(network):
    """Weights, mode and gradients are as before."""
    model = Model(network(0.5))
    model.eval()
    before = model.layer.weight.detach().clone()
    AlphaMonitor(model).step(0)
    assert torch.equal(before, model.layer.weight)
    assert not model.training
    assert model.layer.weight.grad is None


def test_something_else_than_a_model():
    """The type of what was given is named."""
    with pytest.raises(TypeError, match=r"`model` must be a torch\.nn\.Module, got ndarray"):
        AlphaMonitor(np.eye(3))


def train(monitor, readings=3):
    """Readings of a network that does not move any more."""
    return [monitor.step(step) for step in range(readings)]


def test_converged_layers_are_frozen_on_request(network):
    """With ``freeze=True`` a steady layer asks for no gradient, bias included; other parameters still do."""
    model = torch.nn.Sequential(Model(network(0.5)).layer, torch.nn.Linear(64, 4))
    monitor = AlphaMonitor(model, freeze=True)
    assert train(monitor, 2)[-1].named("converged") == ()
    assert monitor.frozen == ()
    assert monitor.step(2).named("converged") == ("0",)
    assert monitor.frozen == ("0",)
    assert [parameter.requires_grad for parameter in model.parameters()] == [False, False, True, True]
    assert monitor.step(3).layers[0].frozen


def test_a_frozen_layer_stays_as_it_is_and_can_be_trained_again(network):
    """Momentum and weight decay do not touch it, and `unfreeze` gives it back; one frozen by the user stays frozen."""
    model = torch.nn.Sequential(Model(network(0.5)).layer, torch.nn.Linear(64, 4))
    model[0].bias.requires_grad_(False)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, weight_decay=0.5)

    def learn():
        model(torch.randn(8, 64)).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=False)

    learn()
    monitor = AlphaMonitor(model)
    monitor.freeze(["0"])
    before = model[0].weight.detach().clone()
    learn()
    assert torch.equal(before, model[0].weight)
    monitor.unfreeze()
    assert monitor.frozen == ()
    assert not model[0].bias.requires_grad
    learn()
    assert not torch.equal(before, model[0].weight)


def test_parts_of_a_fused_tensor_are_frozen_together(network):
    """The queries of an attention layer lie in one tensor with keys and values: frozen once all have converged."""
    attention = torch.nn.MultiheadAttention(64, 2)
    with torch.no_grad():
        attention.in_proj_weight[:64] = network(0.5)["layer.weight"]
        attention.in_proj_weight[64:] = torch.randn(128, 64)
    model = torch.nn.Sequential(attention)
    monitor = AlphaMonitor(model, freeze=True)
    assert len(train(monitor)[-1].named("converged")) == 1
    assert monitor.frozen == ()
    with torch.no_grad():
        attention.in_proj_weight[64:128] = network(0.5, seed=1)["layer.weight"]
        attention.in_proj_weight[128:] = network(0.5, seed=2)["layer.weight"]
        attention.out_proj.weight.copy_(torch.randn(64, 64))
    train(monitor)
    assert not attention.in_proj_weight.requires_grad
    assert attention.out_proj.weight.requires_grad


def test_an_unknown_layer_cannot_be_frozen():
    """A name that is not in the model is an error."""
    with pytest.raises(ValueError, match="The model has no layer 'decoder'"):
        AlphaMonitor(torch.nn.Sequential(torch.nn.Linear(64, 64))).freeze(["decoder"])


def test_the_table_of_a_reading(network):
    """A row per layer, with the change of alpha since the reading before."""
    model = Model(network(0.5))
    monitor = AlphaMonitor(model)
    assert monitor.step(0).table["change"].isna().all()
    model.become(network(0.4))
    table = monitor.step(1).table
    assert list(table["name"]) == ["layer"]
    assert table["change"][0] == pytest.approx(table["alpha"][0] - monitor.history[0].layers[0].alpha)
