"""`wwopt watch`: a verdict on every new version of a network."""

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from wwopt.cli.backend_errors import backend_calls
from wwopt.cli.console import examples, warn
from wwopt.cli.exit_codes import BAD_INPUT, DONE, FINDING
from wwopt.cli.option_groups import unpack_groups
from wwopt.cli.options import CompareOptions, JsonOption, UriOption

if TYPE_CHECKING:
    from wwopt.watching import AliasSource, VersionReport, VersionSource, Webhook

__all__ = ["app"]

app = typer.Typer()

EXAMPLES = examples(
    {
        "watch run/checkpoints": "a line for every new checkpoint",
        "watch run/checkpoints --once": "compare the newest with the one before, for cron",
        "watch models:/digits@champion --tag": "tag each version with the result",
        "watch artifacts/ --reference good.pt --webhook https://chat.example/hook": "post to a chat",
    }
)


@app.command(epilog=EXAMPLES)
@unpack_groups
def watch(
    source: Annotated[
        str,
        typer.Argument(help="A folder in which checkpoints or models appear, or models:/NAME@ALIAS.", metavar="SOURCE"),
    ],
    *,
    reference: Annotated[
        str | None,
        typer.Option(help="Compare all versions with these weights. Default: each with the last sound one."),
    ] = None,
    interval: Annotated[float, typer.Option(help="Seconds between two checks for a new version.")] = 60.0,
    once: Annotated[bool, typer.Option("--once", help="Check the newest version and exit.")] = False,
    webhook: Annotated[str | None, typer.Option(help="Post each result there as JSON.", metavar="URL")] = None,
    tag: Annotated[bool, typer.Option("--tag", help="Tag MLflow's version with wwopt.ok and wwopt.alerts.")] = False,
    uri: UriOption = None,
    as_json: JsonOption = False,
    options: CompareOptions,
) -> int:
    """Watch SOURCE, compare each new version with the last sound one, and name its broken layers.

    With --once, exit status 1 if a layer is broken or the version cannot be read; 2 if there is no version.
    """
    from wwopt.watching import Watch, Webhook, follow, open_versions  # noqa: PLC0415  (loads pandas)

    arguments = options.arguments(progress=False)
    hook = Webhook(webhook) if webhook else None
    status = None
    with backend_calls():
        opened = open_versions(source, tracking_uri=uri)
        registry = _registry(opened, source) if tag else None
        versions = Watch(opened, reference=reference, options=arguments)
        for report in follow(versions, interval=interval, once=once, warn=warn):
            status = DONE if report.ok else FINDING
            _publish(report, as_json=as_json, hook=hook, registry=registry)
    for name in versions.unsettled:
        warn(f"{name} is still being written")
    if status is None:
        warn(f"{source} holds no version to compare")
        return BAD_INPUT
    return status


def _registry(opened: "VersionSource", source: str) -> "AliasSource":
    """Return the registry whose versions are tagged."""
    from wwopt.watching import AliasSource  # noqa: PLC0415  (loads pandas)

    if not isinstance(opened, AliasSource):
        raise ValueError(f"`--tag` tags versions of MLflow's registry and needs models:/NAME@ALIAS, got {source!r}.")  # noqa: TRY004  (of the command line)
    return opened


def _publish(report: "VersionReport", *, as_json: bool, hook: "Webhook | None", registry: "AliasSource | None") -> None:
    """Print a report, post it and tag its version; a failure to post or to tag is a warning."""
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
