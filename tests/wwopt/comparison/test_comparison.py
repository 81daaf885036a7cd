"""What `compare` says of broken layers, and of changes that are none."""

import json
import xml.etree.ElementTree as ET
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import wwopt
from benchmarks.watching import __main__ as watching
from benchmarks.watching.networks import Digits, minilm_folder, train_cnn
from tests.support.faults import FAULTS, bf16, damage
from tests.support.harmless_changes import HARMLESS
from wwopt.comparison import comparison_json, comparison_junit
from wwopt.comparison.changes import measure_change
from wwopt.comparison.permutations import find_reordering, same_permutation

MINILM_LAYERS = ("encoder.layer.4.attention.self.key", "encoder.layer.5.output.dense")
NO_ALPHA = 10**9  # compares by weights alone, which is what decides


@pytest.fixture(scope="module")
def digits():
    return Digits.load()


@pytest.fixture(scope="module")
def cnn(digits):
    """A convolutional network that has learned digits."""
    return train_cnn(digits, 0, steps=60)


@pytest.fixture(scope="module")
def minilm():
    """The last two blocks of a sentence transformer, and its embeddings of positions and types."""
    state = load_file(minilm_folder() / "model.safetensors")
    kept = ("encoder.layer.4", "encoder.layer.5", "embeddings.pos", "embeddings.tok", "embeddings.Layer")
    return {name: W for name, W in state.items() if name.startswith(kept)}


def alerts(before, after, **options):
    return {alert.name: alert for alert in wwopt.compare(before, after, min_evals=NO_ALPHA, **options).alerts}


@pytest.mark.parametrize("shape", [(1, 64), (2, 64), (64, 1), (64, 1, 1, 1), (1, 16, 3, 3), (1, 3), (2, 2), (1, 1)])
@pytest.mark.parametrize("change", [0.1, 0.2, 0.35])
def test_the_fine_tuning_of_a_thin_layer_is_no_fault(shape, change):
    """With an element for each factor, or each place, some scaling, order or grid explains any change."""
    rng = np.random.default_rng(0)
    body = {"body.weight": rng.normal(size=(128, 64))}
    found = []
    for _ in range(20):
        W = rng.normal(size=shape)
        moved = W + change * np.linalg.norm(W) * (unit := rng.normal(size=shape)) / np.linalg.norm(unit)
        found += alerts(body | {"head.weight": W}, body | {"head.weight": moved}).values()
    assert found == []


def test_a_thin_layer_that_scales_with_another_is_the_same_function():
    """Inputs of a layer with one output that make up for the scaled units before it are recognised as before."""
    rng = np.random.default_rng(0)
    W, head, factors = rng.normal(size=(64, 60)), rng.normal(size=(1, 64)), np.exp(rng.normal(size=64))
    before = {"0.weight": W, "2.weight": head}
    after = {"0.weight": W * factors[:, None], "2.weight": head / factors}
    table = wwopt.compare(before, after, min_evals=NO_ALPHA).table
    assert table["status"].tolist() == ["equivalent", "equivalent"]
    assert list(alerts(before, after | {"2.weight": head})) == ["0"]
    assert alerts(before, {"0.weight": W, "2.weight": 3 * head})["2"].fault == "scaled"


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("network", ["cnn", "minilm"])
def test_every_fault_is_found_and_located(network, fault, request):
    """The broken layer is named, and no other."""
    state = request.getfixturevalue(network)
    layer = {"cnn": "conv3", "minilm": MINILM_LAYERS[len(fault) % 2]}[network]
    assert set(alerts(state, damage(state, layer, fault, seed=1))) == {layer}


@pytest.mark.parametrize(
    ("network", "change"), [(network, change) for network, changes in HARMLESS.items() for change in changes]
)
def test_no_false_alarm(network, change, request):
    """Rounding, good quantisation, another order of units and factors that are taken back are no alerts."""
    state = request.getfixturevalue(network)
    after = HARMLESS[network][change](state, torch.Generator().manual_seed(1))
    comparison = wwopt.compare(state, after, min_evals=NO_ALPHA)
    assert comparison.ok, comparison.alerts
    statuses = set(comparison.table["status"])
    assert "equivalent" in statuses if "int" not in change and change != "bf16" else statuses == {"changed"}


@pytest.mark.slow
def test_fine_tuning(cnn, digits):
    """A good one is no alert; with a learning rate that is far too high all convolutions are."""
    assert not alerts(cnn, train_cnn(digits, 1, lr=5e-4, steps=30, start=cnn))
    assert {"conv2", "conv3"} <= set(alerts(cnn, train_cnn(digits, 1, lr=0.1, steps=30, start=cnn)))


def test_messages_say_what_is_probably_wrong(cnn):
    """Each kind of fault has its words."""
    said = {fault: alerts(cnn, damage(cnn, "conv3", fault, 1))["conv3"] for fault in FAULTS}
    assert said["rows_permuted"].message == "its rows are permuted and no other layer follows"
    assert said["one_nan"].message == "1 of 36864 values is not finite"
    assert said["pruned"].message.startswith("95% of its values are zero")
    assert said["scaled"].message == (
        "scaled by 10, and nothing compensates for it; the running statistics of bn3 are stale"
    )
    assert said["transposed"].message == "inputs and outputs are exchanged"
    assert said["int4_per_tensor"].fault == "quantized"
    assert said["truncated"].fault == "rank"
    assert said["reinitialised"].fault == said["redrawn"].fault == "unrelated"
    assert str(said["one_nan"]) == "conv3: 1 of 36864 values is not finite"


def test_half_a_symmetry_is_a_fault(cnn):
    """Units whose bias, or whose readers, stayed behind; embeddings of which only some were scaled."""
    permuted = HARMLESS["cnn"]["units permuted"](cnn, torch.Generator().manual_seed(1))
    assert alerts(cnn, {**permuted, "fc1.bias": cnn["fc1.bias"]})["fc1"].message.endswith("its bias is not")
    assert "fc1" in alerts(cnn, {**permuted, "fc2.weight": cnn["fc2.weight"]})
    rescaled = HARMLESS["cnn"]["scales taken back"](cnn, torch.Generator().manual_seed(1))
    assert set(alerts(cnn, {**rescaled, "fc1.bias": cnn["fc1.bias"]})) == {"fc1", "fc2"}


def test_a_folded_normalisation_is_harmless(cnn):
    """Deployment multiplies batch normalisations into their convolutions; by other factors it is a fault."""
    factors = cnn["bn2.weight"] / torch.sqrt(cnn["bn2.running_var"] + 1e-5)
    folded = {name: W for name, W in cnn.items() if not name.startswith("bn2")}
    folded["conv2.weight"] = cnn["conv2.weight"] * factors[:, None, None, None]
    folded["conv2.bias"] = cnn["bn2.bias"] - cnn["bn2.running_mean"] * factors
    table = wwopt.compare(cnn, folded, min_evals=NO_ALPHA).table
    assert table.loc["conv2", "status"] == "equivalent"
    folded["conv2.weight"] = cnn["conv2.weight"] * factors.flip(0)[:, None, None, None]
    assert "conv2" in alerts(cnn, folded)


@pytest.mark.parametrize("scale", [1e-3, 0.1, 1.0])
def test_a_layer_drawn_anew_at_any_scale(minilm, scale):
    """However small the new values are, nothing of the reference is left."""
    name = "encoder.layer.5.intermediate.dense"
    drawn = scale * torch.randn(1536, 384, generator=torch.Generator().manual_seed(0))
    assert set(alerts(minilm, {**minilm, f"{name}.weight": drawn})) == {name}


def test_low_rank_is_seen_through_rounding(minilm):
    """A layer that was truncated to half its rank and stored in bfloat16 has full rank, but for nothing."""
    name = "encoder.layer.4.attention.self.query"
    u, s, vh = torch.linalg.svd(minilm[f"{name}.weight"])
    truncated = (u[:, :192] * s[:192] @ vh[:192]).bfloat16()
    assert alerts(minilm, {**minilm, f"{name}.weight": truncated})[name].fault == "rank"


def test_a_patch_embedding_is_read_by_a_shortcut_too():
    """In a network with attention a convolution before a normalisation may be added to the stream: its scale counts."""
    rng = np.random.default_rng(0)
    state = {"patch.weight": rng.normal(size=(64, 3, 4, 4)), "norm.weight": np.ones(64), "norm.bias": np.zeros(64),
             "attention.query.weight": rng.normal(size=(64, 64))}  # fmt: skip
    assert "patch" in alerts(state, {**state, "patch.weight": 10 * state["patch.weight"]})
    del state["attention.query.weight"]
    assert not alerts(state, {**state, "patch.weight": 10 * state["patch.weight"]})


def test_queries_follow_keys_but_not_with_values(minilm):
    """The same order within each head of queries and keys is harmless; inputs of a fused layer are another matter."""
    order = torch.cat([32 * head + torch.randperm(32) for head in range(12)])
    stem, after = "encoder.layer.5.attention.self", dict(minilm)
    for part in ("query.weight", "query.bias", "key.weight", "key.bias"):
        after[f"{stem}.{part}"] = minilm[f"{stem}.{part}"][order]
    assert not alerts(minilm, after)
    after = dict(minilm)
    for part in ("query", "key"):
        after[f"{stem}.{part}.weight"] = minilm[f"{stem}.{part}.weight"][:, order]
    assert set(alerts(minilm, after)) == {f"{stem}.query", f"{stem}.key"}
    after = {name: W[order] if name.startswith(stem) and W.dim() == 2 else W for name, W in minilm.items()}
    assert set(alerts(minilm, after)) == {f"{stem}.{part}" for part in ("query", "key", "value")}


def test_embeddings_scaled_in_part(minilm):
    """The normalisation behind a sum removes a factor of all, not of one."""
    name = "embeddings.position_embeddings.weight"
    assert set(alerts(minilm, {**minilm, name: 3 * minilm[name]})) == {"embeddings.position_embeddings"}


def test_vectors_are_watched(cnn):
    """A bias with an infinity, a gain that has gone mad."""
    broken = cnn["fc1.bias"].clone()
    broken[3] = float("inf")
    assert alerts(cnn, {**cnn, "fc1.bias": broken})["fc1.bias"].fault == "non-finite"
    assert alerts(cnn, {**cnn, "bn2.weight": 5 * cnn["bn2.weight"]})["bn2.weight"].fault == "changed"


def test_layers_that_are_missing_or_of_another_shape(cnn):
    """Both are alerts; a layer that is new is a remark."""
    after = {**cnn, "fc2.weight": torch.ones(12, 128), "extra.weight": torch.ones(4, 4)}
    del after["conv2.weight"]
    comparison = wwopt.compare(cnn, after, min_evals=NO_ALPHA)
    assert {alert.name: alert.message for alert in comparison.alerts} == {
        "conv2": "missing",
        "fc2": "12 x 128, in the reference 10 x 128",
    }
    assert comparison.warnings == ("not in the reference: extra",)


def test_nothing_in_common():
    """Networks without a layer of one name and shape cannot be compared, and the error says so."""
    with pytest.raises(ValueError, match=r"no layer of the same name and shape: the layers are a, \.\.\. and b"):
        wwopt.compare({"a.weight": np.ones((4, 4))}, {"b.weight": np.ones((4, 4))})
    with pytest.raises(ValueError, match="no layer of the same name and shape"):
        wwopt.compare({"a.weight": np.ones((4, 4))}, {"a.weight": np.ones((5, 4))})


def test_names_behind_a_prefix(minilm):
    """A head on top puts a prefix before all names; alpha finds its layer all the same."""
    behind = {f"bert.{name}": W for name, W in minilm.items()}
    for before, after, whose in ((minilm, behind, "candidate"), (behind, minilm, "reference")):
        comparison = wwopt.compare(before, after)
        assert comparison.ok
        assert set(comparison.table["status"]) == {"same"}
        assert comparison.warnings == (f"layers were matched without the prefix 'bert.' of the {whose}'s names",)
        assert comparison.table["alpha"].equals(comparison.table["alpha_before"].rename("alpha"))


def test_files_and_memory_say_the_same(cnn, tmp_path):
    """Safetensors sort their layers by name, which must not matter."""
    after = damage(cnn, "conv3", "scaled", 1)
    harmless = HARMLESS["cnn"]["scale removed by a norm"](cnn, torch.Generator().manual_seed(2))
    for name, state in (("before", cnn), ("after", after), ("harmless", harmless)):
        save_file({key: W.contiguous() for key, W in state.items()}, tmp_path / f"{name}.safetensors")
    before = tmp_path / "before.safetensors"
    assert alerts(before, tmp_path / "after.safetensors") == alerts(cnn, after)
    assert not alerts(before, tmp_path / "harmless.safetensors")


def test_the_table_has_both_sides(cnn):
    """Alpha, norm, rank and traps stand beside those of the reference where a layer is large enough."""
    table = wwopt.compare(cnn, bf16(cnn)).table
    assert table.index.tolist() == ["conv1", "conv2", "conv3", "fc1", "fc2"]
    assert table.loc["conv3", "alpha"] == pytest.approx(table.loc["conv3", "alpha_before"], rel=0.1)
    assert np.isnan(table.loc["fc2", "alpha"])
    assert table["distance"].between(1e-4, 5e-3).all()


def test_only_some_layers(cnn):
    """`include` looks at these alone."""
    after = damage(damage(cnn, "conv3", "scaled", 1), "fc1", "one_nan", 1)
    assert set(alerts(cnn, after, include="fc*")) == {"fc1"}
    assert set(alerts(cnn, after, exclude="fc*")) == {"conv3"}


def test_thresholds_are_settable_and_checked(cnn):
    """A stricter line makes alerts of what is none by default."""
    noise = torch.randn(128, 256, generator=torch.Generator().manual_seed(0))
    after = {**cnn, "fc1.weight": cnn["fc1.weight"] + 0.3 * cnn["fc1.weight"].std() * noise}
    assert not alerts(cnn, after)
    assert set(alerts(cnn, after, thresholds=wwopt.Thresholds(distance=0.2))) == {"fc1"}
    with pytest.raises(ValueError, match="`distance` must be a finite number above 0, got -1"):
        wwopt.Thresholds(distance=-1)


def test_an_executor_says_the_same(cnn):
    """Layers may be compared elsewhere."""
    from concurrent.futures import ThreadPoolExecutor

    after = damage(cnn, "conv3", "truncated", 1)
    with ThreadPoolExecutor(2) as executor:
        assert alerts(cnn, after, executor=executor) == alerts(cnn, after)


def test_junit_and_json(cnn):
    """CI gets a failure for each alert, a program plain values; names of layers are untrusted."""
    state = {**cnn, "odd\x01<name>.weight": torch.ones(6, 5)}
    comparison = wwopt.compare(state, damage(state, "conv3", "one_nan", 1), min_evals=NO_ALPHA)
    suite = ET.fromstring(comparison_junit(comparison, suite="new.pt"))
    assert (suite.attrib["tests"], suite.attrib["failures"]) == ("6", "1")
    failed = [case.attrib["name"] for case in suite if case.find("failure") is not None]
    assert failed == ["conv3"]
    plain = json.loads(json.dumps(comparison_json(comparison), allow_nan=False))
    assert plain["alerts"] == [{"name": "conv3", "fault": "non-finite", "message": "1 of 36864 values is not finite"}]


def test_order_is_found_under_rounding():
    """Rows, columns, or both, also with dead units that nobody can tell apart."""
    rng = np.random.default_rng(0)
    A = rng.normal(size=(30, 24))
    A[[3, 7]] = 0
    rows, columns = rng.permutation(30), rng.permutation(24)
    for expected_rows, expected_columns in ((rows, None), (None, columns), (rows, columns)):
        B = A[rows if expected_rows is not None else slice(None)]
        B = B[:, columns if expected_columns is not None else slice(None)]
        found = find_reordering(A, B + 1e-3 * rng.normal(size=B.shape), 24)
        for order, expected in ((found.rows, expected_rows), (found.columns, expected_columns)):
            assert (order is None) == (expected is None)
            assert expected is None or same_permutation(order, expected)
    assert find_reordering(A, rng.normal(size=A.shape), 24) is None
    assert same_permutation(np.array([1, 0]), np.array([2, 3, 0, 1]))
    assert not same_permutation(np.array([1, 0]), np.array([1, 0, 2]))


def test_spectrum_moves_no_further_than_weights():
    """Mirsky's inequality holds for the numbers as reported."""
    rng = np.random.default_rng(0)
    for size in (0.01, 1.0, 10.0):
        A, D = rng.normal(size=(2, 40, 30))
        change = measure_change(A, A + size * D, 30)
        assert change.spectrum <= change.distance
        assert change.distance == pytest.approx(np.linalg.norm(size * D) / np.linalg.norm(A))
        assert change.shift <= np.linalg.norm(size * D, 2) / np.linalg.norm(A, 2) * (1 + 1e-9)
        assert change.shift > 0.8 * np.linalg.norm(size * D, 2) / np.linalg.norm(A, 2)


def test_the_benchmark_counts_what_is_right():
    """A fault must be named alone; a harmless change must not be named."""
    trial = watching.Trial("cnn", "scaled", True, ("fc1",), ("fc1",), ("",))
    trials = [trial, replace(trial, alerts=("fc1", "fc2")), replace(trial, change="bf16", harm=False, alerts=())]
    assert [one.right for one in trials] == [True, False, True]
    assert "| scaled | 1 of 2 |" in watching.table(trials)
