"""The report as text: what it says, what it must not let in, and what it weighs."""

import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

import wwopt
from wwopt.cli import run
from wwopt.reporting import render_report, write_report
from wwopt.reporting.verdict import judge

HOSTILE = [
    "</script><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "a\u202eb\x00c\ud800d\u2028",
    "{{ 7 * 7 }}<!--",
    "x" * 10_000,
    "javascript:alert(1)",
]


class Page(HTMLParser):
    """Elements with their attributes, and the text of those that matter."""

    def __init__(self, html):
        super().__init__()
        self.elements, self.text, self.raw = [], [], {"script": [], "style": []}
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_data(self, data):
        (self.raw[self.cdata_elem] if self.cdata_elem else self.text).append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def fat_tailed(rng):
    """A matrix whose spectrum's tail has the exponent 3."""
    u, _, vt = np.linalg.svd(rng.normal(size=(300, 260)), full_matrices=False)
    return (u * (1 - np.arange(260) / 261) ** (-1 / 4)) @ vt


@pytest.fixture(scope="module")
def analysis():
    """A sound layer, one with stray elements and one that is not finite."""
    rng = np.random.default_rng(0)
    stray = rng.normal(size=(64, 64))
    stray[[1, 9], [4, 7]] = 50
    dead = np.full((64, 64), np.nan)
    return wwopt.analyze({"a.weight": fat_tailed(rng), "b.weight": stray, "c.weight": dead, "d.weight": np.eye(3)})


def many(analysis, count, names="model.layers.{}.self_attn.q_proj"):
    """An analysis of many layers, all as the first one."""
    rows = pd.concat([analysis.details.iloc[:1]] * count, ignore_index=True)
    rows["name"] = [names.format(i) for i in range(count)]
    return replace(analysis, details=rows, spectra=dict.fromkeys(rows["name"], analysis.spectra["a"]))


def test_the_page_says_what_is_known(analysis):
    """Verdict, score with its terms, each layer with its numbers, advice and what was left out are on the page."""
    page = Page(render_report({"net": analysis}))
    text = " ".join(" ".join(page.text).split())
    score = wwopt.default_score(analysis)
    assert "Broken. 1 layer holds values that are not finite and 1 layer has 55% of its energy in stray" in text
    assert "2 of 3 layers lie between 2 and 6" in text
    assert f"{type(score).__name__} {score(analysis):.2f}" in text
    assert all(term in text for term in score.explain(analysis)["terms"])
    assert "The training diverged or the file is damaged." in text
    assert "1 weight left out" in text
    rows = [attributes for attributes in page.all("tr") if "data-l" in attributes]
    assert [row["data-k"] for row in rows] == ["", "broken diverged noise trapped", "broken non-finite"]


def test_spectra_are_in_the_page(analysis):
    """Each layer's binned spectrum, fit and edge, and every number of its row, are there; none for the broken."""
    data = data_of(render_report(analysis))
    first, _, dead = data["networks"][0]["spectra"]
    row = analysis.details.iloc[0]
    assert first["fit"][0] == pytest.approx([np.log10(row["xmin"]), np.log10(row["xmax"])], abs=1e-2)
    assert min(first["x"]) < first["edge"] < max(first["x"])
    assert dead is None
    numbers = dict(zip(data["columns"], data["networks"][0]["rows"][0], strict=True))
    assert numbers["alpha"] == pytest.approx(row["alpha"], rel=1e-3)


@pytest.mark.parametrize("estimator", ["mle", "hill", "peak", "tpl"])
def test_every_estimator_is_drawn(estimator):
    """Whatever alpha is, also below one, its power law is finite, falls, and the data are JSON that browsers read."""
    rng = np.random.default_rng(0)
    weights = {"fat": fat_tailed(rng), "noise": rng.normal(size=(200, 150)), "small": rng.normal(size=(60, 60))}
    analysis = wwopt.analyze(weights, estimator=estimator, confidence=0.9, alignment=True)
    fits = [shape["fit"] for shape in data_of(render_report(analysis))["networks"][0]["spectra"]]
    assert all(np.isfinite(y).all() and y[0] > y[-1] for _, y in fits)


def data_of(html):
    """What the page's script draws from."""
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.DOTALL)[1]
    return json.loads(data, parse_constant=pytest.fail)  # NaN is none of JSON's


def test_nothing_is_asked_of_anybody(analysis):
    """No element names another address, and the policy forbids every request."""
    page = Page(render_report({"a": analysis, "b": analysis}))
    for tag, attributes in page.elements:
        assert not attributes.keys() & {"src", "srcset", "action", "data", "style"}, tag
        assert not any(name.startswith("on") for name in attributes), tag
        assert attributes.get("href", "#").startswith("#")
    assert not re.search(
        r"https?://(?!www\.w3\.org/2000/svg)|url\(|@import", "".join(page.raw["script"] + page.raw["style"])
    )
    (policy,) = [a["content"] for a in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")
    for kind, text in (("style-src", page.raw["style"][0]), ("script-src", page.raw["script"][-1])):
        assert f"{kind} 'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" in policy


def test_names_are_text(analysis, tmp_path):
    """A hostile name of a layer, a network or a fault is shown, not obeyed, and can be written."""
    names = [name.replace("\ud800", "") for name in HOSTILE]  # which no table can hold
    rows = pd.concat([analysis.details.iloc[:1]] * len(names), ignore_index=True).assign(name=names)
    skipped = pd.DataFrame({"name": names, "reason": names})
    hostile = replace(analysis, details=rows, skipped=skipped, spectra=dict.fromkeys(names, analysis.spectra["a"]))
    html = render_report(dict.fromkeys(HOSTILE[:3], hostile), unreadable={HOSTILE[0]: HOSTILE[1]})
    page = Page(html)
    assert len(page.all("script")) == 2
    assert not page.all("img")
    assert "\u202e" not in html
    assert "\x00" not in html
    assert r"a\u202eb\x00c\ud800d\u2028" in "".join(page.text)
    assert max(map(len, page.text)) < 1000
    write_report({HOSTILE[2]: hostile}, tmp_path / "page.html")
    assert len(data_of(html)["networks"]) == 3


def test_five_hundred_layers_are_a_small_page(analysis):
    """Spectra are thinned out for display: the page stays below a megabyte."""
    assert len(render_report(many(analysis, 500)).encode()) < 1_000_000


def test_networks_stand_side_by_side(analysis):
    """The networks are ranked, by what the ranking says and with its reason and warnings."""
    first, second = many(analysis, 3), many(analysis, 3)
    worse = replace(second, details=second.details.assign(stable_rank=3.0, invariant_stable_rank=3.0))
    text = " ".join(Page(render_report({"worse": worse, "better": first})).text)
    assert "By score, since the networks have the same shapes: better comes first." in text
    text = " ".join(Page(render_report({"first": first, "other": analysis})).text)
    assert "Broken, and ranked behind all others: other." in text
    empty = wwopt.analyze({"w": np.eye(3)})
    assert "first" in " ".join(Page(render_report({"first": first, "empty": empty})).text)


@pytest.mark.parametrize(
    ("change", "tone", "text"),
    [
        ({}, "sound", "No layer stands out"),
        ({"warning": "under-trained", "alpha": 8.0}, "warning", "1 layer is under-trained"),
        ({"trap_energy": 0.05}, "warning", "1 layer has 5.0% of its energy in stray elements"),
        ({"trap_energy": 0.5}, "broken", "1 layer has 50% of its energy in stray elements"),
        ({"stable_rank": 1.2}, "broken", "1 layer has a stable rank of 1.20"),
        ({"status": "degenerate", "alpha": np.nan}, "broken", "1 layer is of rank one"),
        ({"status": "failed", "alpha": np.nan}, "warning", "None of 1 layer has an alpha"),
    ],
)
def test_the_verdict_follows_the_layers(analysis, change, tone, text):
    """A sentence says what is wrong with how many layers, or that nothing stands out."""
    one = many(analysis, 1)
    verdict = judge(replace(one, details=one.details.assign(**change)))
    assert verdict.tone == tone
    assert text in f"{verdict.headline}. {verdict.sentence}"


def test_a_network_without_layers_is_no_error():
    """There is nothing to judge, and the page says why."""
    empty = wwopt.analyze({"w": np.eye(3)})
    text = " ".join(Page(render_report(empty)).text)
    assert "Nothing to judge" in text
    assert "3 eigenvalues, fewer than min_evals=50" in text
    with pytest.raises(ValueError, match="`analyses` must hold at least one network"):
        render_report({})


def test_a_folder_and_a_table_are_read(analysis, tmp_path, capsys):
    """The epochs of a run stand side by side, also a table of WeightWatcher's, which has no spectra."""
    (tmp_path / "run").mkdir()
    analysis.save(tmp_path / "run" / "epoch-2.npz")
    analysis.details.rename(columns={"name": "longname"}).to_csv(tmp_path / "run" / "epoch-10.csv")
    run(["report", str(tmp_path / "run"), "--out", str(tmp_path / "run.html")])
    assert capsys.readouterr().out.endswith(": run/epoch-2.npz, run/epoch-10.csv\n")
    data = data_of((tmp_path / "run.html").read_text())
    assert [network["spectra"][0] is None for network in data["networks"]] == [False, True]


def test_the_command_writes_the_page(analysis, tmp_path, capsys, monkeypatch):
    """Saved analyses and weights are read; what cannot be is said, on the page too, and the rest is kept."""
    monkeypatch.chdir(tmp_path)
    analysis.save("net.npz")
    np.savez("weights.npz", **{"fc.weight": np.random.default_rng(0).normal(size=(80, 60))})
    assert run(["report", "weights.npz", "--quiet"]) == 0
    assert run(["report", "net.npz"]) == 1
    assert capsys.readouterr().out == "report.html: net.npz\n"
    assert run(["report", "net.npz", "weights.npz", "gone.pt", "--out", "three.html"]) == 2
    assert capsys.readouterr().err == "wwopt: gone.pt: no such file or folder\n"
    page = " ".join(Page((tmp_path / "three.html").read_text()).text)
    assert "no such file or folder" in page
    assert run(["analyze", "net.npz", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["details"][0]["name"] == "a"
    assert run(["report", "gone.pt", "--out", "none.html"]) == 2
    assert not (tmp_path / "none.html").exists()
