"""A study has one definition of its score: numbers of two definitions cannot be compared."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import optuna

    from wwopt.score import Score

__all__ = ["claim"]

SCORE = "ww_score"


def claim(study: optuna.Study, score: Score, *, with_loss: bool = False) -> None:
    """Leave the score's definition on a study.

    Raises
    ------
    ValueError
        The study has other directions, or was begun with another score.
    """
    wanted = ["minimize"] * (2 if with_loss else 1)
    directions = [direction.name.lower() for direction in study.directions]
    if directions != wanted:
        how = f"directions={wanted}" if with_loss else 'direction="minimize"'
        raise ValueError(f"Lower is better: create the study with `{how}`, got {directions}.")
    settings, known = json.loads(json.dumps(score.settings())), study.user_attrs.get(SCORE)
    if known is None:
        study.set_user_attr(SCORE, settings)
    elif known != settings:
        raise ValueError(
            f"The study {study.study_name!r} was begun with the score {known}, and this objective has {settings}; "
            "their numbers cannot be compared. Use the same score, or a study of another name."
        )
