"""Elements that all figures share: canvas, colours safe for colour-blind readers, band, tick labels that fit."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from wwopt.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from wwopt.plots.scale import Scale

__all__ = [
    "BLUE",
    "GREEN",
    "GREY",
    "ORANGE",
    "band",
    "empty_figure",
    "figure",
    "legend",
    "name_ticks",
    "open_axes",
    "short",
]

BLUE, ORANGE, GREEN, GREY = "#0072b2", "#d55e00", "#009e73", "#7f7f7f"  # Okabe, Ito: safe for colour-blind readers
LEGEND_WIDTH = 2.1  # inches per label
LONGEST_NAME = 26  # characters that fit under an axis
LAST_NUMBER = re.compile(r"\.(\d+\.(?!.*\.\d+\.).*)")


def figure(*, width: float = 6.4, height: float = 4.4) -> tuple[Figure, Axes]:
    """Open a figure of ``width`` by ``height`` inches with one pair of axes.

    Raises
    ------
    ImportError
        matplotlib is not installed.
    """
    canvas = empty_figure(width=width, height=height)
    return canvas, open_axes(canvas.add_subplot())


def empty_figure(*, width: float, height: float) -> Figure:
    """Open a figure without axes."""
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415  (an extra)
    except ImportError as error:
        raise ImportError("Figures need matplotlib. Run `pip install 'wwopt[plot]'`.") from error
    return Figure(figsize=(width, height), dpi=120, layout="constrained")


def open_axes(axes: Axes) -> Axes:
    """Hide the top and the right spine."""
    axes.spines[["top", "right"]].set_visible(False)
    return axes


def band(span: Callable[..., Any], scale: Scale) -> None:
    """Shade the range of well-trained layers."""
    span(scale.low, scale.high, color=GREEN, alpha=0.12, linewidth=0, label=f"well trained, {scale.label}")


def legend(canvas: Figure, axes: Axes) -> None:
    """Put the legend above the axes, where it hides nothing."""
    columns = int(canvas.get_figwidth() / LEGEND_WIDTH)
    canvas.legend(
        *axes.get_legend_handles_labels(), loc="outside upper center", ncols=columns, frameon=False, fontsize=9
    )


def name_ticks(set_ticks: Callable[..., Any], names: Sequence[str], *, most: int, **style: Any) -> None:
    """Label at most ``most`` ticks of an axis, evenly spaced."""
    ticks = list(range(0, len(names), max(1, -(-len(names) // most))))
    set_ticks(ticks, [short(names[tick]) for tick in ticks], **style)


def short(name: str, longest: int = LONGEST_NAME) -> str:
    """Shorten a long name to what distinguishes layers: its last number and what follows; escape markup.

    Examples
    --------
    >>> short("model.decoder.layers.11.self_attention.query")
    '…11.self_attention.query'
    """
    if len(name) > longest and (block := LAST_NUMBER.search(name)):
        name = f"…{block[1]}"
    if len(name) > longest:
        head = longest // 2 - 1
        name = f"{name[:head]}…{name[len(name) - (longest - head - 1) :]}"
    return printable(name).replace("$", r"\$")
