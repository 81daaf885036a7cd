"""The choice of a study as tags of its run: how journals keep it, and how backends show it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wwopt.tracking import Choice

__all__ = ["BEST", "CHOSEN", "REASON", "STUDY_NAME", "TAGS", "choice_in", "choice_tags", "is_newer", "without_choice"]

BEST = "wwopt.best"  # the run of the trial with the best value
CHOSEN = "wwopt.chosen"  # the run of the trial that is chosen; further tags begin with it
REASON, RUNG = f"{CHOSEN}.reason", f"{CHOSEN}.rung"
STUDY_NAME, BEGAN, TRIALS = f"{CHOSEN}.study", f"{CHOSEN}.began", f"{CHOSEN}.trials"

NUMBERS = ("agreement", "score", "loss", "meter")  # the tag of one that is not known is empty, and hides an earlier one

TAGS = (CHOSEN, BEST, REASON, RUNG, STUDY_NAME, BEGAN, TRIALS, *(f"{CHOSEN}.{name}" for name in NUMBERS))


def choice_tags(choice: Choice) -> dict[str, str]:
    """Return a choice as tags.

    Examples
    --------
    >>> from wwopt.tracking import Choice
    >>> choice = Choice("digits", "2026-01-01", "trial-3", "trial-5", "It agrees.", "inputs", 9, {"agreement": 0.93214})
    >>> {key: value for key, value in choice_tags(choice).items() if key in ("wwopt.chosen", "wwopt.chosen.agreement")}
    {'wwopt.chosen': 'trial-3', 'wwopt.chosen.agreement': '0.9321'}
    """
    return {
        CHOSEN: choice.chosen,
        BEST: choice.best or "",
        REASON: choice.reason,
        RUNG: choice.rung,
        STUDY_NAME: choice.study,
        BEGAN: choice.began,
        TRIALS: str(choice.trials),
        **{f"{CHOSEN}.{name}": f"{choice.metrics[name]:.4g}" if name in choice.metrics else "" for name in NUMBERS},
    }


def choice_in(tags: Mapping[str, str]) -> dict[str, str]:
    """Return those of a run's tags that are its choice; none where no choice was told."""
    return {key: tags[key] for key in TAGS if key in tags} if CHOSEN in tags else {}


def without_choice(tags: Mapping[str, str]) -> dict[str, str]:
    """Return those of a run's tags that stay as they are while it runs."""
    return {key: value for key, value in tags.items() if key not in TAGS}


def is_newer(choice: Mapping[str, str], shown: Mapping[str, str]) -> bool:
    """Whether a choice takes the place of one that is shown, perhaps by another worker.

    Examples
    --------
    >>> first = {"wwopt.chosen": "trial-3", "wwopt.chosen.began": "10:00", "wwopt.chosen.trials": "9"}
    >>> is_newer(first, first), is_newer(first, {**first, "wwopt.chosen.trials": "10"}), is_newer(first, {})
    (True, False, True)
    """
    same = all(choice.get(key) == shown.get(key) for key in (STUDY_NAME, BEGAN))
    return not same or int(choice.get(TRIALS, 0)) >= int(shown.get(TRIALS, 0))
