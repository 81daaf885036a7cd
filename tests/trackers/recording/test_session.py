"""Sessions: one journal a process, wherever it can be written, and an end for what nobody ended."""

import logging
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from wwopt_trackers import LocalTracker

IN_A_PROCESS = """
import pickle, sys, wwopt
tracker = pickle.loads(bytes.fromhex(sys.argv[1]))
with tracker:
    tracker.child(sys.argv[3], params={}, tags={}).log(wwopt.Analysis.load(sys.argv[2]), step=0)
"""


@pytest.mark.slow
def test_each_process_has_its_own_journal(analysis, read):
    """A tracker that is at work travels to other processes, where it opens a journal of its own."""
    analysis.save("analysis.npz")
    with LocalTracker("log") as tracker:
        tracker.log(analysis, step=0)
        code = pickle.dumps(tracker).hex()
        commands = [[sys.executable, "-c", IN_A_PROCESS, code, "analysis.npz", str(number)] for number in range(2)]
        assert [worker.wait() for worker in [subprocess.Popen(command) for command in commands]] == [0, 0]
    journals = read()
    assert len(journals) == 3
    assert sorted(run.name for journal in journals for run in journal.runs()) == ["0", "1", *["study"] * 3]


def test_a_folder_that_cannot_be_written_to(analysis, tmp_path, caplog, read):
    """One warning says where the journal went instead, and nothing is lost."""
    (tmp_path / "log").write_text("a file is in the way")
    with LocalTracker("log") as tracker:
        tracker.log(analysis, step=0)
    (message,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    spare = message.split("it goes to ")[1].rstrip(".")
    (journal,) = read(Path(spare))
    assert len(journal.entries(journal.runs()[0].id)) == 1


AT_EXIT = """
import sys, wwopt
from wwopt_trackers import LocalTracker
LocalTracker("log").log(wwopt.Analysis.load("analysis.npz"), step=0)
if sys.argv[1:]: raise RuntimeError("diverged")
"""


@pytest.mark.parametrize(
    ("arguments", "ended"), [([], ("complete", "")), (["x"], ("failed", "RuntimeError('diverged')"))]
)
def test_a_tracker_that_nobody_finished(analysis, read, arguments, ended):
    """The end of the program ends its run, with the program's own state, and the spectra are written."""
    analysis.save("analysis.npz")
    subprocess.run([sys.executable, "-c", AT_EXIT, *arguments], capture_output=True, check=False)
    (journal,) = read()
    (run,) = journal.runs()
    assert (run.state, run.reason) == ended
    assert journal.missing_artifacts(run.id) == []
