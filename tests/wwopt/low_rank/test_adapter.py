"""Low-rank adapters, judged by what they change: against dense matrices, and against PEFT itself."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import wwopt
from wwopt.cli import run

RNG = np.random.default_rng(0)
OUT, IN, R = 80, 64, 8


def orthogonal(n, r):
    return np.linalg.qr(RNG.normal(size=(n, r)))[0]


U, V = orthogonal(OUT, R), orthogonal(IN, R)


def factors(values, u=U, v=V):
    """Factors B and A whose product has these singular values, in a basis in which they do not show."""
    turn = RNG.normal(size=(R, R))
    return u * values @ turn, np.linalg.solve(turn, v.T)


def in_place(values, weight=None, **directions):
    """A state dict of PEFT with one adapted layer."""
    B, A = factors(np.asarray(values, dtype=float), **directions)
    base = RNG.normal(size=(OUT, IN)) if weight is None else weight
    return {"q.base_layer.weight": base, "q.lora_A.default.weight": A, "q.lora_B.default.weight": B}


def folder(path, state, **config):
    """Save the factors of a state dict as PEFT does."""
    path.mkdir()
    settings = {"peft_type": "LORA", "r": R, "lora_alpha": R, **config}
    (path / "adapter_config.json").write_text(json.dumps(settings), encoding="utf-8")
    names = {"base_model.model." + name.replace(".default", ""): W for name, W in state.items() if "lora" in name}
    save_file({n: torch.tensor(W).contiguous() for n, W in names.items()}, path / "adapter_model.safetensors")
    return path


def test_how_much_of_the_rank_is_used(tmp_path):
    """By entropy, by energy, by the fewest directions; the same from a folder as in place."""
    values = np.array([3, 1, 0.1, 0, 0, 0, 0, 0])
    state = in_place(values)
    for source in (state, folder(tmp_path / "lora", state)):
        row = wwopt.analyze_adapter(source).table.loc["q"]
        shares = values[:3] / values.sum()
        assert row["effective_rank"] == pytest.approx(np.exp(-(shares * np.log(shares)).sum()), rel=1e-4)
        assert row["stable_rank"] == pytest.approx((9 + 1 + 0.01) / 9, rel=1e-6)
        assert (row["rank"], row["rank_90"], row["energy"]) == (R, 2, 1.0)
        assert row["norm"] == pytest.approx(math.sqrt(10.01), rel=1e-6)


def test_the_scale_of_a_rank_stabilised_adapter(tmp_path):
    """It is alpha over the root of the rank."""
    plain, stabilised = (
        wwopt.analyze_adapter(folder(tmp_path / str(i), in_place(np.ones(R)), lora_alpha=16, **config)).table.loc["q"]
        for i, config in enumerate(({}, {"use_rslora": True}))
    )
    assert stabilised["norm"] == pytest.approx(math.sqrt(R) * plain["norm"], rel=1e-5)


@pytest.mark.parametrize(
    ("values", "rank"), [(np.ones(R), 8), ([6, 1, 1, 1, 0, 0, 0, 0], 1), ([1, 1, 1, 0, 0, 0, 0, 0], 4)]
)
def test_the_suggested_rank_keeps_most_of_the_energy(values, rank):
    """The smallest power of two with 90% of it."""
    assert wwopt.analyze_adapter(in_place(values)).suggested_rank == rank


def test_new_directions_are_intruders():
    """A change along the weight's own leading direction is none; a large one along a weak direction mix is one."""
    u, s, vt = np.linalg.svd(RNG.normal(size=(OUT, IN)), full_matrices=False)
    weight = u * np.linspace(10, 1, IN) @ vt
    mixed = u @ RNG.normal(size=IN) / math.sqrt(IN)
    cases = {0: (5 * u[:, :1], vt[:1]), 1: (60 * mixed[:, None] / np.linalg.norm(mixed), vt[3:4])}
    for expected, (left, right) in cases.items():
        state = {"q.base_layer.weight": weight, "q.lora_A.default.weight": right, "q.lora_B.default.weight": left}
        assert wwopt.analyze_adapter(state).table.loc["q", "intruders"] == expected
    assert s[0] > 0


def test_two_adapters_overlap(tmp_path):
    """The same directions, opposite changes; and unrelated ones, which overlap as chance would have it."""
    one, two = in_place(np.ones(R)), in_place(np.ones(R))
    two["q.lora_B.default.weight"] = -np.linalg.lstsq(two["q.lora_A.default.weight"].T, (U @ V.T).T, rcond=None)[0].T
    far = in_place(np.ones(R), u=orthogonal(OUT, R), v=orthogonal(IN, R))
    row = wwopt.analyze_adapter(one, other=two).table.loc["q"]
    assert row[["overlap", "cosine"]].tolist() == pytest.approx([1, -1], rel=1e-6)
    row = wwopt.analyze_adapter(folder(tmp_path / "a", one), other=folder(tmp_path / "b", far)).table.loc["q"]
    assert row["overlap_by_chance"] == R / OUT
    assert row["overlap"] < 3 * R / OUT
    assert abs(row["cosine"]) < 0.2


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_merge_is_checked_layer_by_layer(tmp_path, dtype, capsys):
    """What was added, once and by the right scale, is told from what was not, also after rounding."""
    state = in_place(np.full(R, 3.0))
    lora = folder(tmp_path / "lora", state)
    weight = torch.tensor(state["q.base_layer.weight"]).to(dtype)
    change = torch.tensor(state["q.lora_B.default.weight"] @ state["q.lora_A.default.weight"])
    torch.save({"model.q.weight": weight}, tmp_path / "base.pt")
    others = {"merged": 1, "not merged": 0, "merged twice": 2, "scaled by 0.5": 0.5}
    for verdict, factor in others.items():
        torch.save({"model.q.weight": (weight.double() + factor * change).to(dtype)}, tmp_path / "merged.pt")
        found = wwopt.analyze_adapter(lora, base=tmp_path / "base.pt", merged=tmp_path / "merged.pt")
        assert found.table.loc["q", "merge"].startswith(verdict[:9])
        assert found.table.loc["q", "factor"] == pytest.approx(factor, abs=0.01)
        assert found.ok == (verdict == "merged")
        arguments = ["adapter", str(lora), "--base", str(tmp_path / "base.pt"), "--merged", str(tmp_path / "merged.pt")]
        assert run(arguments) == (0 if found.ok else 1)
    torch.save({"model.q.weight": torch.randn(OUT, IN)}, tmp_path / "merged.pt")
    assert wwopt.analyze_adapter(lora, base=tmp_path / "base.pt", merged=tmp_path / "merged.pt").findings == (
        "q: changed otherwise",
    )
    assert "A rank of 8 keeps 90% of the change; 8 was given." in capsys.readouterr().out


def test_rounding_takes_a_small_change(tmp_path):
    """A change far below the steps of bfloat16 is lost in a merge of that type, and kept in single precision."""
    lost = {}
    for size in (1e-3, 0.1):
        state = in_place(np.full(R, size))
        lora = folder(tmp_path / f"lora {size}", state)
        for dtype in (torch.bfloat16, torch.float16, torch.float32):
            base = {"q.weight": torch.tensor(state["q.base_layer.weight"]).to(dtype)}
            lost[size, dtype] = wwopt.analyze_adapter(lora, base=base).table.loc["q", "rounding"]
    assert lost[1e-3, torch.bfloat16] > 0.9
    assert lost[0.1, torch.bfloat16] > 4 * lost[0.1, torch.float16] > 0
    assert lost[0.1, torch.float32] == 0


def test_what_is_wrong_with_an_adapter():
    """One that learned nothing, one that is not finite, and a source without any."""
    state = in_place(np.ones(R))
    state["q.lora_B.default.weight"] = np.zeros((OUT, R))
    found = wwopt.analyze_adapter(state)
    assert found.findings == ("q: adds nothing: a factor is zero",)
    assert found.suggested_rank == 0
    state["q.lora_B.default.weight"] = np.full((OUT, R), np.nan)
    assert wwopt.analyze_adapter(state).findings == ("q: holds values that are not finite",)
    with pytest.raises(ValueError, match="holds no low-rank adapter"):
        wwopt.analyze_adapter({"q.weight": np.ones((60, 60))})


def layers(seed, mixed):
    """Three layers with a weight of their own, and changes along its directions or, as intruders, across them."""
    rng = np.random.default_rng(seed)
    base, lora = {}, {}
    for i in range(3):
        u, _, vt = np.linalg.svd(np.random.default_rng(i).normal(size=(OUT, IN)), full_matrices=False)
        base[f"{i}.weight"] = u * np.linspace(10, 1, IN) @ vt
        left = u @ rng.normal(size=(IN, 2)) if mixed else u[:, :2]
        lora[f"{i}.lora_A.weight"] = vt[:2]
        lora[f"{i}.lora_B.weight"] = 40 * left / np.linalg.norm(left, axis=0)
    return base, lora


def test_adapters_are_ranked_by_what_is_new_to_their_base(tmp_path, capsys):
    """Fewer intruders come first, what is broken last; without the base, sound adapters tie."""
    base, along = layers(0, mixed=False)
    _, across = layers(1, mixed=True)
    states = {
        "across": across,
        "along": along,
        "untrained": {n: 0 * W if "lora_B" in n else W for n, W in along.items()},
    }
    paths = {name: folder(tmp_path / name, state) for name, state in states.items()}
    ranking = wwopt.rank(paths, base=base)
    assert ranking.table.index.tolist() == ["along", "across", "untrained"]
    assert ranking.table["status"].tolist() == ["ranked", "ranked", "broken"]
    assert ranking.table["value"].tolist()[:2] == [0, 2]
    assert (ranking.metric, ranking.ties) == ("intruders", ())
    without = wwopt.rank({name: paths[name] for name in ("across", "along")})
    assert without.ties == ("along",)
    assert any("Give the model that they were trained on" in warning for warning in without.warnings)
    assert run(["rank", str(paths["across"]), str(paths["along"])]) == 0
    assert "Rank that keeps 90% of the change" in capsys.readouterr().out
    with_fault = wwopt.rank({"along": paths["along"], "gone": tmp_path / "gone"}, base=base)
    assert with_fault.table["status"].tolist() == ["ranked", "unreadable"]


def test_adapters_are_compared_by_what_they_add(tmp_path):
    """A copy that grew by a hundredth has changed; one of other directions is unrelated."""
    one = in_place(np.linspace(1, 2, R))
    near = one | {"q.lora_B.default.weight": 1.01 * one["q.lora_B.default.weight"]}
    far = in_place(np.ones(R), u=orthogonal(OUT, R))
    paths = [folder(tmp_path / name, state) for name, state in (("one", one), ("near", near), ("far", far))]
    comparison = wwopt.compare(paths[0], paths[1])
    assert comparison.ok
    assert comparison.table.loc["q", "distance"] == pytest.approx(0.01, rel=1e-3)
    assert [alert.fault for alert in wwopt.compare(paths[0], paths[2]).alerts] == ["unrelated"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # PEFT's own
@pytest.mark.parametrize("changes", [{}, {"use_dora": True}, {"use_rslora": True}], ids=["LoRA", "DoRA", "rsLoRA"])
def test_an_adapter_of_peft_and_its_merge(changes, tmp_path):
    """A model in memory, the folder that it saves, and the merge that PEFT makes of it."""
    peft = pytest.importorskip("peft")
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(64, 80), nn.ReLU(), nn.Linear(80, 64))
    base = {name: W.clone() for name, W in net.state_dict().items()}
    model = peft.get_peft_model(net, peft.LoraConfig(r=4, lora_alpha=16, target_modules=["0", "2"], **changes))
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            parameter.data += 0.1 * torch.randn_like(parameter)
    model.save_pretrained(tmp_path / "saved")
    live = wwopt.analyze_adapter(model)
    merged = model.merge_and_unload().state_dict()
    for layer in ("0", "2"):
        true = torch.linalg.matrix_norm(merged[f"{layer}.weight"] - base[f"{layer}.weight"])
        assert live.table.loc[layer, "norm"] == pytest.approx(float(true), rel=1e-4)
    if "use_dora" in changes:
        with pytest.raises(ValueError, match=r"holds no low-rank adapter .*adapted by DoRA"):
            wwopt.analyze_adapter(tmp_path / "saved")
    saved = wwopt.analyze_adapter(tmp_path / "saved", base=base, merged=merged)
    assert saved.ok
    assert saved.table["norm"].tolist() == pytest.approx(live.table["norm"].tolist(), rel=1e-5)
    assert saved.table["intruders"].tolist() == live.table["intruders"].tolist()
