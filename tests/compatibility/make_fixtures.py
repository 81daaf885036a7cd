"""Write ``before/``, the files that `test_files_from_before.py` reads with newer code.

It was run once, with version 0.1.0 (commit 3ad0503), and is not to be run with a newer one: the files are to stay what
that version wrote. With ``CHECKOUT`` for a checkout of it::

    PYTHONPATH=CHECKOUT:CHECKOUT/objectives:CHECKOUT/trackers python tests/compatibility/make_fixtures.py

Everything but the weights and the first format of an analysis, which that version read and no longer wrote, is written
by public names. Nothing of the machine stays in the files: places of stores are made relative, the user is nobody.
"""

import json
import os
import shutil
import sqlite3
import sys
import tempfile
from contextlib import chdir, closing
from pathlib import Path

import numpy as np
import optuna
import parts
from safetensors.numpy import save_file

import wwopt
from wwopt_trackers import LocalTracker, MLflowTracker, WandbTracker, select, sync

VERSION = "0.1.0"
QUIET = {
    "LOGNAME": "nobody",
    "WANDB_SILENT": "true",
    "WANDB_ERROR_REPORTING": "false",
    "NETRC": os.devnull,
    "MLFLOW_DISABLE_TELEMETRY": "true",
}


def main():
    """Write all of it anew."""
    if wwopt.__version__ != VERSION:
        raise SystemExit(f"The files are those of wwopt {VERSION}, but this is {wwopt.__version__}.")
    os.environ.update(QUIET)
    shutil.rmtree(parts.BEFORE, ignore_errors=True)
    parts.BEFORE.mkdir()
    analysis, expected = write_analyses(parts.BEFORE)
    (parts.BEFORE / "study" / "artifacts").mkdir(parents=True)
    expected["study"] = parts.run_study(parts.BEFORE / "study")
    expected |= write_journals(parts.BEFORE / "journals", analysis)
    (parts.BEFORE / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")


def write_analyses(folder):
    """Weights, the cache of their analysis, and the analysis in both formats."""
    random = np.random.default_rng(0)
    weights = {f"block.{i}.fc.weight": random.standard_t(3, size=(64, 60)).astype(np.float32) for i in range(2)}
    weights |= {"dead.weight": np.zeros((60, 60), np.float32), "small.weight": np.ones((4, 4), np.float32)}
    save_file(weights, folder / "weights.safetensors")
    analysis = wwopt.analyze(folder / "weights.safetensors", cache=folder / "cache")
    analysis.save(folder / "analysis.npz")
    parts.save_first_format(analysis, folder / "analysis-format-1.npz")
    return analysis, {"analysis": parts.numbers_of(analysis), "score": wwopt.AlphaScore()(analysis)}


def write_journals(folder, analysis):
    """Journals for no backend, for MLflow and for W&B, and the names that the two backends got from them."""
    store = "sqlite:///mlflow.db"
    with tempfile.TemporaryDirectory() as name, chdir(name):
        parts.log(LocalTracker("local"), analysis)
        parts.log(MLflowTracker(experiment=parts.STUDY, uri=store, journal="mlflow", offline=True), analysis)
        shutil.copytree("mlflow", "undelivered")
        sync("mlflow")
        parts.log(WandbTracker(project=parts.STUDY, mode="offline", journal="wandb-journal"), analysis)
        keep("local", folder / "local")
        keep("undelivered", folder / "for-mlflow", uri=store)
        keep("wandb-journal", folder / "for-wandb", dir=".")
        return {
            "local": select(journal="local", states=("complete", "pruned")).table.to_dict(orient="list"),
            "mlflow": parts.mlflow_names(store),
            "wandb": parts.wandb_names(Path()),
        }


def keep(source, target, **place):
    """Copy journals with their spectra as if nothing of them was delivered yet, and say where their backend is."""
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("*.owner", "*.courier", "*.sent", "*.csv", "*.png"))
    (file,) = target.glob("*.db")
    with closing(sqlite3.connect(file)) as journal:
        (about,) = journal.execute("SELECT value FROM about").fetchone()
        journal.execute("UPDATE about SET value = ?", (json.dumps({**json.loads(about), **place}),))
        journal.commit()
        journal.execute("VACUUM")  # what was replaced would stay in free pages
        journal.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for log in target.glob("*.db-*"):
        log.unlink()


if __name__ == "__main__":
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sys.exit(main())
