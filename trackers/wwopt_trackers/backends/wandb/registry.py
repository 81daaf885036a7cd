"""W&B's model registry: a model artifact on this disk at once, its link once W&B's server can be reached."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wwopt_trackers.backends.wandb.credentials import key_is_set
from wwopt_trackers.journal.journal import Journal, find_journals
from wwopt_trackers.journal.payload import SPECTRA

if TYPE_CHECKING:
    from wwopt_trackers.journal.records import Run

__all__ = ["QUEUED", "link", "promote", "queue_of"]

QUEUED = "queued"
SUFFIX = ".promotion"
REGISTRY = "wandb-registry-model"


def promote(
    about: Mapping[str, Any], folder: Path, best: str, *, name: str, alias: str, weights: str | os.PathLike[str] | None
) -> str:
    """Log the model of a run, and link it or queue that; see `WandbTracker.promote`."""
    if alias == "latest" or re.fullmatch(r"v\d+", alias, re.IGNORECASE):
        raise ValueError(f"`alias` must not be 'latest' or like 'v1', which W&B keeps for itself, got {alias!r}.")
    run, spectra = _find(about, folder, best)
    files = [spectra, *([] if weights is None else [Path(weights)])]
    if missing := [str(file) for file in files if not file.is_file()]:
        raise FileNotFoundError(f"No such file: {missing[0]}")
    digest = hashlib.sha256(json.dumps([run.id, name, alias, str(weights)]).encode()).hexdigest()[:16]
    request = folder / f"{about['project']}-{digest}{SUFFIX}"
    if not request.exists():
        _log_model(about, run, files, id_=f"promotion-{digest}", name=name, alias=alias)
        order = {"artifact": f"{about['project']}/{name}:{alias}", "target": f"{REGISTRY}/{name}", "alias": alias}
        scratch = request.with_suffix(".part")
        scratch.write_text(json.dumps(order | {"run": run.id}), encoding="utf-8")
        scratch.replace(request)
    return QUEUED if about["mode"] == "offline" else link(request)


def queue_of(path: str | os.PathLike[str]) -> list[Path]:
    """Promotions that wait in a folder of journals."""
    return sorted(Path(path).glob(f"*{SUFFIX}"))


def link(request: Path) -> str:
    """Link what was promoted into the registry, and give its version; ``"queued"`` where no key is set.

    Not tested here, since that needs W&B's server.
    """
    if not key_is_set():
        return QUEUED
    import wandb  # noqa: PLC0415  (takes seconds)

    order = json.loads(request.read_text(encoding="utf-8"))
    linked = wandb.Api().artifact(order["artifact"], type="model").link(order["target"], aliases=[order["alias"]])
    request.unlink()
    return str(linked.version)


def _find(about: Mapping[str, Any], folder: Path, best: str) -> tuple[Run, Path]:
    """The run of this project with a name or an id, and its last spectra."""
    found = []
    for file in find_journals(folder):
        journal = Journal(file)
        try:
            if (journal.about["kind"], journal.about.get("project")) == ("wandb", about["project"]):
                for run in (run for run in journal.runs() if best in (run.name, run.id)):
                    written = [artifact.folder for artifact in journal.artifacts(run.id) if artifact.folder]
                    found.append((run, file.parent / written[-1] / SPECTRA if written else Path()))
        finally:
            journal.close()
    if len(found) != 1:
        raise ValueError(
            f"`best` must name one run of the project {about['project']!r} in {folder}, but {len(found)} are called"
            f" {best!r}; give the run's id."
        )
    run, spectra = found[0]
    if run.state != "complete":
        raise ValueError(f"`best` must be a run that is complete, but {best!r} is {run.state or 'running'}.")
    return run, spectra


def _log_model(about: Mapping[str, Any], run: Run, files: list[Path], *, id_: str, name: str, alias: str) -> None:
    """Log a model artifact in a run of its own, since an offline run cannot be resumed."""
    import wandb  # noqa: PLC0415  (takes seconds)

    artifact = wandb.Artifact(name, type="model", metadata={"run": run.id, "trial": run.name, **run.params})
    with wandb.init(
        project=about["project"],
        group=about["group"] or run.tags.get("study"),
        job_type="promotion",
        id=id_,
        name=f"{name}-{alias}",
        mode=about["mode"],
        dir=about["dir"],
        reinit="create_new",
        settings=wandb.Settings(console="off", silent=True, x_disable_stats=True, x_save_requirements=False),
    ) as opened:
        for file in files:
            artifact.add_file(str(file.absolute()))
        opened.log_artifact(artifact, aliases=[alias])
