"""What a new version is compared with, and what is said about it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wwopt.comparison import Comparison, compare
from wwopt.text import printable
from wwopt.weights import open_weights

if TYPE_CHECKING:
    from wwopt.watching.versions import Source, Version

__all__ = ["Report", "Watch", "follow"]

FAULTS = (ValueError, OSError, ImportError, TypeError, RuntimeError)
SETTLING = 1.0  # seconds between the first two looks


@dataclass(frozen=True)
class Report:
    """What was found in a new version.

    Attributes
    ----------
    version : Version
        The new one.
    reference : str
        The name of what it was compared with; empty where there was nothing before it.
    comparison : Comparison or None
        None where it cannot be read.
    fault : str
        Why it cannot be read.
    """

    version: Version
    reference: str
    comparison: Comparison | None = None
    fault: str = ""

    @property
    def ok(self) -> bool:
        """Whether it was read and no layer is broken."""
        return self.comparison is not None and self.comparison.ok

    def __str__(self) -> str:
        return printable(f"{self.version.name}: {self._finding()}")

    def to_dict(self) -> dict[str, Any]:
        """Give everything as plain values."""
        alerts, warnings = (self.comparison.alerts, self.comparison.warnings) if self.comparison else ((), ())
        return {
            "version": self.version.name,
            "source": self.version.source,
            "reference": self.reference or None,
            "ok": self.ok,
            "alerts": [alert._asdict() for alert in alerts],
            "warnings": list(warnings),
            "fault": self.fault or None,
            "text": str(self),
        }

    def tags(self) -> dict[str, str]:
        """Give what a registry keeps beside the version."""
        alerts = self.comparison.alerts if self.comparison else ()
        return {
            "wwopt.ok": str(self.ok).lower(),
            "wwopt.alerts": printable("; ".join(map(str, alerts)))[:1000],
            "wwopt.reference": self.reference,
        }

    def _finding(self) -> str:
        if self.comparison is None:
            return f"cannot be judged: {' '.join(self.fault.split())}"
        table, alerts = self.comparison.table, self.comparison.alerts
        against = f", compared with {self.reference}" if self.reference else ", the first; nothing to compare it with"
        if alerts:
            return f"ALERT, {len(alerts)} of {len(table)} layers broken{against}: {'; '.join(map(str, alerts))}"
        changed = int((table["status"] != "same").sum())
        return f"ok, {changed} of {len(table)} layers changed{against}"


class Watch:
    """Looks at a source again and again, and judges what is new since the last look.

    A version is read when two looks have found it in the same state, so that none is read while it is written. It is
    compared with the last one that was sound: a layer that stays broken stays an alert. One that cannot be read is
    reported once and tried again.

    Parameters
    ----------
    source : Source
        Where versions appear. Of those that are there at the beginning, the newest is judged.
    reference : str, optional
        What all are compared with, else the one before.
    options : mapping, optional
        Of `wwopt.compare`.
    """

    def __init__(
        self, source: Source, *, reference: str | None = None, options: Mapping[str, Any] | None = None
    ) -> None:
        if reference is not None:
            open_weights(reference)
        self.source, self.reference, self.options = source, reference, dict(options or {})
        self.unsettled: tuple[str, ...] = ()
        self._looked: dict[str, tuple[object, ...]] = {}
        self._done: dict[str, tuple[object, ...]] = {}
        self._sound: list[Version] = []
        self._told: set[str] = set()

    def look(self) -> Iterator[Report]:
        """Report on each version that is new and settled."""
        versions = self.source.versions()
        before, self._looked = self._looked, {version.name: version.state for version in versions}
        settled = [version for version in versions if before.get(version.name) == version.state]
        self.unsettled = tuple(version.name for version in versions if version not in settled)
        if settled and not self._done:
            self._begin(settled[:-1])
        for version in settled:
            if self._done.get(version.name) != version.state:
                yield from self._judge(version)

    def _begin(self, older: list[Version]) -> None:
        """Take what was there before the newest as known, and the last that can be read as sound."""
        self._done = {version.name: version.state for version in older}
        newest = next((version for version in reversed(older) if self._opens(version)), None)
        self._sound = [newest] if newest else []

    def _judge(self, version: Version) -> Iterator[Report]:
        sound = [one for one in self._sound if one.name != version.name and self._looked.get(one.name) == one.state]
        before = sound[-1] if sound else None
        name = self.reference or (before.name if before else "")
        try:
            report = Report(version, name, self._compare(before, version))
        except FAULTS as error:
            if version.name not in self._told:
                self._told.add(version.name)
                yield Report(version, name, fault=str(error))
            return
        self._done[version.name] = version.state
        self._told.discard(version.name)
        self._sound = [*sound, version] if report.ok else sound
        yield report

    def _compare(self, before: Version | None, version: Version) -> Comparison:
        """Compare with the reference or the one before; the first with itself, which shows what is not finite."""
        with self.source.fetch(version) as candidate:
            open_weights(candidate)
            if self.reference is not None or before is None:
                return compare(self.reference or candidate, candidate, **self.options)
            with self.source.fetch(before) as reference:
                return compare(reference, candidate, **self.options)

    def _opens(self, version: Version) -> bool:
        try:
            with self.source.fetch(version) as candidate:
                open_weights(candidate)
        except FAULTS:
            return False
        return True


def follow(
    watch: Watch,
    *,
    interval: float = 60.0,
    once: bool = False,
    warn: Callable[[str], None] = lambda _: None,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Report]:
    """Look for ever, or once, and report on every new version.

    Parameters
    ----------
    watch : Watch
        What is looked at. Its source must be there at the beginning; if it cannot be reached later, that is said once
        and the watch goes on.
    interval : float, seconds
        Between two looks; the first two, which tell what is still being written, are at most a second apart.
    once : bool
        End after these two.
    warn : callable
        Told in a line what keeps the watch from looking.
    sleep : callable
        Waits.
    """
    if not interval > 0:
        raise ValueError(f"`interval` must be more than 0 seconds, got {interval}.")
    yield from watch.look()
    sleep(min(interval, SETTLING))
    yield from watch.look()
    reached = True
    while not once:
        sleep(interval)
        try:
            yield from watch.look()
            reached = True
        except OSError as error:
            if reached:
                warn(f"{' '.join(str(error).split())}; trying again")
            reached = False
