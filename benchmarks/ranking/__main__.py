"""Rank series of networks by their weights alone, and correlate the ranking with their test errors."""

from __future__ import annotations

import argparse
import math
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy.stats import kendalltau

from benchmarks.ranking.pretrained import PACKAGES, pretrained
from benchmarks.ranking.series import SERIES, Member, train_series
from wwopt import rank

BASELINES = (
    "score",
    "alpha",
    "alpha_weighted",
    "log_norm",
    "log_spectral_norm",
    "stable_rank",
    "parameters",
    "depth",
    "loss",
)
HIGHER_IS_BETTER = ("stable_rank", "parameters", "depth")
PUBLISHED = {  # top-1 errors in percent on ImageNet, as torchvision publishes them; the order of GPT-2's sizes
    "VGG": {"vgg11": 30.98, "vgg13": 30.07, "vgg16": 28.41, "vgg19": 27.62},
    "VGG with batch norm": {"vgg11_bn": 29.62, "vgg13_bn": 28.45, "vgg16_bn": 26.63, "vgg19_bn": 25.76},
    "ResNet": {"resnet18": 30.24, "resnet34": 26.70, "resnet50": 23.85, "resnet101": 22.63, "resnet152": 21.69},
    "DenseNet": {"densenet121": 25.35, "densenet169": 24.00, "densenet201": 22.80, "densenet161": 22.35},
    "GPT-2": {"gpt2 small": 4, "gpt2 medium": 3, "gpt2 large": 2, "gpt2 xl": 1},
}


def tau(numbers: pd.Series[float], errors: pd.Series[float]) -> float:
    """Kendall's tau-b; NaN where one of the two does not vary."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return float(kendalltau(numbers, errors).statistic)


def partial_tau(numbers: pd.Series[float], errors: pd.Series[float], size: pd.Series[float]) -> float:
    """Kendall's partial correlation given size; NaN where size does not vary or explains everything."""
    ne, ns, es = tau(numbers, errors), tau(numbers, size), tau(errors, size)
    rest = (1 - ns**2) * (1 - es**2)
    return (ne - ns * es) / math.sqrt(rest) if rest > 1e-9 else math.nan


def judge(members: list[Member]) -> dict[str, float | str]:
    """Correlate the values that `rank` ranks by, and every baseline, with the test error."""
    ranking = rank({str(i): member.state for i, member in enumerate(members)})
    table = ranking.table.loc[[str(i) for i in range(len(members))]].copy()
    table["depth"] = [member.recipe.depth for member in members]
    table["loss"] = [member.loss for member in members]
    errors = pd.Series([member.error for member in members], index=table.index)
    row: dict[str, float | str] = {"metric": ranking.metric, "chosen": tau(table["value"], errors)}
    row["given size"] = partial_tau(table["value"], errors, table["parameters"])
    row["regret"] = float(errors[ranking.best] - errors.min())
    return row | {name: (-1 if name in HIGHER_IS_BETTER else 1) * tau(table[name], errors) for name in BASELINES}


def trained(seeds: int) -> str:
    """Train the series; return a table of mean correlations with the test error, in Markdown."""
    lines = ["| series | ranked by | tau | given size | regret, points | " + " | ".join(BASELINES) + " |"]
    lines.append("|---" * (5 + len(BASELINES)) + "|")
    for name in SERIES:
        rows = pd.DataFrame([judge(list(train_series(name, seed))) for seed in range(seeds)])
        means = rows.drop(columns="metric").mean()
        spread = rows["chosen"].std() / math.sqrt(seeds) if seeds > 1 else math.nan
        numbers = [f"{means['chosen']:.2f} ± {spread:.2f}", _number(means["given size"]), f"{means['regret']:.1f}"]
        cells = [name, str(rows["metric"].iloc[0]), *numbers, *(_number(means[column]) for column in BASELINES)]
        lines.append("| " + " | ".join(cells) + " |")
        print(lines[-1], flush=True)
    return "\n".join(lines)


def published(folder: Path) -> str:
    """Rank the networks of the Nature paper by its tables, a CSV per network in a folder."""
    lines = ["| series | ranked by | tau with the published error | order |", "|---|---|---|---|"]
    for name, errors in PUBLISHED.items():
        ranking = rank({network: folder / f"{network}.csv" for network in errors})
        found = tau(ranking.table["value"], pd.Series(errors)[ranking.table.index])
        lines.append(f"| {name} | {ranking.metric} | {found:.2f} | {', '.join(ranking.table.index)} |")
    return "\n".join(lines)


def _number(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.2f}"


def main() -> None:
    """Print the table of the trained series, and with `--published` that of the published networks."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ranking", description=__doc__)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--published", type=Path, help="the folder `data` of CalculatedContent/ww-trends-2020")
    parser.add_argument(
        "--pretrained", type=Path, help=f"a folder to which pip has downloaded {', '.join(PACKAGES)}; rank only these"
    )
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.pretrained:
        parts = [pretrained(options.pretrained)]
    else:
        parts = [trained(options.seeds)] + ([published(options.published)] if options.published else [])
    text = "\n\n".join(parts)
    print(text)
    if options.out:
        options.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
