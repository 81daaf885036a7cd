"""The score of a study: defined once, since numbers of two definitions cannot be compared."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from wwopt_objectives.study.attributes import SCORE

if TYPE_CHECKING:
    import optuna

    from wwopt.score import Score

__all__ = ["check_study_score"]


def check_study_score(study: optuna.Study, score: Score, *, with_loss: bool = False) -> None:
    """Check that a study minimises this score; a new study keeps the score's definition.

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
