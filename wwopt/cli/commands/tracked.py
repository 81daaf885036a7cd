"""`wwopt select`, `sync` and `verify`: what trackers have logged."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from wwopt.cli.exit_codes import DONE, FINDING
from wwopt.cli.options import AsJson, Quiet, examples

if TYPE_CHECKING:
    from wwopt.powerlaw import EstimatorName

__all__ = ["backend", "commands"]

commands = typer.Typer()

JOURNAL = Path("wwopt-journal")
Journal = Annotated[Path, typer.Argument(help="A folder of journals, or one journal.", metavar="JOURNAL")]


@commands.command(
    epilog=examples(
        {
            "select --mlflow digits": "rank the runs of an MLflow experiment",
            "select --wandb wandb/ --study digits": "the runs of one study in W&B's offline files",
            "select --journal wwopt-journal --refit --json": "with alpha fitted again, for a program",
        }
    )
)
def select(
    *,
    mlflow: Annotated[
        str | None, typer.Option(help="An MLflow experiment.", metavar="EXPERIMENT", show_default=False)
    ] = None,
    wandb: Annotated[
        str | None,
        typer.Option(help="A folder with offline runs of W&B, or ENTITY/PROJECT.", metavar="PATH", show_default=False),
    ] = None,
    journal: Annotated[
        str | None, typer.Option(help="A folder of journals, or one.", metavar="PATH", show_default=False)
    ] = None,
    uri: Annotated[
        str | None, typer.Option(help="MLflow's tracking URI, else MLflow's own.", show_default=False)
    ] = None,
    study: Annotated[str | None, typer.Option(help="Only the runs of this study.", show_default=False)] = None,
    unfinished: Annotated[
        bool, typer.Option("--unfinished", help="Also rank runs that were pruned, failed or still run.")
    ] = False,
    refit: Annotated[bool, typer.Option("--refit", help="Fit alpha again from the stored spectra.")] = False,
    estimator: Annotated[
        str | None, typer.Option(help="Fit it again by mle, hill, peak or tpl.", show_default=False)
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="Rows to print.")] = 10,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> int:
    """Choose among past runs by the spectra that they logged, without their weights.

    Exit status 1 where even the best network is broken.
    """
    from wwopt.cli.tables.tracked_runs import print_selection, selection_json  # noqa: PLC0415  (loads pandas)
    from wwopt_trackers import STATES  # noqa: PLC0415
    from wwopt_trackers import select as choose  # noqa: PLC0415

    with backend():
        selection = choose(
            journal=journal,
            mlflow=mlflow,
            wandb=wandb,
            uri=uri,
            study=study,
            states=STATES if unfinished else ("complete",),
            refit=refit,
            estimator=cast("EstimatorName | None", estimator),
        )
    if as_json:
        typer.echo(json.dumps(selection_json(selection), indent=2))
    else:
        print_selection(selection, top=top, remarks=not quiet)
    return DONE if selection.usable else FINDING


@commands.command(
    epilog=examples({"sync": "deliver what ./wwopt-journal holds", "sync /data/journals --json": "for a program"})
)
def sync(journal: Journal = JOURNAL, *, as_json: AsJson = False, quiet: Quiet = False) -> int:
    """Deliver what is left in journals after an outage or a crash, each number once.

    Runs whose process has died end as failed. Exit status 1 where something could not be delivered.
    """
    from wwopt.cli.tables.tracked_runs import print_synced, synced_json  # noqa: PLC0415
    from wwopt_trackers import sync as deliver  # noqa: PLC0415

    with backend():
        done = deliver(journal)
    if as_json:
        typer.echo(json.dumps(synced_json(done), indent=2))
    else:
        print_synced(done, remarks=not quiet)
    return DONE if all(each.ok for each in done) else FINDING


@commands.command(
    epilog=examples(
        {"verify": "compare ./wwopt-journal with its backends", "verify /data/journals --json": "for a program"}
    )
)
def verify(journal: Journal = JOURNAL, *, as_json: AsJson = False, quiet: Quiet = False) -> int:
    """Compare journals with their backends, number by number, and name what is missing.

    Exit status 1 where a number is missing or there twice.
    """
    from wwopt.cli.tables.tracked_runs import print_verified, verified_json  # noqa: PLC0415
    from wwopt_trackers import verify as compare  # noqa: PLC0415

    with backend():
        found = compare(journal)
    if as_json:
        typer.echo(json.dumps(verified_json(found), indent=2))
    else:
        print_verified(found, remarks=not quiet)
    return DONE if all(each.ok for each in found) else FINDING


@contextmanager
def backend() -> Iterator[None]:
    """Ask a backend: quickly, quietly, and with its failure as one line."""
    from wwopt_trackers.recording.supervisor import HTTP_RETRIES  # noqa: PLC0415

    for name, value in {**HTTP_RETRIES, "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false"}.items():
        os.environ.setdefault(name, value)
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        yield
    except (ValueError, OSError, ImportError):
        raise
    except Exception as error:  # backends raise anything
        raise OSError(f"the backend fails ({type(error).__name__}: {error})") from error
