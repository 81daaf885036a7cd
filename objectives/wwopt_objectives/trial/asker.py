"""`Asker`: what a trial's network answers to the inputs of its study."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, get_args

from torch import nn

from wwopt.consensus.answers import AnswerKind
from wwopt.response.ask import answer_space, ask
from wwopt.response.probe_set import INPUTS as FEWEST
from wwopt.response.probe_set import ProbeSet, inputs_for
from wwopt_objectives.study.attributes import INPUTS
from wwopt_objectives.study.kept_answers import KeptAnswers, pack

if TYPE_CHECKING:
    from optuna import Study, Trial

__all__ = ["Asker", "ModelInHand"]

logger = logging.getLogger("wwopt")

CANNOT_RUN = "a {} cannot be run: only a module can be asked"


class Asker:
    """Asks networks the inputs of a study; one may serve many trials, in several threads.

    Parameters
    ----------
    inputs : object
        What `wwopt.rank` takes as ``inputs``; read here, and again at the first network where that has many classes.
    kind : {"auto", "classes", "values"}
        What the answers are, as `wwopt.rank` takes it.
    with_labels : bool
        Keep the labels that come with the inputs, for the meter.

    Raises
    ------
    TypeError, ValueError
        The inputs cannot be read, are fewer than two, all equal or not finite; or there are no labels with them.
    """

    def __init__(self, inputs: object, *, kind: AnswerKind = "auto", with_labels: bool = False) -> None:
        if kind not in get_args(AnswerKind):
            raise ValueError(f"`kind` must be one of {', '.join(get_args(AnswerKind))}, got {kind!r}.")
        self._kind = kind
        self._with_labels = with_labels
        self._probes = ProbeSet.of(inputs, with_labels=with_labels)
        self._again = None if isinstance(inputs, (ProbeSet, Iterator)) else inputs  # to read more of, where needed
        if with_labels and self._probes.labels is None:
            raise ValueError("`with_labels=True` needs `inputs` that come with labels: give pairs of the two.")
        self._lock = threading.Lock()
        self._warned: set[str] = set()

    def ask(self, model: object, trial: Trial) -> KeptAnswers | str:
        """Ask the network of a trial; the reason where it cannot be asked, which costs the trial only its vote."""
        if not isinstance(model, nn.Module):
            why = CANNOT_RUN.format(type(model).__name__)
            self._warn_once("module", f"`train` must give modules where there are `inputs`: {why}. No trial votes.")
            return why
        try:
            probes = self._probes_for(model)
            outputs = ask(model, probes)
        except Exception as error:  # noqa: BLE001  (a forward pass may do anything)
            why = f"it could not be asked: {error}"
            self._warn_once("failed", f"The network of trial {trial.number} has no vote, as may others: {why}.")
            return why
        self._leave_on(trial.study, probes)
        return KeptAnswers.of(outputs, probes.hash, probes.kind or "auto" if self._kind == "auto" else self._kind)

    def _probes_for(self, model: nn.Module) -> ProbeSet:
        """Return the inputs; at the first network, which tells the number of classes, there may be more of them."""
        with self._lock:
            if self._again is not None:
                count = inputs_for(answer_space(model, self._probes)[-1])
                if count > len(self._probes) >= FEWEST:
                    self._probes = ProbeSet.of(self._again, count, with_labels=self._with_labels)
                self._again = None
            return self._probes

    def _leave_on(self, study: Study, probes: ProbeSet) -> None:
        """Leave the hash of the inputs on the study, with the labels; warn where it has that of others."""
        known = study.user_attrs
        if probes.labels is not None and probes.kind == "classes" and f"{INPUTS}:{probes.hash}" not in known:
            study.set_user_attr(f"{INPUTS}:{probes.hash}", {"labels": pack(probes.labels)})
        if INPUTS not in known:
            study.set_user_attr(INPUTS, probes.hash)
        elif known[INPUTS] != probes.hash:
            self._warn_once(
                "inputs",
                f"The trials of {study.study_name!r} so far were asked other inputs: their answers and those of the "
                "next trials cannot be compared, and the larger group alone will vote. Give the study the inputs that "
                "it was begun with, in the same order and without random changes.",
            )

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
