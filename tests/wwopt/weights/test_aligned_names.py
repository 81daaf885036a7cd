"""One network under several names: `compare` and `base` match its layers by the same rules."""

from __future__ import annotations

import numpy as np
import pytest

import wwopt

RNG = np.random.default_rng(0)
Q, K, V = (RNG.normal(size=(60, 60)) for _ in range(3))
GATE, UP, DOWN = RNG.normal(size=(3, 2, 70, 60))
BODY = {f"encoder.layer.{i}.dense.weight": RNG.normal(size=(80, 60)) for i in range(3)}
HEAD = {"classifier.weight": RNG.normal(size=(60, 60))}

PAIRS = {
    "a head on top": (BODY, {f"bert.{name}": W for name, W in BODY.items()} | HEAD),
    "model before": (BODY | HEAD, {f"model.{name}": W for name, W in BODY.items()} | HEAD),
    "PEFT's names": (BODY, {f"base_model.model.{name}": W for name, W in BODY.items()}),
    "model within": (
        {f"language_model.model.{name}": W for name, W in BODY.items()},
        {f"model.language_model.{name}": W for name, W in BODY.items()},
    ),
    "fused attention": (
        {"0.attn.qkv.weight": np.concatenate([Q, K, V]), "0.attn.proj.weight": 2 * Q},
        {"0.attn.q_proj.weight": Q, "0.attn.k_proj.weight": K, "0.attn.v_proj.weight": V, "0.attn.proj.weight": 2 * Q},
    ),
    "attention of PyTorch": (
        {"self_attn.in_proj_weight": np.concatenate([Q, K, V])},
        {"self_attn.query.weight": Q, "self_attn.key.weight": K, "self_attn.value.weight": V},
    ),
    "fused gate": (
        {"mlp.gate_up_proj.weight": np.concatenate([GATE[0], UP[0]])},
        {"mlp.gate_proj.weight": GATE[0], "mlp.up_proj.weight": UP[0]},
    ),
    "stacked experts": (
        {"mlp.experts.gate_up_proj": np.concatenate([GATE, UP], 1), "mlp.experts.down_proj": DOWN.swapaxes(1, 2)},
        {f"mlp.experts.{i}.{part}_proj.weight": W[i] for i in range(2) for part, W in (("gate", GATE), ("up", UP))}
        | {f"mlp.experts.{i}.down_proj.weight": DOWN[i].T for i in range(2)},
    ),
    "Mixtral's experts": (
        {"mlp.experts.gate_up_proj": np.concatenate([GATE, UP], 1), "mlp.experts.down_proj": DOWN.swapaxes(1, 2)},
        {f"block_sparse_moe.experts.{i}.w{n}.weight": W[i] for i in range(2) for n, W in ((1, GATE), (3, UP))}
        | {f"block_sparse_moe.experts.{i}.w2.weight": DOWN[i].T for i in range(2)},
    ),
}


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("kind", PAIRS)
def test_one_network_under_two_names(kind, turned):
    """Nothing has changed, whichever of the two is the reference, and nothing is left of either less the other."""
    first, second = PAIRS[kind][::-1] if turned else PAIRS[kind]
    comparison = wwopt.compare(first, second, min_evals=10**6)
    shared = [name for name in comparison.table.index if name != "classifier"]
    assert set(comparison.table.loc[shared, "status"]) == {"same"}
    assert any("prefix" in warning or "other names" in warning for warning in comparison.warnings)
    difference = wwopt.analyze(first, base=second)
    assert difference.details["name"].tolist() == shared + (["classifier"] if kind == "model before" else [])
    assert set(difference.details["status"]) == {"degenerate"}
    left = [(name, reason) for name, reason in difference.skipped.values.tolist() if "base" in reason]
    assert all(name == "classifier" for name, _ in left)


def test_candidates_of_a_ranking_less_their_base():
    """Each candidate is matched by itself."""
    bare, headed = (
        {prefix + name: W + 0.1 * np.random.default_rng(i).normal(size=W.shape) for name, W in BODY.items()}
        for i, prefix in enumerate(("", "bert."))
    )
    ranking = wwopt.rank({"bare": bare, "headed": headed | HEAD}, base=BODY)
    assert ranking.table["status"].tolist() == ["ranked", "ranked"]
    assert ranking.table["layers"].tolist() == [3, 3]


def test_names_that_only_resemble_each_other():
    """A layer that is missing is not made up for by another one with a like name, or of another shape."""
    extra = BODY | {"aux.encoder.layer.0.dense.weight": BODY["encoder.layer.0.dense.weight"]}
    less = {name: W for name, W in extra.items() if name != "encoder.layer.0.dense.weight"}
    comparison = wwopt.compare(BODY, less, min_evals=10**6)
    assert [(alert.name, alert.fault) for alert in comparison.alerts] == [("encoder.layer.0.dense", "missing")]
    towers = {
        f"{tower}.{name}": W[: 60 if tower == "text" else 80]
        for name, W in BODY.items()
        for tower in ("text", "vision")
    }
    found = wwopt.compare(BODY, towers, min_evals=10**6)
    assert found.ok
    assert found.warnings[1] == "layers were matched without the prefix 'vision.' of the candidate's names"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["Qwen3Moe", "Mixtral", "GPTNeoX", "Olmoe"])
def test_a_model_equals_the_file_that_it_wrote(kind, tmp_path):
    """transformers 5 saves experts, heads and blocks under other names than it loads them."""
    transformers = pytest.importorskip("transformers")
    config = getattr(transformers, f"{kind}Config")(
        hidden_size=64, num_hidden_layers=1, num_attention_heads=4, vocab_size=128, intermediate_size=128
    )
    for name, value in {"num_experts": 4, "num_local_experts": 4, "moe_intermediate_size": 64}.items():
        if hasattr(config, name):
            setattr(config, name, value)
    net = getattr(transformers, f"{kind}ForCausalLM")(config)
    net.save_pretrained(tmp_path)
    comparison = wwopt.compare(tmp_path, net, min_evals=10**6)
    assert comparison.ok
    assert set(comparison.table["status"]) == {"same"}
