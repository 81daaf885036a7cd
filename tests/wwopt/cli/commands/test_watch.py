"""`wwopt watch`: exit statuses, JSON, a webhook on a real server, an alias of a real registry."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import torch

from wwopt.cli import run


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
        (["gone"], "No such file: gone"),
        (["file.pt"], "file.pt is no folder. Give the folder in which new models appear: ."),
        (["run"], "run holds no version to compare"),
        (["model"], "model is one model. Give the folder in which new models appear: ."),
        (["run", "--reference", "gone.pt"], "No such file: gone.pt"),
        (["run", "--interval", "0"], "`interval` must be more than 0 seconds, got 0.0."),
        (["run", "--webhook", "ftp://host/"], "`webhook` must be an address that begins with http:// or https://."),
        (["run", "--tag"], "`--tag` tags versions of MLflow's registry and needs models:/NAME@ALIAS, got 'run'."),
        (["models:/net/1"], "A registered model is followed by its alias, `models:/NAME@ALIAS`, got 'models:/net/1'."),
    ],
)
def test_bad_input(arguments, line, epochs, tmp_path, capsys):
    """One line, exit status 2."""
    (tmp_path / "file.pt").touch()
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
