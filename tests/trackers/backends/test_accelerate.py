"""Trackers of accelerate: TensorBoard's files read back, and a tracker of one's own."""

import sys
from pathlib import Path

import pytest
from accelerate.tracking import GeneralTracker
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.support.waiting import DEADLINE
from wwopt import Tracker
from wwopt.cli import run
from wwopt_trackers import from_accelerate, verify

OWN = '''
import json
from accelerate.tracking import GeneralTracker

class Lines(GeneralTracker):
    """Writes lines; fails at its first attempt."""
    name, requires_logging_directory, tracker = "lines", True, None

    def __init__(self, run_name, logging_dir):
        super().__init__()
        self.path = f"{logging_dir}/{run_name.replace('/', '-')}.jsonl"

    def store_init_configuration(self, values):
        self.write({"params": values})

    def log(self, values, step=None):
        if step == 1 and "again" not in self.path:
            raise OSError("the line is dead")
        self.write({"step": step, **values})

    def finish(self):
        self.write({"finished": True})

    def write(self, line):
        with open(self.path, "a") as file:
            file.write(json.dumps(line) + "\\n")
'''


@pytest.mark.slow
def test_tensorboard(analysis, tmp_path, capsys):
    """Each trial has a folder of its own with its numbers at their steps, its parameters and its state."""
    with from_accelerate("tensorboard", logging_dir="runs") as tracker:
        assert isinstance(tracker, Tracker)
        for number, state in enumerate(["complete", "pruned"]):
            trial = tracker.child(f"trial-{number}", params={"lr": 0.1, "sizes": [1, 2]}, tags={"study": "digits"})
            for step in (0, 5):
                trial.log(analysis, step=step, metrics={"loss": number + step})
            trial.finish(state, reason="" if state == "complete" else "it was pruned")
        tracker.finish("complete", timeout=DEADLINE)
    for number, state in enumerate(["complete", "pruned"]):
        found = EventAccumulator(str(tmp_path / "runs" / "digits" / f"trial-{number}")).Reload()
        assert [(event.step, event.value) for event in found.Scalars("loss")] == [(0, number), (5, number + 5)]
        assert found.Scalars("ww/alpha")[0].value == pytest.approx(analysis.summary["alpha"])
        (text,) = found.Tensors("ww/state/text_summary")
        assert text.tensor_proto.string_val[0].decode() == state
    assert not any(each.ok or each.missing for each in verify() if each.points)
    assert run(["verify"]) == 1
    assert "cannot be read back" in capsys.readouterr().out


@pytest.mark.slow
def test_a_tracker_of_ones_own_that_fails(analysis, tmp_path, monkeypatch, caplog):
    """The failure is warned of, and the run is logged again from its start under a new name."""
    (tmp_path / "own_tracker.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))
    from own_tracker import Lines

    tracker = from_accelerate(Lines, logging_dir=tmp_path)
    trial = tracker.child("trial-0", params={"lr": 0.1}, tags={"study": "digits"})
    for step in range(3):
        trial.log(analysis, step=step)
    trial.finish("complete")
    tracker.finish("complete", timeout=DEADLINE)
    assert "the line is dead" in caplog.text
    lines = (tmp_path / "digits-trial-0-again-1.jsonl").read_text().splitlines()
    assert len(lines) == 1 + 3 + 1 + 1
    del sys.modules["own_tracker"]


@pytest.mark.parametrize(
    ("tracker", "options", "error", "message"),
    [
        ("neptune", {}, ValueError, "`tracker` must be among aim, .*, got 'neptune'"),
        (Path, {}, TypeError, "subclass of GeneralTracker"),
        (type("__main__.Mine", (GeneralTracker,), {}), {}, ValueError, "a module that can be imported"),
        ("tensorboard", {"writer": object()}, TypeError, "`writer` must be a plain value"),
    ],
)
def test_bad_arguments(tracker, options, error, message):
    """Each error says what may be given instead."""
    with pytest.raises(error, match=message):
        from_accelerate(tracker, **options)
