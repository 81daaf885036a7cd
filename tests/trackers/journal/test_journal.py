"""The journal's file: full disks, and files that are no journal."""

import resource
import sqlite3
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from wwopt_trackers import LocalTracker
from wwopt_trackers.journal.journal import Journal


def test_a_full_disk(analysis, read, caplog):
    """What the disk refuses is kept in memory, warned of once, and written when there is room again."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with LocalTracker("log") as tracker:
        tracker.log(analysis, step=0)
        resource.setrlimit(resource.RLIMIT_FSIZE, (8_000, limits[1]))
        try:
            for step in range(1, 40):
                tracker.log(analysis, step=step)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    (journal,) = read()
    (run,) = journal.runs()
    assert [entry.step for entry in journal.entries(run.id)] == list(range(40))
    assert caplog.text.count("kept in memory until it can") == 1
    assert journal.missing_artifacts(run.id) == []
    assert not any(artifact.fault for artifact in journal.artifacts(run.id))


def test_a_journal_of_a_newer_version(tmp_path, read):
    """It is refused, and the error says what to do."""
    with LocalTracker("log") as tracker:
        tracker.child("a", params={}, tags={})
    (file,) = (tmp_path / "log").glob("*.db")
    connection = sqlite3.connect(file)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(ValueError, match=r"newer wwopt \(format 99\); upgrade"):
        Journal(file)


def test_a_file_that_is_no_journal(tmp_path):
    """Text, and a database of somebody else, are refused by name."""
    (tmp_path / "a.db").write_text("no database" * 100)
    sqlite3.connect(tmp_path / "b.db").close()
    for name in ("a.db", "b.db"):
        with pytest.raises(ValueError, match=name):
            Journal(tmp_path / name)
    with pytest.raises(FileNotFoundError, match=r"c\.db"):
        Journal(tmp_path / "c.db")


@pytest.fixture
def small_disk(tmp_path):
    """A disk of its own of two megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], capture_output=True, check=False)
    if done.returncode:
        pytest.skip("mounting is not permitted here")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


@pytest.mark.skipif(not Path("/proc/mounts").exists(), reason="mounts a tmpfs")
def test_a_disk_that_is_full(analysis, small_disk, caplog, read):
    """On a real full disk training goes on, one warning says so, and every number is there once there is room."""
    with LocalTracker(small_disk / "log") as tracker:
        tracker.log(analysis, step=0)
        filler = small_disk / "filler"
        with suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        for step in range(1, 30):
            tracker.log(analysis, step=step)
        assert caplog.text.count("kept in memory until it can") == 1
        filler.unlink()
    (journal,) = read(small_disk / "log")
    (run,) = journal.runs()
    assert [entry.step for entry in journal.entries(run.id)] == list(range(30))
    assert journal.missing_artifacts(run.id) == []
