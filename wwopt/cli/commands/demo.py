"""`wwopt demo`: a complete study on real data."""

from pathlib import Path
from typing import Annotated

import typer

from wwopt.cli.console import examples
from wwopt.cli.exit_codes import DONE
from wwopt.cli.extras import require

__all__ = ["app"]

app = typer.Typer()

EXAMPLES = examples(
    {
        "demo": "forty trials in about two minutes",
        "demo --trials 40 --seed 1 --folder second-demo": "another study beside it",
        "demo --wrong-labels 0.4 --folder wrong-demo": "the same with 40% of the training labels wrong",
    }
)


@app.command(epilog=EXAMPLES)
def demo(
    *,
    trials: Annotated[int, typer.Option(min=1, help="Number of trials, including those of an earlier run.")] = 40,
    seed: Annotated[int, typer.Option(help="Seed of the sampler and of the trainings.")] = 0,
    folder: Annotated[Path, typer.Option(help="Folder for the study, the runs and the figures.")] = Path("wwopt-demo"),
    wrong_labels: Annotated[
        float, typer.Option(min=0, max=0.9, help="Share of the training labels that are made wrong.")
    ] = 0.0,
    wandb: Annotated[bool, typer.Option("--wandb", help="Also write offline W&B runs.")] = False,
) -> int:
    """Tune a network on real data without validation data, then measure the test accuracy of the choice.

    After an interruption, the same command continues the study.
    """
    require("demo", "jinja2", "matplotlib", "mlflow", "optuna", "sklearn", *(["wandb"] if wandb else []))
    from wwopt.cli.demo.study import run_demo  # noqa: PLC0415  (loads everything)

    run_demo(folder, n_trials=trials, seed=seed, wandb=wandb, wrong_labels=wrong_labels)
    return DONE
