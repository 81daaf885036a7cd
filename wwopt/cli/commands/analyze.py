"""`wwopt analyze`: the layers of one network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from wwopt.cli.exit_codes import DONE, FINDING
from wwopt.cli.options import (
    Alignment,
    AsJson,
    Base,
    Cache,
    Confidence,
    Device,
    Estimator,
    Exclude,
    Include,
    MaxEvals,
    MinEvals,
    Model,
    Precision,
    Quiet,
    examples,
)

__all__ = ["commands"]

commands = typer.Typer()

EXAMPLES = examples(
    {
        "analyze model.safetensors": "a table of the layers",
        "analyze hf://org/name --include 'encoder.*'": "some layers of a model of the hub",
        "analyze tuned/ --base original/ --json": "what fine-tuning changed, for a program",
    }
)


@commands.command(epilog=EXAMPLES)
def analyze(
    model: Model,
    *,
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
    out: Annotated[
        Path | None, typer.Option(help="Also save the analysis, with its spectra (.npz).", show_default=False)
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> int:
    """Print alpha and what follows from it for each layer of MODEL.

    Exit status 1 where a layer is broken: not finite, degenerate, or without a fit.
    """
    from wwopt.cli.tables.layer_table import analysis_json, print_analysis  # noqa: PLC0415  (loads torch)
    from wwopt.sources.candidates import read  # noqa: PLC0415

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
    analysis = read(model, options)
    if out is not None:
        analysis.save(out)
    if as_json:
        typer.echo(json.dumps(analysis_json(analysis), indent=2))
    else:
        print_analysis(analysis, remarks=not quiet)
    return FINDING if (analysis.details["status"] != "success").any() else DONE
