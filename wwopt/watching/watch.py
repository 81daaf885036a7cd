"""`Watch`: compares each new version of a network with the last sound one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wwopt.comparison import Comparison, compare
from wwopt.sources import READ_ERRORS, weights_of
from wwopt.text import one_line, printable

if TYPE_CHECKING:
    from wwopt.watching.versions import Version, VersionSource

__all__ = ["VersionReport", "Watch", "follow"]

SETTLING = 1.0  # seconds between the first two polls


@dataclass(frozen=True)
class VersionReport:
    """Result of the comparison of a new version.

    Attributes
    ----------
    version : Version
        The new version.
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
        """Return plain values, for JSON."""
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
        """Return the tags that a registry keeps beside the version."""
        alerts = self.comparison.alerts if self.comparison else ()
        return {
            "wwopt.ok": str(self.ok).lower(),
            "wwopt.alerts": printable("; ".join(map(str, alerts)))[:1000],
            "wwopt.reference": self.reference,
        }

    def _finding(self) -> str:
        if self.comparison is None:
            return f"cannot be judged: {one_line(self.fault)}"
        table, alerts = self.comparison.table, self.comparison.alerts
        against = f", compared with {self.reference}" if self.reference else ", the first; nothing to compare it with"
        if alerts:
            return f"ALERT, {len(alerts)} of {len(table)} layers broken{against}: {'; '.join(map(str, alerts))}"
        changed = int((table["status"] != "same").sum())
        return f"ok, {changed} of {len(table)} layers changed{against}"


class Watch:
    """Polls a source, and compares what is new since the last poll.

    A version is read when two polls have found it in the same state, so that none is read while it is written. It is
    compared with the last one that was sound: a layer that stays broken stays an alert. One that cannot be read is
    reported once and tried again.

    Parameters
    ----------
    source : VersionSource
        Where versions appear. Of those that are there at the beginning, the newest is compared.
    reference : str, optional
        What all are compared with, else the one before.
    options : mapping, optional
        Of `wwopt.compare`.
    """

    def __init__(
        self, source: VersionSource, *, reference: str | None = None, options: Mapping[str, Any] | None = None
    ) -> None:
        if reference is not None:
            weights_of(reference)
        self.source, self.reference, self.options = source, reference, dict(options or {})
        self.unsettled: tuple[str, ...] = ()
        self._seen: dict[str, tuple[object, ...]] = {}
        self._done: dict[str, tuple[object, ...]] = {}
        self._sound: list[Version] = []
        self._reported: set[str] = set()

    def poll(self) -> Iterator[VersionReport]:
        """Report on each version that is new and settled."""
        versions = self.source.versions()
        before, self._seen = self._seen, {version.name: version.state for version in versions}
        settled = [version for version in versions if before.get(version.name) == version.state]
        self.unsettled = tuple(version.name for version in versions if version not in settled)
        if settled and not self._done:
            self._begin(settled[:-1])
        for version in settled:
            if self._done.get(version.name) != version.state:
                yield from self._check(version)

    def _begin(self, older: list[Version]) -> None:
        """Take the versions before the newest as known, and the last of them that can be read as sound."""
        self._done = {version.name: version.state for version in older}
        newest = next((version for version in reversed(older) if self._opens(version)), None)
        self._sound = [newest] if newest else []

    def _check(self, version: Version) -> Iterator[VersionReport]:
        sound = [one for one in self._sound if one.name != version.name and self._seen.get(one.name) == one.state]
        before = sound[-1] if sound else None
        name = self.reference or (before.name if before else "")
        try:
            report = VersionReport(version, name, self._compare(before, version))
        except READ_ERRORS as error:
            if version.name not in self._reported:
                self._reported.add(version.name)
                yield VersionReport(version, name, fault=str(error))
            return
        self._done[version.name] = version.state
        self._reported.discard(version.name)
        self._sound = [*sound, version] if report.ok else sound
        yield report

    def _compare(self, before: Version | None, version: Version) -> Comparison:
        """Compare with the reference or the one before; the first with itself, which shows what is not finite."""
        with self.source.fetch(version) as candidate:
            weights_of(candidate)
            if self.reference is not None or before is None:
                return compare(self.reference or candidate, candidate, **self.options)
            with self.source.fetch(before) as reference:
                return compare(reference, candidate, **self.options)

    def _opens(self, version: Version) -> bool:
        try:
            with self.source.fetch(version) as candidate:
                weights_of(candidate)
        except READ_ERRORS:
            return False
        return True


def follow(
    watch: Watch,
    *,
    interval: float = 60.0,
    once: bool = False,
    warn: Callable[[str], None] = lambda _: None,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[VersionReport]:
    """Poll for ever, or once, and report on every new version.

    Parameters
    ----------
    watch : Watch
        What is polled. Its source must be there at the beginning; if it cannot be reached later, `warn` is called once
        and the watch goes on.
    interval : float, seconds
        Between two polls; the first two, which tell what is still being written, are at most a second apart.
    once : bool
        End after these two.
    warn : callable
        Called with a line that says why the source cannot be reached.
    sleep : callable
        Called with the seconds to wait.
    """
    if not interval > 0:
        raise ValueError(f"`interval` must be more than 0 seconds, got {interval}.")
    yield from watch.poll()
    sleep(min(interval, SETTLING))
    yield from watch.poll()
    reached = True
    while not once:
        sleep(interval)
        try:
            yield from watch.poll()
            reached = True
        except OSError as error:
            if reached:
                warn(f"{one_line(error)}; trying again")
            reached = False
