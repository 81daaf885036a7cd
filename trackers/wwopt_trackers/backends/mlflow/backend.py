"""An MLflow experiment as a backend, through `MlflowClient` with explicit ids alone."""

from __future__ import annotations

import hashlib
import io
import math
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stdout, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from wwopt.tracking import step_folder
from wwopt_trackers.backends.keys import MLFLOW
from wwopt_trackers.journal.choice_tags import BEST, CHOSEN, REASON, choice_in, is_newer, without_choice
from wwopt_trackers.journal.journal import now
from wwopt_trackers.journal.locks import locked
from wwopt_trackers.journal.records import STUDY

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from wwopt_trackers.backends.protocol import Point
    from wwopt_trackers.journal.records import Delivery, Entry, Run

__all__ = ["MLflowBackend", "MLflowRun", "check_server", "stored"]

RUN, ROLE = "wwopt.run", "wwopt.role"  # tags: the journal's id of a run; "study" or "trial"
KIND = {"mlflow.experimentKind": "custom_model_development"}  # else the page opens on what language models need
STATUS = {"complete": "FINISHED", "pruned": "KILLED", "failed": "FAILED"}
METRICS_PER_CALL, PARAMS_PER_CALL = 1000, 100
LONGEST_PARAM, LONGEST_TAG = 6000, 8000
NOTE, OWN_NOTES = "mlflow.note.content", ("Best trial: ", "Chosen trial: ")
ANSWER_TIMEOUT = 5.0  # seconds in which a server must answer


class MLflowBackend:
    """An experiment of an MLflow store.

    Parameters
    ----------
    about : mapping
        What the journal says of its tracker.
    """

    def __init__(self, about: Mapping[str, Any]) -> None:
        from mlflow import MlflowClient  # noqa: PLC0415  (takes seconds)

        self._about, self._uri = about, str(about["uri"])
        self._client = MlflowClient(self._uri)
        self._experiment: str | None = None
        digest = hashlib.sha256(f"{self._uri} {about['experiment']}".encode()).hexdigest()[:16]
        self._lock = Path(tempfile.gettempdir(), f"wwopt-{digest}.lock")

    def check(self) -> None:
        """Raise `ConnectionError` when a server does not answer; a store in a file always does."""
        check_server(self._uri)

    def open(self, run: Run, parent: str | None, delivery: Delivery | None) -> MLflowRun:
        """Create a run, or find the one that is its own; one process at a time, since MLflow makes two of a name."""
        if delivery and delivery.remote:
            name = delivery.remote
        else:
            with locked(self._lock, timeout=60):
                name = self._find_or_create(run, parent, again=delivery is not None)
            self._log_params(name, run)
        keyed = urlsplit(self._uri).scheme not in ("", "file")  # a store in a folder doubles what it is sent twice
        joined = name == self._about["joined"]
        return MLflowRun(self._client, name, self._experiment_id(), self._lock, joined=joined, models=keyed)

    def points(self, remote: str, names: Sequence[str]) -> Iterator[Point]:
        """Read back what MLflow has of a run under these names."""
        for name in names:
            for point in self._client.get_metric_history(remote, MLFLOW.encode(name)):
                yield name, point.step, point.timestamp, stored(point.value)

    def reset(self) -> None:
        """Do nothing: a client holds nothing that could break."""

    def _find_or_create(self, run: Run, parent: str | None, *, again: bool) -> str:
        if self._about["joined"] and run.parent is None:
            return str(self._about["joined"])
        study = run.tags.get(STUDY) if run.parent is None else None
        found = self._search(f"tags.`{ROLE}` = 'study'", {STUDY: study}) if study else None
        found = found or (self._search(f"tags.`{RUN}` = '{run.id}'", {}) if again else None)
        if found:
            self._client.update_run(found, status="RUNNING")
            return found
        tags = {RUN: run.id, ROLE: "trial" if parent else "study"} | ({"mlflow.parentRunId": parent} if parent else {})
        tags |= {f"mlflow.{key}": value for key, value in self._about["provenance"].items()}
        tags |= {MLFLOW.encode(key): str(value)[:LONGEST_TAG] for key, value in without_choice(run.tags).items()}
        name = run.name if parent else self._study_name(run.name)
        return str(self._client.create_run(self._experiment_id(), run.start, tags, name).info.run_id)

    def _study_name(self, name: str) -> str:
        """Name of a study's run; MLflow's storage for Optuna takes the last run of a study's name for the study."""
        stored = self._search("tags.`optuna.study_direction` != ''", {"mlflow.runName": name})
        return f"{name} (wwopt)" if stored else name

    def _log_params(self, name: str, run: Run) -> None:
        """Log parameters; MLflow takes the same again."""
        from mlflow.entities import Param  # noqa: PLC0415

        params = [Param(MLFLOW.encode(key), str(value)[:LONGEST_PARAM]) for key, value in run.params.items()]
        for start in range(0, len(params), PARAMS_PER_CALL):
            self._client.log_batch(name, params=params[start : start + PARAMS_PER_CALL])

    def _search(self, query: str, tags: Mapping[str, str]) -> str | None:
        """The oldest run that a query finds and that has these tags, which a query could not quote in every case."""
        token = None
        while True:
            page = self._client.search_runs([self._experiment_id()], query, order_by=["start_time"], page_token=token)
            for run in page:
                if tags.items() <= run.data.tags.items():
                    return str(run.info.run_id)
            if not (token := page.token):
                return None

    def _experiment_id(self) -> str:
        if self._experiment is None:
            from mlflow.exceptions import MlflowException  # noqa: PLC0415

            name = self._about["experiment"]
            found = self._client.get_experiment_by_name(name)
            if found is None:
                with suppress(MlflowException):  # another process may be faster
                    self._client.create_experiment(name, self._about["artifacts"], KIND)
                found = self._client.get_experiment_by_name(name)
            if found is None or found.lifecycle_stage == "deleted":
                number = found and found.experiment_id
                raise RuntimeError(
                    f"the experiment {name!r} was deleted; `mlflow experiments restore -x {number}` brings it back"
                )
            self._experiment = str(found.experiment_id)
        return self._experiment


class MLflowRun:
    """A run of an MLflow store."""

    fresh = False

    def __init__(
        self, client: MlflowClient, name: str, experiment: str, lock: Path, *, joined: bool, models: bool
    ) -> None:
        self._client, self.name, self._experiment, self._lock = client, name, experiment, lock
        self._joined, self._models = joined, models

    def log_metrics(self, entries: Sequence[Entry]) -> None:
        """Send scalars; MLflow drops a point that it has."""
        from mlflow.entities import Metric  # noqa: PLC0415

        metrics = [
            Metric(key, value, entry.time, entry.step)
            for entry in entries
            for key, value in MLFLOW.encode_all(entry.metrics).items()
        ]
        for start in range(0, len(metrics), METRICS_PER_CALL):
            self._client.log_batch(self.name, metrics[start : start + METRICS_PER_CALL])

    def log_artifacts(self, folder: Path, entry: Entry) -> None:
        """Send the files of a step; one that is there is replaced."""
        for file in sorted(folder.iterdir()):
            self._client.log_artifact(self.name, str(file), f"ww/{step_folder(entry.step)}")

    def log_choice(self, tags: Mapping[str, str]) -> None:
        """Set the choice as tags, and say it on the run's page; one that another worker has made since stands."""
        from mlflow.entities import RunTag  # noqa: PLC0415

        with locked(self._lock, timeout=60):
            if is_newer(tags, self._client.get_run(self.name).data.tags):
                entities = [RunTag(key, value[:LONGEST_TAG]) for key, value in tags.items()]
                self._client.log_batch(self.name, tags=entities)
                self._describe(tags)

    def upload_figures(self, figures: Sequence[Path]) -> None:
        """Send the figures of a run."""
        for figure in figures:
            self._client.log_artifact(self.name, str(figure), "ww")

    def close(self, run: Run, last: Sequence[Entry]) -> None:
        """End the run; one that the user opened stays open."""
        self._client.set_tag(self.name, "wwopt.state", run.state)
        if run.reason:
            self._client.set_tag(self.name, "wwopt.reason", run.reason[:LONGEST_TAG])
        if self._models and run.state == "complete" and last:
            self._log_model(run, last)
        if run.parent is None:
            shown = choice_in(self._client.get_run(self.name).data.tags)
            self._describe(shown) if shown else self._name_best()
        if not self._joined:
            with redirect_stdout(io.StringIO()):  # MLflow prints a link
                self._client.set_terminated(self.name, STATUS[run.state or "failed"], run.stop or now())

    def _log_model(self, run: Run, last: Sequence[Entry]) -> None:
        """Declare the run's final network as a model with its numbers, so that models can be sorted and promoted."""
        from mlflow.entities import Metric  # noqa: PLC0415

        found = self._client.search_logged_models([self._experiment], filter_string=f"source_run_id = '{self.name}'")
        name = re.sub(r"[/:.%\"']", "-", run.name) or "model"
        model = found[0] if found else self._client.create_logged_model(self._experiment, name, self.name)
        metrics = [
            Metric(key, value, entry.time, entry.step, model_id=model.model_id)
            for entry in last
            for key, value in MLFLOW.encode_all(entry.metrics).items()
            if not math.isnan(value)  # MLflow 3.17 makes a zero of it here
        ]
        for start in range(0, len(metrics), METRICS_PER_CALL):
            self._client.log_batch(self.name, metrics[start : start + METRICS_PER_CALL])
        self._client.finalize_logged_model(model.model_id, "READY")

    def _describe(self, tags: Mapping[str, str]) -> None:
        """Say on the study's page which trial is chosen and why, and which has the best value, with links to them."""
        chosen, best = self._linked(tags[CHOSEN]), tags.get(BEST)
        note = f"Chosen trial: {chosen}. {tags[REASON]}"
        if best and best != tags[CHOSEN]:
            note += f" Best value: {self._linked(best)}."
        self._write_note(note)

    def _write_note(self, note: str) -> None:
        """Write the description of the study's page, unless the user has."""
        written = self._client.get_run(self.name).data.tags.get(NOTE, "")
        if not written or written.startswith(OWN_NOTES):
            self._client.set_tag(self.name, NOTE, note)

    def _linked(self, trial: str) -> str:
        """Name of a trial's run, with a link to it and to its pictures where the store has it already."""
        if "'" in trial:  # which a query cannot quote in every case
            return trial
        query = f"tags.`mlflow.parentRunId` = '{self.name}' AND attributes.run_name = '{trial}'"
        found = self._client.search_runs([self._experiment], query, order_by=["start_time DESC"], max_results=1)
        if not found:
            return trial
        link = f"#/experiments/{self._experiment}/runs/{found[0].info.run_id}"
        return f"[{trial}]({link}) ([pictures]({link}/artifacts/ww/alpha-by-layer.png))"

    def _name_best(self) -> None:
        """Say on the study's page which trial is the best, with a link to it."""
        query = f"tags.`mlflow.parentRunId` = '{self.name}' AND attributes.status = 'FINISHED'"
        order = ["metrics.`ww/score` ASC"]
        trials = self._client.search_runs([self._experiment], query, order_by=order, max_results=1)
        if trials and "ww/score" in trials[0].data.metrics:
            best, score = trials[0].info, trials[0].data.metrics["ww/score"]
            link = f"#/experiments/{self._experiment}/runs/{best.run_id}"
            figure = f"{link}/artifacts/ww/alpha-by-layer.png"
            self._client.set_tag(self.name, BEST, best.run_name)
            note = f"Best trial: [{best.run_name}]({link}), score {score:.4g}; [its pictures]({figure})."
            self._write_note(note)


def check_server(uri: str) -> None:
    """Raise `ConnectionError` within seconds when a server does not answer, for which MLflow takes minutes."""
    if urlsplit(uri).scheme in ("http", "https"):
        import requests  # noqa: PLC0415  (comes with MLflow)

        try:
            requests.get(f"{uri.rstrip('/')}/health", timeout=ANSWER_TIMEOUT)
        except requests.RequestException as error:
            raise ConnectionError(f"MLflow at {uri} does not answer ({type(error).__name__})") from error


def stored(value: float) -> float:
    """Undo what MLflow does to an infinity, which it keeps as the largest number."""
    return math.copysign(math.inf, value) if abs(value) == sys.float_info.max else value
