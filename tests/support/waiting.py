"""Waits for events, with a deadline that a slow and busy machine does not miss."""

from __future__ import annotations

import time

DEADLINE = 300.0  # seconds


def wait_for(condition, what="it", *, pause=0.05):
    """Wait until a condition holds, and give what it returned."""
    end = time.monotonic() + DEADLINE
    while not (found := condition()):
        assert time.monotonic() < end, f"waited {DEADLINE:g} s for {what} in vain"
        time.sleep(pause)
    return found


def delivered(path="wwopt-journal"):
    """Deliver what is left in a folder of journals, once senders that outlived their trainings have ended."""
    from wwopt_trackers import sync

    def settled():
        synced = sync(path)
        return [] if any(each.state == "in progress" for each in synced) else synced

    return wait_for(settled, "the senders")
