"""`wwopt report`: a page to look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wwopt.cli.exit_codes import BAD_INPUT, DONE, FINDING, warn
from wwopt.cli.options import (
    Alignment,
    Base,
    Cache,
    Confidence,
    Device,
    Estimator,
    Exclude,
    Include,
    MaxEvals,
    MinEvals,
    Models,
    Precision,
    Quiet,
    examples,
    need,
)

if TYPE_CHECKING:
    from wwopt.analysis import Analysis
    from wwopt.sources.candidates import Candidate

__all__ = ["commands"]

commands = typer.Typer()

EXAMPLES = examples(
    {
        "report model.safetensors": "writes report.html, to be opened in any browser",
        "report bert.safetensors xlnet.safetensors --out pair.html": "two networks side by side",
        "report run/checkpoints": "all epochs of a run",
        "report epoch-*.npz": "analyses that `wwopt analyze --out` has saved",
    }
)


@commands.command(epilog=EXAMPLES)
def report(
    models: Models,
    *,
    out: Annotated[Path, typer.Option(help="The page.")] = Path("report.html"),
    base: Base = None,
    include: Include = None,
    exclude: Exclude = None,
    estimator: Estimator = "mle",
    min_evals: MinEvals = 50,
    max_evals: MaxEvals = None,
    confidence: Confidence = None,
    alignment: Alignment = False,
    precision: Precision = "double",
    device: Device = "auto",
    cache: Cache = None,
    quiet: Quiet = False,
) -> int:
    """Write one page about MODEL..., with every layer's spectrum, that opens without a network.

    Exit status 1 where a layer is broken, 2 where a model cannot be read; the page then shows the others.
    """
    need("report", "jinja2")
    from wwopt.reporting import render_report  # noqa: PLC0415
    from wwopt.sources.candidates import expand  # noqa: PLC0415  (loads pandas)

    options = {
        "base": base,
        "include": include or None,
        "exclude": exclude or None,
        "estimator": estimator,
        "min_evals": min_evals,
        "max_evals": max_evals,
        "confidence": confidence,
        "alignment": alignment,
        "precision": precision,
        "device": device,
        "cache": cache,
        "progress": False if quiet else None,
    }
    analyses, unreadable = _read_all(expand(models), options)
    for reason in unreadable.values():
        warn(reason)
    if not analyses:
        return BAD_INPUT
    out.write_text(render_report(analyses, unreadable=unreadable), encoding="utf-8")
    if not quiet:
        typer.echo(f"{out}: {', '.join(analyses)}")
    broken = any((analysis.details["status"] != "success").any() for analysis in analyses.values())
    return BAD_INPUT if unreadable else FINDING if broken else DONE


def _read_all(
    candidates: Sequence[Candidate], options: Mapping[str, Any]
) -> tuple[dict[str, Analysis], dict[str, str]]:
    """Read what can be read; the rest with its reason."""
    from wwopt.sources.candidates import FAULTS, read  # noqa: PLC0415  (loads pandas)

    analyses: dict[str, Analysis] = {}
    unreadable = {candidate.name: candidate.fault for candidate in candidates if candidate.fault}
    for candidate in candidates:
        if not candidate.fault:
            try:
                analyses[candidate.name] = read(candidate.source, options)
            except FAULTS as error:
                unreadable[candidate.name] = str(error)
    return analyses, unreadable
