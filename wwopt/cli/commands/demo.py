"""`wwopt demo`: what all of it does together, on real data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wwopt.cli.exit_codes import DONE
from wwopt.cli.options import examples, need

__all__ = ["commands"]

commands = typer.Typer()

EXAMPLES = examples(
    {
        "demo": "forty trials in about two minutes",
        "demo --trials 40 --seed 1 --folder second-demo": "another study beside it",
    }
)


@commands.command(epilog=EXAMPLES)
def demo(
    *,
    trials: Annotated[int, typer.Option(min=1, help="Trials in total, those of an earlier run included.")] = 40,
    seed: Annotated[int, typer.Option(help="Seed of the sampler and of the trainings.")] = 0,
    folder: Annotated[Path, typer.Option(help="Where the study, the runs and the pictures go.")] = Path("wwopt-demo"),
    wandb: Annotated[bool, typer.Option("--wandb", help="Also write offline W&B runs.")] = False,
) -> int:
    """Tune a network on real data by its weights alone, then look at the test accuracy it never saw.

    Started again after an interruption, it goes on where it stopped.
    """
    need("demo", "jinja2", "matplotlib", "mlflow", "optuna", "sklearn", *(["wandb"] if wandb else []))
    from wwopt.cli.demo.study import run_demo  # noqa: PLC0415  (loads everything)

    run_demo(folder, n_trials=trials, seed=seed, wandb=wandb)
    return DONE
