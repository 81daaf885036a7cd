"""`CATALOGUE`: every finding with its rule, its severity, its words and its source."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from wwopt.diagnosis.limits import MAX_TRAP_ENERGY, MIN_STABLE_RANK, STRONG_TRAP, outside_range
from wwopt.null import looks_like_noise

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wwopt.arrays import Flags, Floats
    from wwopt.diagnosis.finding import Severity
    from wwopt.powerlaw import EstimatorName

__all__ = ["CATALOGUE", "FAULT_KEYS", "LayerColumns", "Rule"]


@dataclass(frozen=True)
class LayerColumns:
    """Columns of a table of layers, and how they came about.

    Attributes
    ----------
    numbers, words : mapping of str to array
        Columns of numbers and of text; a column of numbers that is missing counts as NaN.
    estimator : {"mle", "hill", "peak", "tpl"}
        Estimator of the alphas.
    difference : bool
        Whether the numbers are those of differences to a base.
    """

    numbers: Mapping[str, Floats]
    words: Mapping[str, NDArray[Any]]
    estimator: EstimatorName = "mle"
    difference: bool = False

    def __getitem__(self, name: str) -> Floats:
        return self.numbers[name] if name in self.numbers else np.full(len(self.words["status"]), math.nan)

    def has(self, status: str) -> Flags:
        """Which layers have a status."""
        flags: Flags = self.words["status"] == status
        return flags

    @property
    def is_zero(self) -> Flags:
        """Which layers are zero: of these nothing was measured."""
        return self.has("degenerate") & ~(self["spectral_norm"] > 0)

    @property
    def is_embedding(self) -> Flags:
        """Which layers are embeddings: a mean that all rows share, and rare rows, belong to sound ones."""
        kinds = self.words["layer_type"] if "layer_type" in self.words else np.full(len(self.words["status"]), "")
        flags: Flags = kinds == "embedding"
        return flags

    @property
    def has_one_direction(self) -> Flags:
        """Which layers, that are no differences, carry their energy in one direction."""
        return ~self.has("degenerate") & (self["stable_rank"] < MIN_STABLE_RANK) & (not self.difference)

    @property
    def has_diverged(self) -> Flags:
        """Which layers, that are no differences, hold much of their energy in stray elements.

        Few elements may be all that a fine-tuning changed.
        """
        return (self["trap_energy"] > MAX_TRAP_ENERGY) & ~self.is_embedding & (not self.difference)

    @property
    def is_noise(self) -> Flags:
        """Which layers cannot be told from noise, so that their alpha is not to be read."""
        noise: Flags = self.has("success") & looks_like_noise(self["p_noise"], self["p_spike"])
        return noise

    @property
    def outside(self) -> tuple[Flags, Flags]:
        """Which alphas lie below the estimator's range, and which above."""
        below, above = outside_range(self["alpha"], self["sigma"], self.estimator)
        return below & ~self.is_noise, above & ~self.is_noise


@dataclass(frozen=True)
class Rule:
    """A finding of the catalogue: when it holds, and what it says.

    Attributes
    ----------
    key : str
        Identifier.
    severity : {"broken", "warning", "note"}
        Of the finding.
    when : str
        The rule, in words.
    sentence : str
        Predicate of one layer; its numbers are filled in from the layer's row.
    plural : str
        Predicate of several layers.
    advice : str
        Explanation, and what is commonly done.
    source : str
        Publication or evidence of the rule.
    holds : callable, optional
        Maps `LayerColumns` to a mask of layers; None for faults of tensors that are not analysed.
    """

    key: str
    severity: Severity
    when: str
    sentence: str
    plural: str
    advice: str
    source: str
    holds: Callable[[LayerColumns], Flags] | None = None


def _under_trained(layers: LayerColumns) -> Flags:
    below, above = layers.outside
    return (above | below) if layers.estimator == "tpl" else above


def _over_trained(layers: LayerColumns) -> Flags:
    below, _ = layers.outside
    return below & (layers.estimator != "tpl")


RULES = (
    Rule(
        "non-finite",
        "broken",
        "a value is NaN or infinite, or overflows when squared; also in a tensor that is not analysed",
        "holds values that are not finite",
        "hold values that are not finite",
        "The training diverged or the file is damaged. Go back to the last checkpoint without them; a lower learning "
        "rate, a warm-up, gradient clipping or a wider number format keep it from coming back.",
        "IEEE 754",
        lambda layers: layers.has("non-finite"),
    ),
    Rule(
        "zero",
        "broken",
        "every value of a layer is zero",
        "is all zero",
        "are all zero",
        "Such a layer passes on nothing. Look for a layer that was pruned away or never initialised, dead units, and "
        "weight decay that is too strong.",
        "no eigenvalue above zero",
        lambda layers: layers.is_zero & (not layers.difference),
    ),
    Rule(
        "degenerate",
        "broken",
        "a layer has rank one, so that its spectrum is a single value",
        "is of rank one",
        "are of rank one",
        "Such a layer passes on one number. Look for dead units, a layer that was never initialised, a learning rate "
        "that was too high, and weight decay that is too strong.",
        "numpy.linalg.matrix_rank",
        lambda layers: layers.has("degenerate") & ~layers.is_zero & (not layers.difference),
    ),
    Rule(
        "collapsed",
        "broken",
        f"the stable rank of a layer that is no embedding is below {MIN_STABLE_RANK:g}",
        f"has a stable rank of {{stable_rank:.2f}}, below {MIN_STABLE_RANK:g}",
        f"have a stable rank below {MIN_STABLE_RANK:g}",
        "One direction carries almost all of the layer's energy. Mostly the learning rate was too high, or the weight "
        "decay too strong: lower it and go back to an earlier checkpoint.",
        "Rudelson, Vershynin (2007), J. ACM 54(4); benchmarks/selection",
        lambda layers: layers.has_one_direction & ~layers.is_embedding,
    ),
    Rule(
        "diverged",
        "broken",
        f"stray elements hold more than {MAX_TRAP_ENERGY:.0%} of the energy of a layer that is no embedding, and no "
        "difference to a base",
        "has {trap_energy:.0%} of its energy in stray elements",
        f"have over {MAX_TRAP_ENERGY:.0%} of their energy in stray elements",
        "A few elements have grown far beyond all others: the learning rate was too high at some point. Lower it or "
        "clip the gradients, and go back to an earlier checkpoint.",
        "Baik, Ben Arous, Peche (2005), Ann. Probab. 33(5); benchmarks/selection",
        lambda layers: layers.has_diverged,
    ),
    Rule(
        "no-fit",
        "warning",
        "no power law can be fitted: all eigenvalues are the same, as in an identity matrix, or spread less than a "
        "tenth as far as those of a random matrix, as in an orthogonal one",
        "has no power law: all its singular values are about the same",
        "have no power law: all their singular values are about the same",
        "No tail could be fitted, so there is no alpha. The layer is still as it was initialised, orthogonal for "
        "instance, or was made so on purpose. Judge it by its rank.",
        "Clauset, Shalizi, Newman (2009), SIAM Review 51(4)",
        lambda layers: layers.has("failed"),
    ),
    Rule(
        "dominated",
        "warning",
        f"the stable rank of an embedding is below {MIN_STABLE_RANK:g}",
        f"has a stable rank of {{stable_rank:.2f}}, below {MIN_STABLE_RANK:g}",
        f"have a stable rank below {MIN_STABLE_RANK:g}",
        "A mean that all rows share carries almost all of the embedding's energy, which happens in sound networks too. "
        "Look at the layers that read it.",
        "Rudelson, Vershynin (2007), J. ACM 54(4)",
        lambda layers: layers.has_one_direction & layers.is_embedding,
    ),
    Rule(
        "trapped",
        "warning",
        f"stray elements hold more than {STRONG_TRAP:.0%} of the energy, and the layer has not diverged",
        "has {trap_energy:.1%} of its energy in stray elements",
        f"have over {STRONG_TRAP:.0%} of their energy in stray elements",
        "A few elements dominate: a correlation trap. Mostly the learning rate was too high at some point; embeddings "
        "of rare tokens show it too. Weaker traps are common in good networks.",
        "Martin, Mahoney (2021), JMLR 22(165)",
        lambda layers: (layers["trap_energy"] > STRONG_TRAP) & ~layers.has_diverged,
    ),
    Rule(
        "noise",
        "warning",
        "neither `p_noise` nor `p_spike` is below 0.5%",
        "cannot be told from noise",
        "cannot be told from noise",
        "A random matrix of the same shape has such a spectrum, whatever its alpha: the layer has learned nothing yet, "
        "or too little to show in a matrix of its size. Its alpha should not be read.",
        "John (1972), Biometrika 59(1); Johnstone (2001), Ann. Statist. 29(2)",
        lambda layers: layers.is_noise,
    ),
    Rule(
        "under-trained",
        "warning",
        "alpha is above the estimator's range by more than two standard errors (with `tpl` also: alpha is 0), and the "
        "layer is no noise",
        "is under-trained by its alpha of {alpha:.2f}",
        "are under-trained by their alphas",
        "The tail of the spectrum falls off almost as noise does. Longer training, more data or a higher learning rate "
        "for these layers bring alpha down; a layer that stays there is a candidate for pruning.",
        "Martin, Peng, Mahoney (2021), Nat. Commun. 12:4122; the estimators' ranges",
        _under_trained,
    ),
    Rule(
        "over-trained",
        "warning",
        "alpha is below the estimator's range by more than two standard errors, and the layer is no noise",
        "is over-trained by its alpha of {alpha:.2f}",
        "are over-trained by their alphas",
        "A few directions carry almost everything. Look at the stable rank: a small one says that the layer collapsed "
        "or memorises. Less training, a lower learning rate or more regularisation helps; embeddings are often there.",
        "SETOL (2025), arXiv 2507.17912; the estimators' ranges",
        _over_trained,
    ),
    Rule(
        "unchanged",
        "note",
        "a layer is the same as in the base model",
        "is the same as in the base model",
        "are the same as in the base model",
        "Nothing of this layer was trained: it was frozen, or got no gradient.",
        "no eigenvalue of the difference above zero",
        lambda layers: layers.is_zero & layers.difference,
    ),
    Rule(
        "zero-head",
        "broken",
        "a weight matrix that is not analysed, such as a small output layer, is zero in every value",
        "is all zero",
        "are all zero",
        "Such a layer passes on nothing, so that the network gives every input the same answer. Look for a layer that "
        "was never initialised or loaded, and weight decay that is too strong.",
        "no value other than zero",
    ),
    Rule(
        "impossible-statistic",
        "broken",
        "a running variance is zero or negative, or a count is negative",
        "holds statistics that cannot be",
        "hold statistics that cannot be",
        "No data have such a variance or count: the file is damaged, or something wrote over the buffers of a "
        "normalisation layer. Go back to an earlier checkpoint, or run the training data through the network once "
        "more.",
        "Ioffe, Szegedy (2015), ICML: running variances are means of squares",
    ),
)

CATALOGUE: dict[str, Rule] = {rule.key: rule for rule in RULES}
FAULT_KEYS = {"non-finite": "non-finite", "zero": "zero-head", "impossible": "impossible-statistic"}  # by kind of fault
