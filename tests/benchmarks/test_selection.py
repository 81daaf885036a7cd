"""The evidence on scores: resuming the training, the measures, and the page."""

import json
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import load_file
from scipy.stats import kendalltau

import wwopt
from benchmarks.selection import evaluate, measures, prune, scores
from benchmarks.selection.measures import measure, taus
from benchmarks.selection.networks import load_networks, qualities
from benchmarks.selection.settings import draw
from benchmarks.selection.store import EVALUATIONS
from benchmarks.selection.tasks import TASKS
from benchmarks.selection.train import missing, train_network

pytestmark = pytest.mark.slow
TINY = [
    replace(TASKS["digits-mlp"], epochs=(1, 1), widths=(64, 64), depths=(1, 2), batches=(128,)),
    replace(TASKS["photos-holes"], epochs=(1, 1), widths=(64, 64), depths=(1, 2), batches=(128,)),
]
COUNT = 2


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("selection")
    for task in TINY:
        for index in range(COUNT):
            train_network(task, index, place)
    return place


def test_tasks_kept_from_tuning_share_no_data_with_the_others():
    data = {half: {name.split("-")[0] for name, task in TASKS.items() if task.tuning == half} for half in (True, False)}
    assert data == {True: {"digits", "snippets"}, False: {"photos", "library", "tokens"}}
    assert [task.tuning for task in TASKS.values()].count(False) == 8


def test_settings_are_drawn_again_the_same():
    task = TASKS["digits-mlp"]
    assert draw(task, 3) == draw(task, 3) != draw(task, 4)


def test_what_is_finished_is_not_trained_again(folder):
    assert [missing(task, COUNT + 1, folder) for task in TINY] == [[COUNT], [COUNT]]
    assert missing(replace(TINY[0], version=99), COUNT, folder) == [0, 1]


def test_a_network_comes_out_the_same_when_it_is_trained_again(folder, tmp_path):
    train_network(TINY[0], 1, tmp_path)
    name = f"{TINY[0].name}/001.safetensors"
    first, again = load_file(folder / name), load_file(tmp_path / name)
    assert all(np.array_equal(first[key], again[key]) for key in first)


def test_a_torn_record_counts_as_not_finished(folder, tmp_path):
    record = f"{TINY[0].name}/000.json"
    (tmp_path / TINY[0].name).mkdir()
    (tmp_path / record).write_text((folder / record).read_text()[:100])
    assert missing(TINY[0], 1, tmp_path) == [0]


def test_the_last_evaluation_is_of_the_final_weights(folder):
    networks = load_networks(TINY, folder, {})[TINY[0].name]
    assert [len(network.record[EVALUATIONS]) for network in networks] == [8] * COUNT
    for network in networks:
        assert wwopt.analyze(network.model(7)).details.equals(network.analysis.details)
        assert not wwopt.analyze(network.model(0)).details.equals(network.analysis.details)


def test_qualities_are_tied_at_chance(folder):
    way, collapsed = qualities(load_networks(TINY, folder, {})[TINY[0].name])
    assert way.max() == 1
    assert (way[collapsed] == 0).all()


def test_tau_is_scipys():
    rng = np.random.default_rng(0)
    values, quality = rng.integers(0, 9, 40).astype(float), rng.integers(0, 5, 40) / 4
    assert taus(values, quality, np.ones((1, 40)))[0] == pytest.approx(kendalltau(-values, quality).statistic)
    times = rng.multinomial(40, np.full(40, 1 / 40)).astype(float)
    rows = np.repeat(np.arange(40), times.astype(int))
    expected = kendalltau(-values[rows], quality[rows]).statistic
    assert taus(values, quality, times[None])[0] == pytest.approx(expected)


def test_the_perfect_choice_has_no_regret_and_a_tie_takes_the_worst():
    quality = np.linspace(0, 1, 30)
    collapsed = quality == 0
    perfect = measure(-quality, quality, collapsed)
    assert (perfect["tau"], perfect["top1"], perfect["subset_regret"]) == (1, 0, 0)
    tied = measure(np.zeros(30), quality, collapsed)
    assert (tied["tau"], tied["top1"], tied["collapsed_wins"]) == (0, 100, 1)
    assert measure(np.where(quality == 1, np.nan, -quality), quality, collapsed)["top1"] > 0


def test_the_page_is_written(folder, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(prune, "SEARCHES", 2)
    monkeypatch.setattr(measures, "RESAMPLES", 100)
    monkeypatch.setattr(scores, "DRAWS", 5)
    names = [task.name for task in TINY]
    prune.main(["--folder", str(folder), "--tasks", *names])
    evaluate.main(["--folder", str(folder), "--tasks", *names, "--docs", str(tmp_path), "--score", "wwopt:AlphaScore"])
    page = (tmp_path / "evidence.md").read_text()
    assert "The reporting half" in page
    assert "AlphaPruner" in page
    names = {path.name for path in (tmp_path / "pictures").iterdir()}
    assert names == {"evidence-regret.png", "evidence-scatter-1.png", "evidence-scatter-2.png"}
    rows = json.loads((folder / "evaluation.json").read_text())["judges"]
    assert rows[0]["name"] == "wwopt:AlphaScore"
    assert "| AlphaScore() |" in capsys.readouterr().out


def test_no_networks_is_said(tmp_path, capsys):
    with pytest.raises(SystemExit):
        evaluate.main(["--folder", str(tmp_path)])
    assert "benchmarks.selection.train first" in capsys.readouterr().err
