"""Freezing of layers that have converged, and its undoing."""

import pytest
import torch

from wwopt_objectives import AlphaMonitor
from wwopt_objectives.training.freezing import Freezer


def layer(weights):
    """A linear layer with these weights."""
    made = torch.nn.Linear(64, 64)
    with torch.no_grad():
        made.weight.copy_(weights["layer.weight"])
    return made


def converge(monitor, steps=3):
    """The last report on a network that does not move any more."""
    return [monitor.step(step) for step in range(steps)][-1]


def test_converged_layers_are_frozen_on_request(network):
    """With ``freeze=True`` a steady layer gets no gradient, bias included; other parameters still do."""
    model = torch.nn.Sequential(layer(network(0.5)), torch.nn.Linear(64, 4))
    monitor = AlphaMonitor(model, freeze=True)
    assert converge(monitor, steps=2).named("converged") == ()
    assert monitor.frozen == ()
    assert monitor.step(2).named("converged") == ("0",)
    assert monitor.frozen == ("0",)
    assert [parameter.requires_grad for parameter in model.parameters()] == [False, False, True, True]
    assert monitor.step(3).layers[0].frozen


def test_a_frozen_layer_stays_as_it_is_and_can_be_trained_again(network):
    """Momentum and weight decay do not touch it, and `unfreeze` gives it back; one frozen by the user stays frozen."""
    model = torch.nn.Sequential(layer(network(0.5)), torch.nn.Linear(64, 4))
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
    assert len(converge(monitor).named("converged")) == 1
    assert monitor.frozen == ()
    with torch.no_grad():
        attention.in_proj_weight[64:128] = network(0.5, seed=1)["layer.weight"]
        attention.in_proj_weight[128:] = network(0.5, seed=2)["layer.weight"]
        attention.out_proj.weight.copy_(torch.randn(64, 64))
    converge(monitor)
    assert not attention.in_proj_weight.requires_grad
    assert attention.out_proj.weight.requires_grad


def test_an_unknown_layer_cannot_be_frozen():
    """A name that is not in the model is an error."""
    with pytest.raises(ValueError, match="The model has no layer 'decoder'"):
        AlphaMonitor(torch.nn.Sequential(torch.nn.Linear(64, 64))).freeze(["decoder"])


def test_an_adapted_layer_is_frozen_with_its_adapters():
    """A layer of a PEFT model is called as without PEFT, and holds what is trained in modules of its own."""
    model, layer = torch.nn.Module(), torch.nn.Module()
    model.base_model = torch.nn.Module()
    model.base_model.model = torch.nn.ModuleDict({"q": layer})
    layer.base_layer = torch.nn.Linear(64, 64).requires_grad_(False)
    layer.lora_A = torch.nn.ModuleDict({"default": torch.nn.Linear(64, 4, bias=False)})
    freezer = Freezer(model)
    freezer.freeze(["q"])
    assert not any(parameter.requires_grad for parameter in model.parameters())
    freezer.unfreeze()
    assert [name for name, value in layer.named_parameters() if value.requires_grad] == ["lora_A.default.weight"]
