"""Deliveries and verifications of journals as lines for people and as JSON for programs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from wwopt.cli.console import open_console, plain

if TYPE_CHECKING:
    from wwopt_trackers import Synced, Verified
    from wwopt_trackers.backends.protocol import Point

__all__ = ["print_synced", "print_verified", "synced_json", "verified_json"]

POINTS = 5  # of a run that are printed; the JSON has all


def synced_json(done: Sequence[Synced]) -> list[dict[str, str]]:
    """A record per journal: its path, its state and a message."""
    return [{"journal": str(each.journal), "state": each.state, "message": each.message} for each in done]


def print_synced(done: Sequence[Synced], *, remarks: bool) -> None:
    """Print a line per journal; without ``remarks`` only those that are not delivered."""
    console = open_console()
    for each in done:
        if remarks or not each.ok:
            message = f": {each.message}" if each.message else ""
            console.print(plain(f"{each.journal}: {each.state}{message}"), soft_wrap=True)
    if remarks and not done:
        console.print("There is no journal.")


def verified_json(found: Sequence[Verified]) -> list[dict[str, Any]]:
    """A record per run, with its points as [key, step, time, value], NaN as null."""
    return [
        {
            "journal": str(each.journal),
            "run": each.run,
            "remote": each.remote,
            "points": each.points,
            "missing": [_plain_point(point) for point in each.missing],
            "duplicated": [_plain_point(point) for point in each.duplicated],
            "unwritten": list(each.unwritten),
            "message": each.message,
        }
        for each in found
    ]


def print_verified(found: Sequence[Verified], *, remarks: bool) -> None:
    """Print a line per run and its faulty points; without ``remarks`` only runs at fault, and no total."""
    console = open_console()
    for each in found:
        if remarks or not each.ok:
            console.print(plain(_run(each)), soft_wrap=True)
        for line in (*_points("missing", each.missing), *_points("duplicated", each.duplicated)):
            console.print(plain(line), soft_wrap=True)
    if remarks:
        console.print(_total(found), soft_wrap=True)


def _run(verified: Verified) -> str:
    faults = f"{len(verified.missing)} missing, {len(verified.duplicated)} duplicated"
    spectra = f", no spectra of {len(verified.unwritten)} steps" if verified.unwritten else ""
    return f"{verified.run}: {verified.points} points, {verified.message or faults}{spectra}"


def _points(fault: str, points: Sequence[Point]) -> list[str]:
    lines = [f"  {fault}: {key} = {value:g} at step {step}" for key, step, _, value in points[:POINTS]]
    return lines + ([f"  and {len(points) - POINTS} more; `--json` has all"] if len(points) > POINTS else [])


def _total(found: Sequence[Verified]) -> str:
    points = sum(each.points for each in found)
    missing, duplicated = sum(len(each.missing) for each in found), sum(len(each.duplicated) for each in found)
    return f"{points} points in {len(found)} runs: {missing} missing, {duplicated} duplicated"


def _plain_point(point: Point) -> list[str | int | float | None]:
    return [None if isinstance(value, float) and math.isnan(value) else value for value in point]
