"""`Watch` and `follow`: checkpoints that appear, grow and break in a folder."""

import pytest
import torch

from wwopt.watching import FolderSource, Watch, follow


@pytest.fixture
def epochs(tmp_path, monkeypatch):
    """State dicts of two good epochs and of a broken one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").mkdir()
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(80, 64), torch.nn.Linear(64, 70))
    state = model.state_dict()
    good = [{name: W * (1 + 0.01 * epoch) + 0.01 * epoch * W.flip(0) for name, W in state.items()} for epoch in (0, 1)]
    return {"good": good[0], "next": good[1], "broken": {**state, "1.weight": 10 * state["1.weight"]}}


def test_each_new_checkpoint_is_judged_by_the_last_sound_one(epochs, tmp_path):
    """The epochs that were there are known; a broken one is named, and is nothing to compare the next with."""
    folder = tmp_path / "run"
    torch.save(epochs["good"], folder / "epoch-9.pt")
    arrivals = iter(
        [None, ("epoch-10.pt", "next"), None, ("epoch-11.pt", "broken"), None, ("epoch-12.pt", "good"), None]
    )

    def sleep(_):
        arrival = next(arrivals, "end")
        if arrival == "end":
            raise KeyboardInterrupt
        if arrival:
            torch.save(epochs[arrival[1]], folder / arrival[0])

    reports = []
    with pytest.raises(KeyboardInterrupt):
        reports.extend(iter_until(follow(Watch(FolderSource(folder)), sleep=sleep), reports))
    assert [(one.version.name, one.reference, one.ok) for one in reports] == [
        ("epoch-9.pt", "", True),
        ("epoch-10.pt", "epoch-9.pt", True),
        ("epoch-11.pt", "epoch-10.pt", False),
        ("epoch-12.pt", "epoch-10.pt", True),
    ]
    assert str(reports[2]).startswith(
        "epoch-11.pt: ALERT, 1 of 2 layers broken, compared with epoch-10.pt: 1: scaled by"
    )


def iter_until(reports, kept):
    """Keep each report as it comes, for the watch has no end."""
    for report in reports:
        kept.append(report)
    return ()


def test_a_checkpoint_is_not_read_while_it_is_written(epochs, tmp_path):
    """Growing: silence. Torn: said once, and tried again until it is whole."""
    folder, path = tmp_path / "run", tmp_path / "run" / "b.pt"
    torch.save(epochs["good"], folder / "a.pt")
    torch.save(epochs["next"], tmp_path / "whole.pt")
    whole = (tmp_path / "whole.pt").read_bytes()
    watch = Watch(FolderSource(folder))
    assert [list(watch.poll()), [one.ok for one in watch.poll()]] == [[], [True]]
    for size in (1000, 2000):
        path.write_bytes(whole[:size])
        assert list(watch.poll()) == []
        assert watch.unsettled == ("b.pt",)
    (torn,) = watch.poll()
    assert torn.fault
    assert not torn.ok
    assert list(watch.poll()) == []
    path.write_bytes(whole)
    assert list(watch.poll()) == []
    (report,) = watch.poll()
    assert (report.version.name, report.reference, report.ok) == ("b.pt", "a.pt", True)


def test_a_checkpoint_that_is_not_finite_is_no_reference(epochs, tmp_path):
    """The first has nothing before it, and is checked all the same."""
    epochs["good"]["0.weight"][0, 0] = torch.nan
    torch.save(epochs["good"], tmp_path / "run" / "a.pt")
    (report,) = follow(Watch(FolderSource(tmp_path / "run")), once=True, sleep=lambda _: None)
    assert [alert.fault for alert in report.comparison.alerts] == ["non-finite"]
