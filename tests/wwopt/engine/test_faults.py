"""Faults outside of the analysed layers: a network that is broken there is not taken for a sound one."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest

import wwopt
from wwopt.cli import run
from wwopt.engine.refit import refit

torch = pytest.importorskip("torch")
nn = torch.nn


def network() -> nn.Module:
    """A classifier of ten classes, whose head is too small to be analysed, with batch norm."""
    torch.manual_seed(0)
    layers = nn.Linear(64, 96), nn.BatchNorm1d(96), nn.ReLU(), nn.Linear(96, 64), nn.ReLU(), nn.Linear(64, 10)
    return nn.Sequential(*layers)


BREAKS = {
    "NaN head": (lambda m: m[5].weight.fill_(math.nan), ("5", "non-finite", 640)),
    "one NaN in the head": (lambda m: m[5].weight[3, 4].fill_(math.nan), ("5", "non-finite", 1)),
    "NaN bias": (lambda m: m[0].bias.fill_(math.nan), ("0.bias", "non-finite", 96)),
    "bias of minus infinity": (lambda m: m[3].bias.fill_(-math.inf), ("3.bias", "non-finite", 64)),
    "zero head": (lambda m: m[5].weight.zero_(), ("5", "zero", 640)),
    "infinite gain": (lambda m: m[1].weight[0].fill_(math.inf), ("1.weight", "non-finite", 1)),
    "infinite variance": (lambda m: m[1].running_var.fill_(math.inf), ("1.running_var", "non-finite", 96)),
    "negative variance": (lambda m: m[1].running_var[:3].fill_(-1.0), ("1.running_var", "impossible", 3)),
    "variance of zero": (lambda m: m[1].running_var.zero_(), ("1.running_var", "impossible", 96)),
    "NaN mean": (lambda m: m[1].running_mean.fill_(math.nan), ("1.running_mean", "non-finite", 96)),
    "negative count": (lambda m: m[1].num_batches_tracked.fill_(-1), ("1.num_batches_tracked", "impossible", 1)),
}


def forms(model, folder):
    """Yield the same network in every form in which it can be given."""
    from safetensors.torch import save_file

    yield model
    yield model.state_dict()
    yield {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    save_file(model.state_dict(), folder / "model.safetensors")
    torch.save(model.state_dict(), folder / "state.pt")
    torch.save(model, folder / "whole.pt")
    yield from (folder / name for name in ("model.safetensors", "state.pt", "whole.pt"))


@pytest.mark.parametrize("what", BREAKS)
def test_a_broken_tensor_is_found_in_every_form(what, tmp_path):
    """Modules, state dicts and files tell which tensor is broken, how, and in how many values."""
    breaks, fault = BREAKS[what]
    model = network()
    with torch.no_grad():
        breaks(model)
    for source in forms(model, tmp_path):
        analysis = wwopt.analyze(source)
        assert analysis.faults.values.tolist() == [list(fault)]
        score = wwopt.AlphaScore()
        assert score(analysis) == score.maximum
        assert score.explain(analysis)["faults"] == {fault[0]: fault[1]}


def test_a_sound_network_has_no_fault(tmp_path):
    """Zero biases, dead channels and constants are no fault, and a score's explanation is as it was."""
    model = network()
    with torch.no_grad():
        model[3].bias.zero_()
        model[1].running_var[:5] = 0  # dead units before it
    model[0].register_buffer("causal_mask", torch.full((8, 8), -math.inf).triu(1))
    model[0].register_buffer("min_val", torch.tensor(math.inf))
    model[0].register_buffer("table", torch.zeros(4, 4))
    model[0].register_buffer("scratch", torch.tensor(math.nan), persistent=False)
    for source in forms(model, tmp_path):
        analysis = wwopt.analyze(source)
        assert analysis.faults.empty
        assert "faults" not in wwopt.AlphaScore().explain(analysis)


@pytest.mark.parametrize("what", BREAKS)
def test_no_score_is_won_by_it(what):
    """Each score is its maximum, and `rank` puts the network last with the reason."""
    breaks, (tensor, _, _) = BREAKS[what]
    broken = network()
    with torch.no_grad():
        breaks(broken)
    analysis = wwopt.analyze(broken, alignment=True)
    for score in (wwopt.AlphaScore(), wwopt.AlignmentScore(), wwopt.ResponseScore()):
        assert score(analysis) == score.maximum
    ranking = wwopt.rank({"broken": broken, "sound": network()})
    assert ranking.table.index.tolist() == ["sound", "broken"]
    assert ranking.table.loc["broken", "status"] == "broken"
    assert tensor in ranking.table.loc["broken", "note"]
    assert not ranking.ties


def test_only_what_was_asked_for_counts():
    """With `include` or `exclude` the user asked for some layers, and only those and their vectors are looked at."""
    model = network()
    with torch.no_grad():
        model[5].weight.fill_(math.nan)
        model[5].bias.fill_(math.nan)
    assert len(wwopt.analyze(model).faults) == 2
    assert wwopt.analyze(model, exclude="5").faults.empty
    assert wwopt.analyze(model, include=["0", "3"]).faults.empty
    assert wwopt.analyze(model, include=["0", "5"]).faults["name"].tolist() == ["5", "5.bias"]


def test_a_layer_above_max_evals_is_looked_at():
    """A matrix that is left out for its size is read once, too."""
    model = network()
    with torch.no_grad():
        model[0].weight[0, 0] = math.inf
    analysis = wwopt.analyze(model, max_evals=63, min_evals=10)
    assert analysis.faults.values.tolist() == [["0", "non-finite", 1]]


def test_a_factor_of_lora_that_is_zero_is_no_fault():
    """The factor B begins at zero, and so do biases for each head and tables of embeddings that nothing uses."""
    rng = np.random.default_rng(0)
    weights = {
        "fc.weight": rng.normal(size=(80, 60)),
        "fc.lora_A.default.weight": rng.normal(size=(8, 60)),
        "fc.lora_B.default.weight": np.zeros((80, 8)),
        "embeddings.token_type_embeddings.weight": np.zeros((2, 60)),
        "cls_token": np.zeros((1, 1, 60)),
    }
    assert wwopt.analyze(weights).faults.empty


def test_numbers_beside_the_network_are_none_of_its_tensors():
    """A checkpoint may record a loss that is not finite, or begin its search for the best at infinity."""
    numbers = {"val_loss": torch.tensor(math.nan), "best_acc": torch.tensor(-math.inf), "epoch": torch.tensor(3)}
    assert wwopt.analyze({"state_dict": network().state_dict(), **numbers}).faults.empty
    scale = {"state_dict": network().state_dict(), "logit_scale": torch.tensor(math.nan)}
    assert wwopt.analyze(scale).faults["name"].tolist() == ["logit_scale"]


def test_faults_are_saved_and_kept(tmp_path):
    """A saved analysis, a pickled one and one that is fitted again have the same faults; of none there is no table."""
    sound, broken = network(), network()
    with torch.no_grad():
        broken[0].bias[0] = math.nan
    analysis = wwopt.analyze(broken)
    analysis.save(tmp_path / "broken.npz")
    loaded = wwopt.Analysis.load(tmp_path / "broken.npz")
    for again in (loaded, pickle.loads(pickle.dumps(analysis)), refit(analysis)):
        assert again.faults.equals(analysis.faults)
    wwopt.analyze(sound).save(tmp_path / "sound.npz")
    header = bytes(np.load(tmp_path / "sound.npz")["header"])
    assert b"faults" not in header
    assert wwopt.Analysis.load(tmp_path / "sound.npz").faults.empty


def test_the_commands_say_so(tmp_path, capsys):
    """`analyze` names the tensor and exits with 1; so does `report`, whose page names it."""
    model = network()
    with torch.no_grad():
        model[5].weight.fill_(math.nan)
    path = tmp_path / "model.pt"
    torch.save(model.state_dict(), path)
    assert run(["analyze", str(path)]) == 1
    assert "broken: 5 holds values that are not finite" in capsys.readouterr().out
    assert run(["report", str(path), "--out", str(tmp_path / "page.html")]) == 1
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "1 tensor holds values that are not finite" in page
