"""Definition of a study's score: the score and the options of its analyses, since numbers of two cannot be compared."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from wwopt.engine.layer_limit import choose_min_evals
from wwopt.engine.settings import Settings
from wwopt.sources import resolve
from wwopt_objectives.study.attributes import SCORE

if TYPE_CHECKING:
    import optuna

    from wwopt.score import Score

__all__ = ["check_study_score", "fix_study_options", "study_min_evals", "study_options"]

OPTIONS = "analyze_options"  # key of the options beside the score's settings; studies of version 0.1 lack it
ADDED = ("confidence",)  # options that add columns and change no number


def check_study_score(
    study: optuna.Study, score: Score, options: Mapping[str, Any], *, with_loss: bool = False
) -> None:
    """Check that a study minimises this score of analyses with these options; a new study keeps the score's settings.

    Raises
    ------
    ValueError
        The study has other directions, or was begun with another score or other options that change numbers; or an
        option is out of its range.
    """
    wanted = ["minimize"] * (2 if with_loss else 1)
    directions = [direction.name.lower() for direction in study.directions]
    if directions != wanted:
        how = f"directions={wanted}" if with_loss else 'direction="minimize"'
        raise ValueError(f"Lower is better: create the study with `{how}`, got {directions}.")
    _check_options(study, study_options(study), options)
    settings, known = _as_json(score.settings()), study.user_attrs.get(SCORE)
    if known is None:
        study.set_user_attr(SCORE, {**settings, OPTIONS: {}})
    elif settings != {name: value for name, value in known.items() if name != OPTIONS}:
        raise ValueError(
            f"The study {study.study_name!r} was begun with the score {known}, and this objective has {settings}; "
            "their numbers cannot be compared. Use the same score, or a study of another name."
        )


def fix_study_options(study: optuna.Study, score: Score, options: Mapping[str, Any]) -> None:
    """Keep the options of a study's first evaluation beside the score's settings; later ones must be the same."""
    known = study_options(study)
    _check_options(study, known, options)
    if not known:
        study.set_user_attr(SCORE, {**_as_json(score.settings()), OPTIONS: _number_options(options)})


def study_options(study: optuna.Study) -> dict[str, Any]:
    """Get the options of a study's analyses; empty before its first evaluation."""
    return dict((study.user_attrs.get(SCORE) or {}).get(OPTIONS) or {})


def study_min_evals(study: optuna.Study, model: object, options: Mapping[str, Any]) -> int:
    """Get the limit that all trials of a study share; before its first evaluation, the one that suits a model."""
    given = options.get("min_evals", study_options(study).get("min_evals"))
    if given is not None:
        return int(given)
    without_options = OPTIONS not in (study.user_attrs.get(SCORE) or {OPTIONS: {}})
    return Settings.min_evals if without_options else choose_min_evals(model, options)


def _check_options(study: optuna.Study, known: Mapping[str, Any], options: Mapping[str, Any]) -> None:
    """Check options against those of a study; a limit that was not given is the study's."""
    wanted = _number_options(options)
    names = [name for name in known if name != "min_evals" or name in options]
    changed = [name for name in names if name in wanted and known[name] != wanted[name]]
    if changed:
        before, now = (", ".join(f"{name}={values[name]!r}" for name in changed) for values in (known, wanted))
        raise ValueError(
            f"The study {study.study_name!r} was begun with `{before}`, and this objective has `{now}`; their numbers "
            "cannot be compared. Use the same options of `wwopt.analyze`, or a study of another name."
        )


def _number_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """All options of `wwopt.analyze` that change a number or the choice of layers, as JSON has them."""
    names = {field.name for field in fields(Settings)}
    given = {name: value for name, value in options.items() if name in names}
    if given.get("base") is not None:
        given["base"] = resolve(given["base"]).label
    values = Settings(**given).to_dict()
    return _as_json({name: value for name, value in values.items() if name not in ADDED})


def _as_json(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values as they come back from a storage."""
    return dict(json.loads(json.dumps(values)))
