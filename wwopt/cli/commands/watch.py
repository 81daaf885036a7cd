"""`wwopt watch`: a line on every new version of a network."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from wwopt.cli.commands.rank import Threshold, read_thresholds
from wwopt.cli.commands.tracked import backend
from wwopt.cli.exit_codes import BAD_INPUT, DONE, FINDING, warn
from wwopt.cli.options import AsJson, Cache, Device, Exclude, Include, MinEvals, examples

if TYPE_CHECKING:
    from wwopt.watching import AliasSource, Report, Webhook

__all__ = ["commands"]

commands = typer.Typer()

EXAMPLES = examples(
    {
        "watch run/checkpoints": "a line on every new checkpoint",
        "watch run/checkpoints --once": "judge the newest by the one before, for cron",
        "watch models:/digits@champion --tag": "write on each version what was found",
        "watch artifacts/ --reference good.pt --webhook https://chat.example/hook": "tell others",
    }
)


@commands.command(epilog=EXAMPLES)
def watch(
    place: Annotated[
        str,
        typer.Argument(
            help="A folder in which checkpoints or models appear, or models:/NAME@ALIAS.", show_default=False
        ),
    ],
    *,
    reference: Annotated[
        str | None,
        typer.Option(help="Compare all with these weights, not each with the one before.", show_default=False),
    ] = None,
    interval: Annotated[float, typer.Option(help="Seconds between two looks.")] = 60.0,
    once: Annotated[bool, typer.Option("--once", help="Judge the newest version and end.")] = False,
    webhook: Annotated[
        str | None, typer.Option(help="Post each report there as JSON.", metavar="URL", show_default=False)
    ] = None,
    tag: Annotated[bool, typer.Option("--tag", help="Set wwopt.ok and wwopt.alerts on MLflow's version.")] = False,
    uri: Annotated[
        str | None, typer.Option(help="MLflow's tracking URI, else MLflow's own.", show_default=False)
    ] = None,
    threshold: Threshold = None,
    include: Include = None,
    exclude: Exclude = None,
    min_evals: MinEvals = 50,
    device: Device = "auto",
    cache: Cache = None,
    as_json: AsJson = False,
) -> int:
    """Watch PLACE and say of every new version which layers are broken, by comparing it with the last sound one.

    With --once the exit status is 1 where a layer is broken or the version cannot be read, 2 where there is none.
    """
    from wwopt.watching import AliasSource, Watch, Webhook, follow, open_source  # noqa: PLC0415  (loads pandas)

    options = {"include": include or None, "exclude": exclude or None, "min_evals": min_evals, "device": device,
               "cache": cache, "progress": False, "thresholds": read_thresholds(threshold or [])}  # fmt: skip
    hook = Webhook(webhook) if webhook else None
    with backend():
        source = open_source(place, tracking_uri=uri)
        registry = source if tag and isinstance(source, AliasSource) else None
        if tag and registry is None:
            raise ValueError(f"`--tag` writes on MLflow's versions, and needs models:/NAME@ALIAS, got {place!r}.")
        watched = Watch(source, reference=reference, options=options)
        status = BAD_INPUT
        for report in follow(watched, interval=interval, once=once, warn=warn):
            status = DONE if report.ok else FINDING
            _tell(report, as_json=as_json, hook=hook, registry=registry)
    for name in watched.unsettled:
        warn(f"{name} is still being written")
    if status == BAD_INPUT:
        warn(f"{place} holds no version to judge")
    return status


def _tell(report: Report, *, as_json: bool, hook: Webhook | None, registry: AliasSource | None) -> None:
    """Print a report, and send it where it is wanted; what fails there is said and not more."""
    moment = datetime.now(UTC).isoformat(timespec="seconds")
    values = {"time": moment, **report.to_dict()}
    typer.echo(json.dumps(values) if as_json else f"{moment} {report}")
    try:
        if hook is not None:
            hook.post(values)
    except OSError as error:
        warn(str(error))
    try:
        if registry is not None and report.comparison is not None:
            registry.tag(report.version, report.tags())
    except OSError as error:
        warn(str(error))
