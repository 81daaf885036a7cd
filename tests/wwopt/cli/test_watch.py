"""`wwopt watch`: real checkpoints that appear, a real registry, a real server that listens."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import torch

from wwopt.cli import run
from wwopt.watching import FolderSource, Watch, follow


@pytest.fixture
def epochs(tmp_path, monkeypatch):
    """A network's good epochs and a broken one, to be saved one after the other."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").mkdir()
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(80, 64), torch.nn.Linear(64, 70))
    state = model.state_dict()
    good = [{name: W * (1 + 0.01 * epoch) + 0.01 * epoch * W.flip(0) for name, W in state.items()} for epoch in (0, 1)]
    return {"good": good[0], "next": good[1], "broken": {**state, "1.weight": 10 * state["1.weight"]}}


class Hook(BaseHTTPRequestHandler):
    """Keeps what is posted, and answers as it is told."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.posted.append(json.loads(body))
        self.send_response(self.server.answer)
        self.end_headers()

    def log_message(self, *_):
        """Be quiet."""


@pytest.fixture
def hook():
    """A server on loopback."""
    server = HTTPServer(("127.0.0.1", 0), Hook)
    server.posted, server.answer = [], 204
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


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
    assert [list(watch.look()), [one.ok for one in watch.look()]] == [[], [True]]
    for size in (1000, 2000):
        path.write_bytes(whole[:size])
        assert list(watch.look()) == []
        assert watch.unsettled == ("b.pt",)
    (torn,) = watch.look()
    assert torn.fault
    assert not torn.ok
    assert list(watch.look()) == []
    path.write_bytes(whole)
    assert list(watch.look()) == []
    (report,) = watch.look()
    assert (report.version.name, report.reference, report.ok) == ("b.pt", "a.pt", True)


def test_a_checkpoint_that_is_not_finite_is_no_reference(epochs, tmp_path):
    """The first has nothing before it, and is looked at all the same."""
    epochs["good"]["0.weight"][0, 0] = torch.nan
    torch.save(epochs["good"], tmp_path / "run" / "a.pt")
    (report,) = follow(Watch(FolderSource(tmp_path / "run")), once=True, sleep=lambda _: None)
    assert [alert.fault for alert in report.comparison.alerts] == ["non-finite"]


def test_once_for_cron(epochs, hook, capsys):
    """Exit status by the newest, a line or JSON, and the same at the webhook; a webhook that fails is a warning."""
    address = f"http://127.0.0.1:{hook.server_port}/secret"
    once = ["watch", "run", "--once", "--interval", "0.01", "--webhook", address]
    torch.save(epochs["good"], "run/a.pt")
    torch.save(epochs["next"], "run/b.pt")
    assert run(once) == 0
    assert "b.pt: ok, 2 of 2 layers changed, compared with a.pt" in capsys.readouterr().out
    torch.save(epochs["broken"], "run/c.pt")
    assert run([*once, "--json"]) == 1
    printed = json.loads(capsys.readouterr().out)
    assert [posted["ok"] for posted in hook.posted] == [True, False]
    assert hook.posted[1] == printed
    assert (printed["version"], printed["reference"], printed["alerts"][0]["name"]) == ("c.pt", "b.pt", "1")
    hook.answer = 500
    assert run([*once, "--reference", "run/c.pt"]) == 0
    said = capsys.readouterr().err
    assert said.startswith("wwopt: the webhook at 127.0.0.1 answers 500")
    assert "secret" not in said


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["gone"], "No such folder: gone"),
        (["run"], "run holds no version to judge"),
        (["model"], "model is one model. Give the folder in which new models appear: ."),
        (["run", "--reference", "gone.pt"], "No such file: gone.pt"),
        (["run", "--interval", "0"], "`interval` must be more than 0 seconds, got 0.0."),
        (["run", "--webhook", "ftp://host/"], "`webhook` must be an address that begins with http:// or https://."),
        (["run", "--tag"], "`--tag` writes on MLflow's versions, and needs models:/NAME@ALIAS, got 'run'."),
        (["models:/net/1"], "A registered model is followed by its alias, `models:/NAME@ALIAS`, got 'models:/net/1'."),
    ],
)
def test_bad_input(arguments, line, epochs, tmp_path, capsys):
    """One line, exit status 2."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    assert run(["watch", "--once", *(["--interval", "0.01"] if "--interval" not in arguments else []), *arguments]) == 2
    assert capsys.readouterr().err == f"wwopt: {line}\n"


@pytest.mark.filterwarnings("ignore")  # MLflow's own
def test_an_alias_that_moves(epochs, tmp_path, capsys):
    """The version it points to is compared with the one before and tagged; one that was found broken is passed over."""
    mlflow = pytest.importorskip("mlflow")
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    client = mlflow.MlflowClient(tracking_uri=uri)
    client.create_registered_model("net")
    capsys.readouterr()  # MLflow on its database
    watch = ["watch", "models:/net@champion", "--once", "--interval", "0.01", "--tag", "--uri", uri]
    assert run(watch) == 2
    error = capsys.readouterr().err
    assert error.startswith("wwopt: models:/net@champion cannot be reached: ")
    assert len(error.splitlines()) == 1
    statuses = []
    for number, epoch in enumerate(("good", "broken", "next"), start=1):
        folder = tmp_path / f"model-{number}"
        folder.mkdir()
        torch.save(epochs[epoch], folder / "state_dict.pth")
        client.create_model_version("net", str(folder))
        client.set_registered_model_alias("net", "champion", str(number))
        statuses.append(run(watch))
    assert statuses == [0, 1, 0]
    tags = [client.get_model_version("net", str(number)).tags for number in (1, 2, 3)]
    assert [(tag["wwopt.ok"], tag["wwopt.reference"]) for tag in tags] == [("true", ""), ("false", "1"), ("true", "1")]
    assert tags[1]["wwopt.alerts"].startswith("1: scaled by")
