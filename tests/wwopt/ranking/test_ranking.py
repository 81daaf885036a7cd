"""Which network `rank` prefers, by what, and what it says of candidates that it cannot judge."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file
from sklearn.datasets import load_digits
from torch import nn

import wwopt
from wwopt.ranking.architecture import architecture_of, same_family, same_shapes
from wwopt.sources import read_details
from wwopt.tracking import step_folder


def weights(*shapes, decay=0.5, seed=0, names=None):
    """Layers whose singular values fall as a power."""
    rng = np.random.default_rng(seed)
    state = {}
    for i, (n, m) in enumerate(shapes):
        left, _, right = np.linalg.svd(rng.normal(size=(n, m)), full_matrices=False)
        name = names[i] if names else f"layers.{i}"
        state[f"{name}.weight"] = (left * (1.0 + np.arange(min(n, m))) ** -decay @ right).astype(np.float32)
    return state


def perceptron(state):
    """The module of a state dict of `trained`."""
    width = len(state["0.weight"])
    model = nn.Sequential(nn.Linear(64, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 10))
    model.load_state_dict(state)
    return model


def trained(steps, start=None, lr=3e-3, seed=0, width=96, decay=0.01):
    """A perceptron that has learned digits for some steps."""
    torch.manual_seed(seed)
    images, classes = (torch.as_tensor(part) for part in load_digits(return_X_y=True))
    model = nn.Sequential(nn.Linear(64, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 10))
    model.load_state_dict(start or model.state_dict())
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=decay)
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images.float() / 16), classes).backward()
        optimizer.step()
    return {name: W.clone() for name, W in model.state_dict().items()}


def block(depth, width, **options):
    """A chain of one family: input, hidden layers, output."""
    return weights((width, 64), *[(width, width)] * depth, (60, width), **options)


@pytest.mark.slow
def test_the_same_shapes_are_ranked_by_the_score():
    """A trained network comes before its initialisation and before a diverged one; the reason is said."""
    ranking = wwopt.rank({"diverged": trained(60, lr=1.0), "first": trained(0), "last": trained(60)})
    assert ranking.best == "last"
    assert ranking.metric == "score"
    assert "same shapes" in ranking.reason
    assert ranking.table.index.name == "name"
    assert ranking.table["rank"].tolist() == [1, 2, 3]
    assert ranking.table["value"].is_monotonic_increasing
    assert ranking.table["status"].tolist() == ["ranked", "ranked", "broken"]
    ranked = ranking.table.iloc[:2]
    assert (ranked["low"] <= ranked["value"]).all()
    assert (ranked["value"] <= ranked["high"]).all()


def scaled(state, factor):
    """The same directions at another scale."""
    return {name: factor * W for name, W in state.items()}


SHALLOW, DEEP = block(2, 80), scaled(block(6, 80, seed=1), 0.5)  # as in published families, the deeper one comes first


@pytest.mark.parametrize(
    "candidates",
    [
        {"shallow": SHALLOW, "deep": DEEP},
        {"bert": weights((90, 60), (60, 60), names=["h.0.a", "h.0.m"]),
         "larger": scaled(weights((150, 100), (100, 100), (150, 100), (100, 100),
                                  names=["h.0.a", "h.0.m", "h.1.a", "h.1.m"]), 0.5)},
    ],
    ids=["depth", "both"],
)  # fmt: skip
def test_a_series_of_depths_is_ranked_by_alpha_weighted(candidates):
    """Depth and width change the number and the sides of layers, not their kinds and names."""
    ranking = wwopt.rank(candidates)
    assert ranking.metric == "alpha_weighted"
    assert "one family at several depths" in ranking.reason
    smallest = min(ranking.table["alpha_weighted"])
    assert ranking.table.loc[ranking.best, "value"] == pytest.approx(smallest)


@pytest.mark.parametrize(
    ("candidates", "objection"),
    [
        ({"narrow": block(3, 64), "wide": block(3, 128)}, "narrow and wide have the same depth"),
        ({"shallow": SHALLOW, "deep": scaled(block(6, 80), 2.0)}, "deep is deeper than shallow without a smaller"),
        ({"shallow": SHALLOW, "deep": {**DEEP, "layers.3.weight": np.ones((80, 80))}}, "deep is broken"),
        ({"shallow": SHALLOW, "deep": {**DEEP, "layers.3.weight": np.random.default_rng(0).normal(size=(80, 80))}},
         "12.5% of the layers of deep are noise"),
        ({"shallow": nn.Sequential(nn.Linear(64, 80), nn.Linear(80, 80)),
          "deep": nn.Sequential(nn.Linear(64, 80), nn.Linear(80, 80), nn.Linear(80, 80))},
         "shallow is a module"),
    ],
    ids=["width", "order", "broken", "noise", "modules"],
)  # fmt: skip
def test_a_family_that_is_no_series_of_depths_is_ranked_by_the_score(candidates, objection):
    """`alpha_weighted` chooses those that failed, where some may have; the reason says what speaks against it."""
    ranking = wwopt.rank(candidates)
    assert ranking.metric == "score"
    assert objection in ranking.reason


WIDTHS = (64, 96, 128, 192, 256)


@pytest.fixture(scope="module")
def several_widths():
    """Perceptrons that have learned, and others that are untrained, shrunken or diverged; state dicts by names."""
    failed = {
        **{f"untrained {width}": trained(0, width=width) for width in (80, 320)},
        "diverged": trained(60, width=160, lr=1.0),
        "shrunken": trained(60, width=192, lr=0.1, decay=5.0),
    }
    return {**failed, **{f"learned {width}": trained(60, width=width) for width in WIDTHS}}


@pytest.mark.slow
@pytest.mark.parametrize("as_modules", [True, False], ids=["modules", "state dicts"])
def test_of_several_widths_none_that_failed_wins(several_widths, as_modules):
    """Each that has learned comes before all that failed; modules vote on noise besides."""
    candidates = {name: perceptron(state) if as_modules else state for name, state in several_widths.items()}
    ranking = wwopt.rank(candidates)
    assert ranking.metric == ("scores and noise" if as_modules else "score")
    assert ("answers to noise" in ranking.reason) == as_modules
    assert set(ranking.table.index[: len(WIDTHS)]) == {f"learned {width}" for width in WIDTHS}
    assert ranking.table["rank"].tolist() == list(range(1, len(candidates) + 1))
    notes = ranking.table["note"]
    assert {name for name in notes.index if notes[name] == "no layer can be told from noise"} == {
        "untrained 80", "untrained 320",
    }  # fmt: skip
    if as_modules:
        assert ranking.table["agreement"].iloc[0] > 0.2
        assert ranking.table["value"].iloc[: len(WIDTHS)].is_monotonic_increasing


@pytest.mark.slow
def test_modules_that_cannot_vote_on_noise_are_ranked_by_the_score(several_widths):
    """Where they are not to be run, one is a state dict, answers in another shape or fails, and where they are few."""
    modules = {name: perceptron(state) for name, state in several_widths.items() if name.startswith("learned")}
    assert wwopt.rank(modules).metric == "scores and noise"
    assert wwopt.rank(modules, response=False).metric == "score"
    assert wwopt.rank(modules, response=(65,)).metric == "score"
    assert wwopt.rank(dict(list(modules.items())[:4])).metric == "score"
    others = {
        "state dict": several_widths["learned 64"],
        "outputs": nn.Sequential(nn.Linear(64, 80), nn.ReLU(), nn.Linear(80, 60)),
        "inputs": nn.Sequential(nn.Linear(70, 80), nn.ReLU(), nn.Linear(80, 60)),
    }
    for name, other in others.items():
        assert wwopt.rank({**modules, name: other}).metric == "score"


@pytest.mark.slow
def test_infinite_answers_to_noise_do_not_win(several_widths):
    """Finite weights whose answers overflow come behind those that learned."""
    modules = {name: perceptron(state) for name, state in several_widths.items() if name.startswith("learned")}
    overflowing = perceptron(several_widths["learned 128"])
    with torch.no_grad():
        overflowing[2].weight *= 1e30
        overflowing[4].weight *= 1e30
    table = wwopt.rank({"overflowing": overflowing, **modules}).table
    assert table.index[-1] == "overflowing"


def test_different_architectures_come_with_a_warning():
    """Size stands beside, and the warning says that no such ranking is reliable."""
    torch.manual_seed(0)
    convolutions = nn.Sequential(nn.Conv2d(3, 64, 3), nn.ReLU(), nn.Conv2d(64, 64, 3))
    ranking = wwopt.rank({"cnn": convolutions, "mlp": weights((90, 70), (70, 70), names=["encoder.fc", "head"])})
    assert ranking.metric == "score"
    assert "different architectures" in ranking.reason
    assert any("reliable" in warning for warning in ranking.warnings)
    assert ranking.table.loc["cnn", "parameters"] == 64 * 3 * 9 + 64 * 64 * 9
    assert ranking.faults == (
        "cnn: no layer in common with any other candidate",
        "mlp: no layer in common with any other candidate",
    )


def test_what_a_base_was_tuned_to_is_compared_by_the_differences():
    """With `base` the score is that of the spectra of ``W - W_base``."""
    base = trained(20)
    noise = {
        name: W + 0.02 * torch.randn(W.shape, generator=torch.Generator().manual_seed(0)) for name, W in base.items()
    }
    learned = trained(60, start=base)
    ranking = wwopt.rank({"noise": noise, "learned": learned}, base=base)
    assert ranking.best == "learned"
    assert "one base" in ranking.reason
    difference = wwopt.analyze(learned, base=base, alignment=True)
    assert ranking.table.loc["learned", "alpha"] == pytest.approx(difference.summary["alpha"])


def test_a_tie_reads_as_a_tie():
    """Networks drawn alike tie with the best; one that is far off does not."""
    networks = {"a": block(4, 80, seed=1), "b": block(4, 80, seed=2), "flat": block(4, 80, decay=0.0)}
    ranking = wwopt.rank(networks, invariant=False)  # else none of them counts as learned
    assert ranking.best in ("a", "b")
    assert set(ranking.ties) == {"a", "b"} - {ranking.best}
    assert ranking.table.loc[ranking.ties[0], "rank_low"] == 1
    assert not ranking.table.loc["flat", "tied"]
    assert any("ties with" in warning for warning in ranking.warnings)


def test_a_broken_network_does_not_win_whatever_the_metric():
    """A layer that is not finite drops out of the means, so the network goes behind."""
    broken = block(3, 80)
    broken["layers.1.weight"][0, 0] = np.nan
    for metric in ("auto", "alpha_weighted", "log_norm", "stable_rank"):
        ranking = wwopt.rank({"broken": broken, "good": block(3, 80, seed=1)}, metric=metric)
        assert ranking.table.index.tolist() == ["good", "broken"]
        assert ranking.table.loc["broken", "note"] == "non-finite: layers.1"


def test_a_collapsed_network_does_not_win_either():
    """The smallest norms are those of a network of one direction: it goes behind, and the note names its layers."""
    ranking = wwopt.rank({"collapsed": block(3, 80, decay=1.5), "good": block(3, 80)}, metric="log_norm")
    assert ranking.table.index.tolist() == ["good", "collapsed"]
    assert ranking.table.loc["collapsed", "note"].startswith("collapsed: layers.0")


def test_shares_are_by_the_estimators_range():
    """What counts as over six is what the estimator calls so."""
    networks = {"flat": block(3, 80, decay=0.1), "steep": block(3, 80, decay=0.5)}
    ranking = wwopt.rank(networks, metric="share_over_6", estimator="hill")
    assert ranking.table["value"].to_dict() == {"steep": 0.0, "flat": 1.0}


def test_metric_by_name_or_as_a_score():
    """Columns are ranked in the direction that is declared; a score as it is; what is unknown is an error."""
    candidates = {"low": block(3, 80, decay=0.9), "full": block(3, 80, decay=0.1)}
    assert wwopt.rank(candidates, metric="stable_rank").best == "full"
    assert wwopt.rank(candidates, metric="log_norm").best == "low"
    ranking = wwopt.rank(candidates, metric=wwopt.AlphaScore(rank=500))
    assert (ranking.best, ranking.metric) == ("full", "score")
    assert "AlphaScore" in ranking.reason
    with pytest.raises(ValueError, match=r"`metric` must be 'auto', a score or one of score, .* got 'accuracy'"):
        wwopt.rank(candidates, metric="accuracy")


def test_every_source_and_every_fault_is_a_row(tmp_path):
    """Modules, mappings, files, saved analyses and tables rank together; what cannot be read says why."""
    good = block(3, 80)
    save_file({name: torch.as_tensor(W) for name, W in good.items()}, tmp_path / "a.safetensors")
    analysis = wwopt.analyze(block(3, 80, seed=1))
    analysis.save(tmp_path / "saved.npz")
    analysis.details.rename(columns={"name": "longname"}).to_csv(tmp_path / "details.csv")
    (tmp_path / "damaged.pt").write_bytes(b"no checkpoint")
    (tmp_path / "empty").mkdir()
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    ranking = wwopt.rank(
        {
            "file": tmp_path / "a.safetensors",
            "analysis": wwopt.analyze(block(3, 80, seed=2)),
            "saved": tmp_path / "saved.npz",
            "table": tmp_path / "details.csv",
            "frame": pd.read_csv(tmp_path / "details.csv").assign(alpha=3.0),
            "damaged": tmp_path / "damaged.pt",
            "missing": tmp_path / "nothing.pt",
            "empty": tmp_path / "empty",
            "other": tmp_path / "other.csv",
            "number": 3,
        }
    )
    status = ranking.table["status"]
    assert sorted(status.index[status == "ranked"]) == ["analysis", "file", "frame", "saved", "table"]
    notes = ranking.table["note"]
    assert "damaged.pt" in notes["damaged"]
    assert notes["missing"] == f"no such file or folder: {tmp_path / 'nothing.pt'}"
    assert notes["empty"].endswith("holds no checkpoint, and no folder that does")
    assert "no table of WeightWatcher's `details`: it has no column alpha, N, M" in notes["other"]
    assert "got int" in notes["number"]
    assert ranking.table["tied"].dtype == bool
    assert json.loads(ranking.table.to_json())


def test_a_folder_of_checkpoints_is_its_epochs(tmp_path):
    """In the order of their numbers, also as folders of a trainer."""
    for epoch in (1, 2, 10):
        state = {name: torch.as_tensor(W) for name, W in block(2, 80, decay=epoch / 10).items()}
        torch.save(state, tmp_path / f"epoch-{epoch}.pt")
        folder = tmp_path / "trainer" / f"checkpoint-{epoch}"
        folder.mkdir(parents=True)
        save_file(state, folder / "model.safetensors")
        (folder / "config.json").write_text("{}")
    shutil.move(tmp_path / "trainer", tmp_path.parent / f"{tmp_path.name}-trainer")
    ranking = wwopt.rank([tmp_path])
    assert sorted(ranking.table.index) == [f"{tmp_path.name}/epoch-{epoch}.pt" for epoch in (1, 10, 2)]
    trainer = wwopt.rank({"run": tmp_path.parent / f"{tmp_path.name}-trainer"})
    assert sorted(trainer.table.index) == [f"run/checkpoint-{epoch}" for epoch in (1, 10, 2)]


def test_a_folder_that_is_one_network(tmp_path):
    """A trainer's optimizer beside the model is no candidate, nor is the table beside a tracker's analysis."""
    for name in ("model", "artifact"):
        (tmp_path / name).mkdir()
    save_file({key: torch.as_tensor(W) for key, W in block(2, 80).items()}, tmp_path / "model" / "model.safetensors")
    torch.save({"state": {}}, tmp_path / "model" / "optimizer.pt")
    analysis = wwopt.analyze(block(2, 80, seed=1))
    analysis.save(tmp_path / "artifact" / "analysis.npz")
    analysis.details.to_csv(tmp_path / "artifact" / "layers.csv")
    ranking = wwopt.rank([tmp_path / "model", tmp_path / "artifact"])
    assert sorted(ranking.table.index) == ["artifact/analysis.npz", "model"]
    assert not ranking.faults


def test_twins_are_named(tmp_path):
    """The same weights twice are a fault of the input, and are ranked nevertheless."""
    ranking = wwopt.rank({"a": block(2, 80), "b": block(2, 80), "c": block(2, 80, seed=4)})
    assert ranking.faults == ("a, b: one network under several names",)
    assert len(ranking.table) == 3


def test_too_few_candidates():
    """One candidate is not ranked; none that can be read is an error with the reasons."""
    with pytest.raises(ValueError, match="`candidates` must be at least two networks, got 1"):
        wwopt.rank({"a": block(2, 80)})
    with pytest.raises(ValueError, match=r"can be ranked: a: no such file or folder: nowhere\.pt; b:"):
        wwopt.rank({"a": "nowhere.pt", "b": "nowhere.safetensors"})


def test_folders_that_hold_nothing(tmp_path, monkeypatch):
    """A folder that is empty, or is not there, is said to be so, alone, among others like it and beside a network."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    torch.save({"fc.weight": torch.randn(80, 60, generator=torch.Generator().manual_seed(0))}, "good.pt")
    empty, nowhere = "empty: holds no checkpoint, and no folder that does", "nowhere: no such file or folder"
    cases = [(["empty/"], [empty]), (["nowhere/"], [nowhere]), (["empty/", "nowhere/"], [empty, nowhere])]
    for sources, faults in cases:
        with pytest.raises(ValueError, match=r"^None of the candidates can be ranked: ") as caught:
            wwopt.rank(sources)
        assert str(caught.value).partition("ranked: ")[2] == "; ".join(faults)
    ranking = wwopt.rank(["empty/", "good.pt", "nowhere/"])
    assert ranking.table["status"].tolist() == ["ranked", "unreadable", "unreadable"]
    assert ranking.best == "good.pt"
    assert ranking.faults == (empty, nowhere)


def test_an_option_out_of_its_range_is_one_error():
    """It is said once, not for each candidate, as is a base that cannot be read."""
    with pytest.raises(ValueError, match=r"^`estimator` must be one of mle, hill, peak, tpl, got 'best'\.$"):
        wwopt.rank({"a": block(2, 80), "b": block(2, 80)}, estimator="best")
    with pytest.raises(FileNotFoundError, match=r"^No such file: gone\.pt$"):
        wwopt.rank({"a": block(2, 80), "b": block(2, 80)}, base="gone.pt")


def test_a_network_without_layers_is_behind():
    """Nothing large enough to analyse is said, not hidden."""
    ranking = wwopt.rank({"small": weights((20, 10)), "good": block(2, 80)})
    assert ranking.table.index.tolist() == ["good", "small"]
    assert ranking.table.loc["small", "status"] == "not measured"
    assert ranking.table.loc["small", "note"].startswith("layers.0: 10 eigenvalues, fewer than min_evals=16")
    assert np.isnan(ranking.table.loc["small", "rank"])
    assert ranking.best == "good"


def test_nothing_measured_is_no_ranking():
    """Where no candidate was measured there is an error with the reason and the way out, not an order."""
    with pytest.raises(ValueError, match=r"not measured: .*Lower `min_evals` to 10 or less"):
        wwopt.rank([weights((20, 10)), weights((20, 10))])


def test_the_cache_is_used(tmp_path):
    """Arguments of `analyze` are passed on, and a second ranking reads what the first has kept."""
    candidates = {"a": block(2, 80), "b": block(2, 80, seed=1)}
    first = wwopt.rank(candidates, cache=tmp_path)
    assert any(tmp_path.iterdir())
    pd.testing.assert_frame_equal(first.table, wwopt.rank(candidates, cache=tmp_path).table)


def test_tables_of_the_papers(tmp_path):
    """They have no names, and a row for each slice of a convolution beside one for the layer."""
    path = tmp_path / "vgg.csv"
    rows = ["7,CONV2D,64,32,LEVEL.SLICE,2.5,1.0"] * 9 + ["7,CONV2D,288,288,LEVEL.LAYER,3.5,2.0"]
    rows += ["28,DENSE,4096,1000,LEVEL.LAYER,-1,-1"]
    path.write_text("\n".join(["layer_id,layer_type,N,M,level,alpha,alpha_weighted", *rows]))
    details = read_details(path).details
    assert details[["layer_type", "rf", "N", "M", "status"]].to_numpy().tolist() == [
        ["conv2d", 9, 64, 32, "success"],
        ["dense", 1, 4096, 1000, "failed"],
    ]
    assert details["alpha"].tolist()[0] == 3.5
    assert np.isnan(details["alpha_weighted"].tolist()[1])
    assert architecture_of(read_details(path)).parameters == 9 * 64 * 32 + 4096 * 1000


def test_families():
    """Kernels and names tell a family from networks that only share some shapes."""

    def network(*layers):
        return architecture_of(
            [wwopt.weights.WeightMatrix(name, kind, k, N, M, lambda: None) for name, kind, k, N, M in layers]
        )

    vgg = network(*[(f"features.{i}", "conv2d", 9, 64, 64) for i in range(5)], ("classifier.0", "dense", 1, 99, 99))
    deep = network(*[(f"features.{i}", "conv2d", 9, 64, 64) for i in range(9)], ("classifier.3", "dense", 1, 99, 99))
    alexnet = network(
        ("features.0", "conv2d", 121, 64, 3), ("features.3", "conv2d", 25, 192, 64),
        ("features.6", "conv2d", 9, 384, 192), ("classifier.0", "dense", 1, 99, 99),
    )  # fmt: skip
    assert same_shapes([vgg, vgg])
    assert same_family([vgg, deep])
    assert not same_shapes([vgg, deep])
    assert not same_family([vgg, alexnet])


@pytest.fixture
def mlflow_client(tmp_path, monkeypatch):
    """A client of MLflow with a store in a file."""
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    return mlflow.MlflowClient()


def new_run(client, tmp_path):
    """Id of a run in an experiment whose artifacts lie here."""
    experiment = client.create_experiment("digits", artifact_location=str(tmp_path / "artifacts"))
    return client.create_run(experiment).info.run_id


@pytest.mark.slow
def test_the_last_step_of_a_run_is_the_largest_number(mlflow_client, tmp_path):
    """Step 1000000 comes after step 999999, though not as text."""
    run = new_run(mlflow_client, tmp_path)
    early, late = block(2, 80, seed=3), block(2, 80, seed=4)
    for step, state in ((999_999, early), (1_000_000, late)):
        wwopt.analyze(state).save(tmp_path / "analysis.npz")
        mlflow_client.log_artifact(run, str(tmp_path / "analysis.npz"), f"ww/{step_folder(step)}")
    table = wwopt.rank({"run": f"runs:/{run}", "other": block(2, 80, seed=5)}).table
    assert table.loc["run/analysis.npz", "alpha"] == pytest.approx(wwopt.analyze(late).summary["alpha"])


@pytest.mark.slow
def test_an_mlflow_registry(mlflow_client, tmp_path):
    """All versions of a registered model, and the last analysis that a run has logged; an alias that is not there."""
    client, run = mlflow_client, new_run(mlflow_client, tmp_path)
    client.create_registered_model("digits")
    for version, decay in enumerate((0.0, 0.7)):
        folder = tmp_path / f"version-{version}"
        folder.mkdir()
        save_file({k: torch.as_tensor(W) for k, W in block(2, 80, decay=decay).items()}, folder / "model.safetensors")
        client.create_model_version("digits", str(folder))
    wwopt.analyze(block(2, 80, seed=3)).save(tmp_path / "analysis.npz")
    client.log_artifact(run, str(tmp_path / "analysis.npz"), "ww/step-000003")
    ranking = wwopt.rank(
        {
            "digits": "models:/digits",
            "run": f"runs:/{run}",
            "alias": "models:/digits@best",
            "no": "models:/no",
        }
    )
    status = ranking.table["status"]
    assert sorted(status.index[status == "ranked"]) == ["digits/1", "digits/2", "run/analysis.npz"]
    assert "models:/digits@best cannot be fetched" in ranking.table.loc["alias", "note"]
    assert "No registered model is called 'no'" in ranking.table.loc["no", "note"]


def test_narrow_networks_are_measured_as_much_as_wide_ones():
    """The limit suits the smallest candidate and is the same for all, unless it is given."""
    candidates = {"narrow": block(3, 30), "wide": block(3, 80)}
    table = wwopt.rank(candidates).table
    assert table["status"].tolist() == ["ranked", "ranked"]
    assert table.loc["wide", "layers"] == len(candidates["wide"])
    assert wwopt.rank(candidates, min_evals=50).table.loc["narrow", "status"] == "not measured"
