"""`Asker`: what a trial's network answers to the inputs of its study."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from torch import nn

from wwopt.response.ask import ask
from wwopt.response.probe_set import ProbeSet
from wwopt_objectives.study.attributes import INPUTS
from wwopt_objectives.study.kept_answers import KeptAnswers, pack

if TYPE_CHECKING:
    from optuna import Study

__all__ = ["Asker", "ModelInHand"]

logger = logging.getLogger("wwopt")

CANNOT_RUN = "a {} cannot be run: only a module can be asked"


class Asker:
    """Asks networks the inputs of a study; one may serve many trials, in several threads.

    Parameters
    ----------
    inputs : object
        What `wwopt.rank` takes as ``inputs``; read once, here.
    labels : bool
        Keep the labels that come with the inputs, for the meter.

    Raises
    ------
    TypeError, ValueError
        The inputs cannot be read, are fewer than two, all equal or not finite; or there are no labels with them.
    """

    def __init__(self, inputs: object, *, labels: bool = False) -> None:
        self._probes = ProbeSet.of(inputs, with_labels=labels)
        if labels and self._probes.labels is None:
            raise ValueError("`labels=True` needs `inputs` that come with labels: give pairs of inputs and labels.")
        self._lock = threading.Lock()
        self._warned: set[str] = set()

    def check_study(self, study: Study) -> None:
        """Leave the hash of the inputs on the study, with the labels; warn where it has that of others."""
        known = study.user_attrs.get(INPUTS)
        if known is None:
            study.set_user_attr(INPUTS, self._probes.hash)
        elif known != self._probes.hash:
            self._warn_once(
                "inputs",
                f"The trials of {study.study_name!r} so far were asked other inputs: their answers and those of the "
                "next trials cannot be compared, and the larger group alone will vote. Give the study the inputs that "
                "it was begun with, in the same order and without random changes.",
            )
        key = f"{INPUTS}:{self._probes.hash}"
        if self._probes.labels is not None and self._probes.kind == "classes" and key not in study.user_attrs:
            study.set_user_attr(key, {"labels": pack(self._probes.labels)})

    def ask(self, model: object, trial: int) -> KeptAnswers | str:
        """Ask a network; the reason where it cannot be asked, which costs its trial nothing but the vote."""
        if not isinstance(model, nn.Module):
            why = CANNOT_RUN.format(type(model).__name__)
            self._warn_once("module", f"`train` must give modules where there are `inputs`: {why}. No trial votes.")
            return why
        try:
            return KeptAnswers.of(ask(model, self._probes), self._probes.hash, self._probes.kind or "auto")
        except Exception as error:  # noqa: BLE001  (a forward pass may do anything)
            why = f"it could not be asked: {error}"
            self._warn_once("failed", f"The network of trial {trial} has no vote, as may others: {why}.")
            return why

    def _warn_once(self, kind: str, message: str) -> None:
        with self._lock:
            if kind in self._warned:
                return
            self._warned.add(kind)
        logger.warning("%s", message)

    def __getstate__(self) -> dict[str, object]:
        return {name: value for name, value in vars(self).items() if name != "_lock"}

    def __setstate__(self, state: dict[str, object]) -> None:
        vars(self).update(state, _lock=threading.Lock())


class ModelInHand:
    """A model as it was when it was evaluated, and whether it has changed since.

    Examples
    --------
    >>> import torch
    >>> model = nn.Linear(3, 2)
    >>> in_hand = ModelInHand(model)
    >>> _ = torch.nn.init.zeros_(model.bias)
    >>> in_hand.has_changed
    True
    """

    def __init__(self, model: object) -> None:
        self.model = model
        self._versions = _versions(model)

    @property
    def has_changed(self) -> bool:
        """Whether a parameter or a buffer has been written to."""
        return _versions(self.model) != self._versions


def _versions(model: object) -> list[tuple[int, int]]:
    """Where each tensor of a module lies, and PyTorch's count of the writes to it."""
    if not isinstance(model, nn.Module):
        return []
    tensors = [*model.parameters(), *model.buffers()]
    return [(id(tensor), 0 if tensor.is_inference() else tensor._version) for tensor in tensors]  # noqa: SLF001
