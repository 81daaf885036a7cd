"""The evidence as figures."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator, StrMethodFormatter

__all__ = ["regret_picture", "scatter_picture"]

Result = Mapping[str, Any]

BLUE, ORANGE, GREY = "#0072b2", "#d55e00", "#999999"  # Okabe and Ito's, for every kind of eye


def regret_picture(result: Result) -> Figure:
    """Regret of each way to choose on each task, in searches of 20: one dot a task, coloured by half."""
    rows = sorted(result["judges"], key=lambda row: -np.mean([task["subset_regret"] for task in row["tasks"].values()]))
    figure = Figure(figsize=(8, 0.34 * len(rows) + 1.3), layout="constrained")
    axes = figure.subplots()
    for place, row in enumerate(rows):
        for name, task in row["tasks"].items():
            tuning = result["tasks"][name]["tuning"]
            shift, colour, marker = (0.14, GREY, "o") if tuning else (-0.14, BLUE, "D")
            axes.plot(task["subset_regret"], place + shift, marker, color=colour, alpha=0.8, markersize=5)
    labels = [row["name"] + (" (uses held-out data)" if row["sees"] == "data" else "") for row in rows]
    axes.set_yticks(range(len(rows)), labels)
    axes.set_xlabel("regret in random searches of 20, points: one mark a task")
    axes.set_xlim(-2, 102)
    axes.grid(axis="x", color="#dddddd")
    axes.plot([], [], "D", color=BLUE, label="reporting half")
    axes.plot([], [], "o", color=GREY, label="tuning half")
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, frameon=False)
    _bare(axes)
    return figure


def scatter_picture(result: Result, judge: str) -> Figure:
    """Draw a score against test quality, a panel for each task; what has collapsed is orange."""
    names = list(result["tasks"])
    measured = next(row["tasks"] for row in result["judges"] if row["name"] == judge)
    columns = min(5, len(names))
    lines = math.ceil(len(names) / columns)
    figure = Figure(figsize=(2.5 * columns, 2.4 * lines + 0.4), layout="constrained")
    panels = figure.subplots(lines, columns, squeeze=False).flatten()
    for axes, name in zip(panels, names, strict=False):
        points = result["points"][judge][name]
        collapsed = np.array(points["collapsed"])
        values, quality = np.array(points["values"], dtype=float), np.array(points["quality"])
        axes.plot(values[~collapsed], quality[~collapsed], "o", color=BLUE, markersize=3.5, alpha=0.8)
        axes.plot(values[collapsed], quality[collapsed], "X", color=ORANGE, markersize=4.5, alpha=0.8)
        half = "tuning" if result["tasks"][name]["tuning"] else "reporting"
        axes.set_title(f"{name}\n{half}, tau {measured[name]['tau']:.2f}", fontsize=8)
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(FixedLocator([0.5, 0.7, 1, 1.5, 2, 3, 5, 10, 20, 30]))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_ylim(-0.06, 1.06)
        axes.tick_params(labelsize=7, which="both")
        _bare(axes)
    for axes in panels[len(names) :]:
        axes.set_visible(False)
    figure.supxlabel(f"{judge}, lower is better; orange crosses have collapsed", fontsize=9)
    figure.supylabel("test quality: 0 chance, 1 best", fontsize=9)
    return figure


def _bare(axes: Any) -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
