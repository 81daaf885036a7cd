"""An inspection as a table for people and as JSON for programs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from wwopt.cli.console import new_table, open_console, plain

if TYPE_CHECKING:
    from wwopt.engine.inspect import Inspection

__all__ = ["inspection_json", "print_inspection"]

UNITS = (("G", 1e9), ("M", 1e6), ("k", 1e3))
NAMED = 4  # tensors left out for the same reason that are named one by one


def inspection_json(found: Inspection) -> dict[str, Any]:
    """All of an inspection as plain values."""
    return {
        "layers": json.loads(found.layers.to_json(orient="records")),
        "skipped": json.loads(found.skipped.to_json(orient="records")),
        "parameters": found.parameters,
        "seconds": found.seconds,
        "memory": found.memory,
    }


def print_inspection(found: Inspection, *, remarks: bool = True) -> None:
    """Print a row per layer and the sums; with ``remarks`` also the tensors that are no weight matrices."""
    console = open_console()
    table = new_table("Layers")
    table.add_column("name", overflow="fold")
    for label, justify in (("type", "left"), ("dtype", "left"), ("shape", "right"), ("N x M", "right"),
                           ("eigenvalues", "right"), ("weights", "right")):  # fmt: skip
        table.add_column(label, justify="right" if justify == "right" else "left", no_wrap=True)
    table.add_column("left out", overflow="fold")
    for row in found.layers.to_dict(orient="records"):
        matrix = f"{row['N']} x {row['M']}" + (f" x {row['rf']}" if row["rf"] > 1 else "")
        shape = " x ".join(map(str, row["shape"]))
        cells = [
            row["layer_type"],
            plain(row["dtype"]),
            shape,
            matrix,
            f"{row['num_evals']}",
            _count(row["parameters"]),
        ]
        table.add_row(plain(row["name"]), *cells, plain(row["reason"]))
    console.print(table)
    for reason, names in found.skipped.groupby("reason", sort=False)["name"] if remarks else ():
        some = list(names) if len(names) <= NAMED else [f"{len(names)} tensors, {names.iloc[0]} the first"]
        for name in some:
            console.print(plain(f"no layer: {name}: {reason}"), soft_wrap=True)
    chosen = found.analysed
    console.print(
        f"{len(chosen)} of {len(found.layers)} weight matrices would be analysed, {_count(chosen['parameters'].sum())} "
        f"of {_count(found.parameters)} parameters: about {_duration(found.seconds)}, and "
        f"{_count(found.memory)}B of memory beside the network.",
        soft_wrap=True,
    )


def _count(number: float) -> str:
    unit, size = next(((unit, size) for unit, size in UNITS if number >= size), ("", 1.0))
    return f"{number / size:.1f} {unit}" if unit else f"{number:.0f} "


def _duration(seconds: float) -> str:
    if seconds < 1:
        return "a second"
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
