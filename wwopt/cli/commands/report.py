"""`wwopt report`: an HTML page about one or more networks."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wwopt.cli.console import examples, warn
from wwopt.cli.exit_codes import BAD_INPUT, DONE, FINDING
from wwopt.cli.extras import require
from wwopt.cli.option_groups import unpack_groups
from wwopt.cli.options import AnalyzeOptions, ModelsArgument, QuietOption

if TYPE_CHECKING:
    from wwopt.analysis import Analysis
    from wwopt.sources import Candidate

__all__ = ["app"]

app = typer.Typer()

EXAMPLES = examples(
    {
        "report model.safetensors": "writes report.html, to be opened in any browser",
        "report bert.safetensors xlnet.safetensors --out pair.html": "two networks side by side",
        "report run/checkpoints": "all epochs of a training",
        "report epoch-*.npz": "analyses that `wwopt analyze --out` has saved",
    }
)


@app.command(epilog=EXAMPLES)
@unpack_groups
def report(
    models: ModelsArgument,
    *,
    out: Annotated[Path, typer.Option(help="File to write.")] = Path("report.html"),
    quiet: QuietOption = False,
    options: AnalyzeOptions,
) -> int:
    """Write a self-contained page about MODEL..., with every layer's spectrum.

    Exit status 1 if a layer or another tensor is broken; 2 if a model cannot be read. The page then shows the others.
    """
    require("report", "jinja2")
    from wwopt.reporting import render_report  # noqa: PLC0415
    from wwopt.sources import expand  # noqa: PLC0415  (loads pandas)

    analyses, unreadable = _read_all(expand(models), options.arguments(progress=not quiet))
    for name, reason in unreadable.items():
        warn(f"{name}: {reason}")
    if not analyses:
        return BAD_INPUT
    out.write_text(render_report(analyses, unreadable=unreadable), encoding="utf-8")
    if not quiet:
        typer.echo(f"{out}: {', '.join(analyses)}")
    broken = any(analysis.broken for analysis in analyses.values())
    return BAD_INPUT if unreadable else FINDING if broken else DONE


def _read_all(
    candidates: "Iterable[Candidate]", options: Mapping[str, Any]
) -> "tuple[dict[str, Analysis], dict[str, str]]":
    """Analyses by name, and the faults of candidates that cannot be read."""
    from wwopt.engine.load_or_analyze import load_or_analyze  # noqa: PLC0415  (loads pandas)
    from wwopt.sources import READ_ERRORS  # noqa: PLC0415

    analyses: dict[str, Analysis] = {}
    unreadable: dict[str, str] = {}
    for candidate in candidates:
        if candidate.source is None:
            unreadable[candidate.name] = candidate.fault
            continue
        try:
            analyses[candidate.name] = load_or_analyze(candidate.source, options)
        except READ_ERRORS as error:
            unreadable[candidate.name] = str(error)
    return analyses, unreadable
