"""`AlphaMonitor` on networks whose layers are made to be this or that."""

import numpy as np
import pytest
import torch

import wwopt.powerlaw
from wwopt.reporting.verdict import judge
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
        (lambda network, diverged: diverged, "non-finite"),
        (lambda network, diverged: {"layer.weight": torch.zeros(64, 64)}, "zero"),
        (lambda network, diverged: {"layer.weight": torch.eye(64)}, "no-fit"),
        (lambda network, diverged: network(6.0), "collapsed"),
        (lambda network, diverged: stray(network(0.2)), "diverged"),
        (lambda network, diverged: {"layer.weight": torch.randn(64, 64)}, "noise"),
        (lambda network, diverged: network(0.5), "training"),
        (lambda network, diverged: network(0.65), "training"),
        (lambda network, diverged: network(0.8), "over-trained"),
    ],
)
def test_verdicts(network, diverged, make, verdict):
    """Each kind of layer is called what it is, with the advice that belongs to it."""
    torch.manual_seed(0)
    report = AlphaMonitor(Model(make(network, diverged))).step(0)
    assert report.layers[0].verdict == verdict, report.analysis.details.T
    assert report.layers[0].advice
    assert report.broken == (verdict in ("non-finite", "zero", "collapsed", "diverged"))
    assert report.layers[0].findings == report.analysis.findings


def test_a_steady_layer_has_converged(network):
    """Three reports alike make a layer converged, and one that moves does not."""
    model = Model(network(0.5))
    monitor = AlphaMonitor(model)
    assert [monitor.step(step).layers[0].verdict for step in range(3)] == ["training", "training", "converged"]
    model.become(network(0.35))
    assert monitor.step(3).layers[0].verdict != "converged"
    assert [report.step for report in monitor.history] == [0, 1, 2, 3]


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


def test_the_table_of_a_report(network):
    """A row per layer, with the change of alpha since the report before."""
    model = Model(network(0.5))
    monitor = AlphaMonitor(model)
    assert monitor.step(0).table["change"].isna().all()
    model.become(network(0.4))
    table = monitor.step(1).table
    assert list(table["name"]) == ["layer"]
    assert table["change"][0] == pytest.approx(table["alpha"][0] - monitor.history[0].layers[0].alpha)


def test_an_unknown_option_is_named():
    """A typo is an error when the monitor is made, with the name that was meant."""
    with pytest.raises(TypeError, match=r"`frezee` is not an option of `AlphaMonitor`; did you mean `freeze`\?"):
        AlphaMonitor(torch.nn.Linear(64, 64), frezee=True)
    with pytest.raises(TypeError, match="`nope` is not an option of `AlphaMonitor`; its options are freeze"):
        AlphaMonitor(torch.nn.Linear(64, 64), nope=1)


@pytest.mark.parametrize("estimator", ["mle", "hill", "peak"])
def test_only_an_alpha_within_the_estimators_range_converges(network, estimator):
    """A steady layer that is out of the range of its estimator is not frozen, whatever that of another is."""
    model = Model(network(0.25))
    monitor = AlphaMonitor(model, estimator=estimator, freeze=True)
    reports = [monitor.step(step) for step in range(3)]
    within = wwopt.powerlaw.ESTIMATORS[estimator].warning(reports[-1].layers[0].alpha) == ""
    assert (monitor.frozen == ("layer",)) == within, reports[-1].layers
    assert estimator != "hill" or not within


def test_the_report_and_the_monitor_agree():
    """An identity matrix, as in a new recurrent network, has the same finding in both."""
    report = AlphaMonitor(Model({"layer.weight": torch.eye(64)})).step(0)
    (advice,) = judge(report.analysis).advice
    assert advice.findings == report.layers[0].findings
    assert advice.text == report.layers[0].advice
    assert not report.broken


def test_a_broken_bias_breaks_the_network(network):
    """What is no layer counts too: a bias that is not finite makes the report broken, with every layer sound."""
    model = Model(network(0.5))
    with torch.no_grad():
        model.layer.bias[3] = float("nan")
    report = AlphaMonitor(model).step(0)
    assert report.broken
    assert not report.layers[0].broken
    assert str(report.analysis.broken[0]) == "layer.bias holds values that are not finite"
