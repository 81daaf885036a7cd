"""Choosing by answers, judged on trained networks: ``python -m benchmarks.selection.consensus``.

The tasks of the evidence, whole and in searches of 8, 12 and 20; then what a plain vote fails: planted twins, good
majorities removed, one good among bad, a crowd that fits everything, and networks trained on few and unequal classes,
or on labels of which 5, 20, 40 percent, or one kind only, are wrong. Prints the tables.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from benchmarks.selection import families
from benchmarks.selection.answers import given_labels, outputs_of, probe_inputs
from benchmarks.selection.data import digit_imbalance, digits
from benchmarks.selection.measures import best_third, taus
from benchmarks.selection.networks import load_networks, qualities
from benchmarks.selection.scores import Judge
from benchmarks.selection.store import FOLDER
from benchmarks.selection.tables import markdown
from benchmarks.selection.tasks import TASKS, Task
from benchmarks.selection.train import missing, train_network
from wwopt import AlphaScore, agreement
from wwopt.consensus import Verdict, choose, sketch

if TYPE_CHECKING:
    from torch import Tensor

    from benchmarks.selection.networks import Network

__all__ = ["METHODS", "PLANTED", "SIZES", "TROUBLED", "Crowd", "crowd", "judges", "measures", "searches"]

Inputs = Literal["training", "fresh"]
Values = NDArray[np.float64]

SIZES = (8, 12, 20)
DRAWS = 200  # searches of each size
FEW = 24  # networks of a troubled task
POSITIONS = 2048  # of all sequences of a task together


@dataclass(frozen=True)
class Crowd:
    """Networks of one task as a verdict sees them, with their qualities, from 0 at chance to 1 for the best."""

    name: str
    kind: Literal["classes", "values"]
    answers: NDArray[Any]  # class numbers (networks, inputs[, positions]), or values (networks, inputs, outputs)
    sketches: list[NDArray[np.float16]]
    losses: Values
    scores: Values
    sound: NDArray[np.bool_]
    labels: NDArray[np.int64] | None
    quality: Values
    collapsed: NDArray[np.bool_]

    def take(self, rows: Sequence[int] | NDArray[np.intp]) -> Crowd:
        """Return some of the networks, perhaps one of them several times."""
        rows = np.asarray(rows)
        return replace(
            self, answers=self.answers[rows], sketches=[self.sketches[row] for row in rows], losses=self.losses[rows],
            scores=self.scores[rows], sound=self.sound[rows], quality=self.quality[rows],
            collapsed=self.collapsed[rows],
        )  # fmt: skip

    def verdict(self, *, losses: bool) -> Verdict:
        """Choose, with the training losses or without."""
        return choose(
            self.answers, sound=self.sound, scores=self.scores, losses=self.losses if losses else None,
            labels=self.labels, sketches=self.sketches, kind=self.kind,
        )  # fmt: skip


def crowd(networks: Sequence[Network], inputs: Inputs) -> Crowd:
    """Ask the analysed networks of a task the inputs they were trained on, or others."""
    task = networks[0].task
    x, kind = probe_inputs(task, inputs), task.data().kind
    if kind == "tokens":
        x = x[: max(2, POSITIONS // x.shape[1])]
    found = [_asked(one, x, kind) for one in networks]
    labels = given_labels(task)[: len(x)] if inputs == "training" and kind != "values" else None
    quality, collapsed = qualities(networks)
    return Crowd(
        name=task.name,
        kind="values" if kind == "values" else "classes",
        answers=np.stack([answers for answers, _ in found]),
        sketches=[fingerprint for _, fingerprint in found],
        losses=np.array([one.number("train_loss") for one in networks]),
        scores=np.array([_score(one) for one in networks]),
        sound=np.array([one.analysis is not None and not one.analysis.broken for one in networks]),
        labels=labels,
        quality=quality,
        collapsed=collapsed,
    )


def _asked(network: Network, x: Tensor, kind: str) -> tuple[NDArray[Any], NDArray[np.float16]]:
    """Class numbers or values of one network, and the sketch of its outputs."""
    outputs = outputs_of(network, x)
    finite = np.isfinite(outputs).all()
    answers = outputs if kind == "values" else np.where(finite, outputs.argmax(axis=-1), -1)
    return answers, sketch(outputs)


def _score(network: Network) -> float:
    return float("nan") if network.analysis is None or network.analysis.unmeasured else AlphaScore()(network.analysis)


def _by_verdict(crowd: Crowd, *, losses: bool) -> Values:
    """Values whose order is the verdict's, less for a better network."""
    verdict = crowd.verdict(losses=losses)
    places = np.empty(len(crowd.quality))
    places[list(verdict.order)] = np.arange(len(places))
    return places


def _by_plain_vote(crowd: Crowd) -> Values:
    return -agreement(crowd.answers, kind=crowd.kind)


METHODS: dict[str, Callable[[Crowd], Values]] = {  # less for a better network
    "training loss": lambda crowd: np.where(np.isnan(crowd.losses), np.inf, crowd.losses),
    "AlphaScore()": lambda crowd: np.where(np.isnan(crowd.scores), np.inf, crowd.scores),
    "plain vote": _by_plain_vote,
    "inputs": partial(_by_verdict, losses=False),
    "inputs and loss": partial(_by_verdict, losses=True),
}


def judges(inputs: Inputs) -> list[Judge]:
    """Return the rungs as judges of `benchmarks.selection.evaluate`, asked training inputs or fresh ones."""
    seen: dict[tuple[str, int], Crowd] = {}

    def values(method: Callable[[Crowd], Values], networks: Sequence[Network]) -> Values:
        key = (networks[0].task.name, len(networks))
        if key not in seen:
            seen[key] = crowd(networks, inputs)
        return method(seen[key])

    options = {**AlphaScore.requires}
    rungs = {"inputs": "inputs", "inputs and loss": "inputs and training"}
    return [
        Judge(f"{rung}, {inputs} inputs", sees, partial(values, METHODS[rung]), options) for rung, sees in rungs.items()
    ]


def measures(values: Values, quality: Values) -> dict[str, float]:
    """Tau, regret in points and tau in the best third; of tied networks the worst counts as chosen."""
    chosen = np.lexsort((quality, values))[0]
    return {
        "tau": float(taus(values, quality, np.ones((1, len(values))))[0]),
        "regret": 100 * float(1 - quality[chosen] / max(quality.max(), 1e-12)),
        "tau_third": best_third(values, quality),
    }


def searches(crowd: Crowd, size: int, draws: int = DRAWS) -> dict[str, dict[str, float]]:
    """Choose in random subsets, the same for every method: mean and worst regret, share of collapsed choices."""
    random = np.random.default_rng(size)
    found: dict[str, list[tuple[float, bool]]] = {name: [] for name in METHODS}
    for _ in range(draws):
        some = crowd.take(random.permutation(len(crowd.quality))[:size])
        if some.quality.max() <= 0:
            continue
        for name, method in METHODS.items():
            chosen = np.lexsort((some.quality, method(some)))[0]
            found[name].append((100 * (1 - some.quality[chosen] / some.quality.max()), bool(some.collapsed[chosen])))
    return {
        name: {
            "mean": float(np.mean([regret for regret, _ in rows])),
            "worst": float(np.max([regret for regret, _ in rows])),
            "collapsed": float(np.mean([collapsed for _, collapsed in rows])),
        }
        for name, rows in found.items()
        if rows
    }


def with_twins(crowd: Crowd, copies: int = 12) -> Crowd:
    """Plant copies of a mediocre network: the one nearest to half the quality of the best."""
    mediocre = int(np.argmin(np.abs(crowd.quality - 0.5)))
    return crowd.take([*range(len(crowd.quality)), *[mediocre] * copies])


def without_majority(crowd: Crowd, keep: int = 3) -> Crowd:
    """Leave of the good half its best few, and all of the other half."""
    order = np.argsort(-crowd.quality, kind="stable")
    return crowd.take(np.sort(np.concatenate([order[:keep], order[len(order) // 2 :]])))


def one_among_bad(crowd: Crowd) -> Crowd:
    """Leave the best network and the worse half."""
    return without_majority(crowd, keep=1)


def all_fit(crowd: Crowd, share: float = 0.25) -> Crowd:
    """Leave the quarter with the least training losses."""
    count = max(6, round(share * len(crowd.quality)))
    return crowd.take(np.sort(np.argsort(np.nan_to_num(crowd.losses, nan=np.inf), kind="stable")[:count]))


PLANTED: dict[str, Callable[[Crowd], Crowd]] = {
    "as it is": lambda crowd: crowd,
    "twelve twins of a mediocre network": with_twins,
    "the good majority removed, but three": without_majority,
    "one good among bad": one_among_bad,
    "only the quarter that fits best": all_fit,
}

troubled = partial(Task, tuning=True, build=families.mlp, epochs=(8, 60), widths=(64, 256), depths=(1, 3))
TROUBLED: dict[str, Task] = {
    task.name: task
    for task in (
        troubled("digits-imbalanced", "two classes of 45 digits and eight of 8", digit_imbalance),
        troubled("digits-wrong5", "digits, 5% wrong labels", partial(digits, (700, 200, 897), wrong=0.05)),
        troubled("digits-wrong20", "digits, 20% wrong labels", partial(digits, (700, 200, 897), wrong=0.2)),
        troubled("digits-wrong40", "digits, 40% wrong labels", partial(digits, (700, 200, 897), wrong=0.4)),
        troubled("digits-next40", "digits, 40% with the label of the next digit",
                 partial(digits, (700, 200, 897), wrong=0.4, to_next=True)),
    )
}  # fmt: skip


def table(rows: Mapping[str, Mapping[str, float]], columns: Sequence[str], title: str) -> str:
    """Return a table in Markdown."""
    cells = ([name, *[f"{row[column]:.2f}" for column in columns]] for name, row in rows.items())
    return markdown([title, *columns], cells)


def acceptance(crowds: Sequence[Crowd]) -> Iterator[tuple[str, dict[str, dict[str, float]]]]:
    """Yield, for each thing planted, the mean and worst regret of every method over the crowds."""
    for name, plant in PLANTED.items():
        planted = [found for found in map(plant, crowds) if found.quality.max() > 0]
        yield (
            name,
            {
                method: _over([measures(values(one), one.quality)["regret"] for one in planted])
                for method, values in METHODS.items()
            },
        )


def _over(regrets: Sequence[float]) -> dict[str, float]:
    return {"mean regret": float(np.mean(regrets)), "worst regret": float(np.max(regrets))}


def summarised(crowds: Sequence[Crowd], draws: int) -> dict[str, dict[str, float]]:
    """Means of the measures over crowds, of every method; the worst regrets too, and of searches of each size."""
    drawn = {size: [searches(one, size, draws) for one in tqdm(crowds, leave=False)] for size in SIZES} if draws else {}
    rows = {}
    for name, method in METHODS.items():
        found = [measures(method(one), one.quality) for one in crowds]
        row = {key: float(np.mean([one[key] for one in found])) for key in found[0]}
        row["worst"] = max(one["regret"] for one in found)
        for size, results in drawn.items():
            row[f"of {size}"] = float(np.mean([one[name]["mean"] for one in results]))
            row[f"collapsed of {size}"] = float(np.mean([one[name]["collapsed"] for one in results]))
        rows[name] = row
    return rows


def main(argv: Sequence[str] | None = None) -> None:
    """Train what is missing of the troubled tasks, and print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.selection.consensus", description=__doc__)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the networks are (default: %(default)s)")
    parser.add_argument("--half", choices=["tuning", "reporting"], default="reporting", help="of the tasks")
    parser.add_argument("--draws", type=int, default=DRAWS, help="searches of each size (default: %(default)s)")
    options = parser.parse_args(argv)
    folder = options.folder.expanduser()
    jobs = [(task, index) for task in TROUBLED.values() for index in missing(task, FEW, folder)]
    for task, index in tqdm(jobs, unit="network"):
        train_network(task, index, folder)
    requires = dict(AlphaScore.requires)
    tasks = [task for task in TASKS.values() if task.tuning == (options.half == "tuning")]
    groups = load_networks(tasks, folder, requires)
    for inputs in ("training", "fresh"):
        crowds = [crowd(group, inputs) for group in groups.values() if len(group) > 1]
        for kind in ("classes", "values"):
            some = [one for one in crowds if one.kind == kind]
            if some:
                rows = summarised(some, options.draws)
                print(f"\n{len(some)} tasks of {kind}, {inputs} inputs\n")
                print(table(rows, list(next(iter(rows.values()))), "chosen by"))
        some = [one for one in crowds if one.kind == "classes"]
        for name, rows in acceptance(some) if some else ():
            print(f"\n{name}, {inputs} inputs\n")
            print(table(rows, ["mean regret", "worst regret"], "chosen by"))
        for name, group in load_networks(TROUBLED.values(), folder, requires).items():
            one = crowd(group, inputs)
            rows = {method: measures(values(one), one.quality) for method, values in METHODS.items()}
            print(f"\n{TROUBLED[name].description}, {inputs} inputs. {one.verdict(losses=True).reason}\n")
            print(table(rows, ["tau", "regret", "tau_third"], "chosen by"))


if __name__ == "__main__":
    main()
