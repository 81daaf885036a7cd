"""`wwopt report`: a page to look at."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wwopt.cli.options import (
    Base,
    Cache,
    Device,
    Estimator,
    Exclude,
    Include,
    MaxEvals,
    MinEvals,
    Models,
    Quiet,
    examples,
    need,
)
from wwopt.cli.status import BAD_INPUT, DONE, FINDING

if TYPE_CHECKING:
    from wwopt.analysis import Analysis

__all__ = ["commands"]

commands = typer.Typer()

EXAMPLES = examples(
    {
        "report model.safetensors": "writes report.html, to be opened in any browser",
        "report bert.safetensors xlnet.safetensors --out pair.html": "two networks side by side",
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
    device: Device = "auto",
    cache: Cache = None,
    quiet: Quiet = False,
) -> int:
    """Write one page about MODEL..., with every layer's spectrum, that opens without a network.

    Exit status 1 where a layer is broken, 2 where a model cannot be read; the page then shows the others.
    """
    need("report", "jinja2")
    from wwopt.cli.sources import names_of, read_analysis  # noqa: PLC0415  (loads pandas)
    from wwopt.report import render_report  # noqa: PLC0415
    from wwopt.text import printable  # noqa: PLC0415

    analyses: dict[str, Analysis] = {}
    unreadable: dict[str, str] = {}
    for name, model in zip(names_of(models), models, strict=True):
        try:
            analyses[name] = read_analysis(
                model,
                base=base,
                include=include or None,
                exclude=exclude or None,
                estimator=estimator,
                min_evals=min_evals,
                max_evals=max_evals,
                device=device,
                cache=cache,
                progress=False if quiet else None,
            )
        except (ValueError, OSError) as error:
            unreadable[name] = str(error)
    for reason in unreadable.values():
        typer.echo(f"wwopt: {printable(' '.join(reason.split()))}", err=True)
    if not analyses:
        return BAD_INPUT
    out.write_text(render_report(analyses, unreadable=unreadable), encoding="utf-8")
    if not quiet:
        typer.echo(f"{out}: {', '.join(analyses)}")
    broken = any((analysis.details["status"] != "success").any() for analysis in analyses.values())
    return BAD_INPUT if unreadable else FINDING if broken else DONE
