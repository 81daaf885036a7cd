"""Apply every fault and every harmless change to real networks, and count where `wwopt.compare` is right."""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.watching.networks import (
    LAYERS,
    Digits,
    accuracy_cnn,
    agreement_minilm,
    embed,
    load_minilm,
    sentences,
    train_cnn,
    tune_minilm,
)
from tests.support.faults import FAULTS, State, damage
from tests.support.harmless_changes import HARMLESS
from wwopt import Thresholds, compare

GOOD, FAR_TOO_HIGH = {"cnn": 5e-4, "minilm": 5e-5}, {"cnn": 0.1, "minilm": 1e-2}
TUNED, DIVERGED = "fine-tuned", "fine-tuned, learning rate far too high"


@dataclass(frozen=True)
class Trial:
    """One change of one network: the change, whether it is a fault, the layers it hit, and the alerts."""

    network: str
    change: str
    harm: bool
    layers: tuple[str, ...]
    alerts: tuple[str, ...]
    messages: tuple[str, ...]
    quality: float = float("nan")

    @property
    def right(self) -> bool:
        """Whether the alerts name the broken layers and no others; for a harmless change, whether there is none."""
        if not self.harm:
            return not self.alerts
        return bool(self.alerts) and (not self.layers or set(self.alerts) == set(self.layers))


def judge(network: str, change: str, before: State, after: State, *, harm: bool, layers: tuple[str, ...] = ()) -> Trial:
    """Compare, without alpha, on which no alert depends."""
    alerts = compare(before, after, min_evals=10**9).alerts
    names = tuple(alert.name for alert in alerts)
    return Trial(network, change, harm, layers, names, tuple(alert.message for alert in alerts))


def faults(network: str, state: State, seed: int) -> Iterator[Trial]:
    """Apply each fault to one layer; the layer depends on the seed."""
    draw = random.Random(f"{network} {seed}")
    for fault in FAULTS:
        layer = draw.choice(LAYERS[network])
        around = _around(state, layer)
        broken = damage(around, layer, fault, seed)
        yield judge(network, fault, around, broken, harm=True, layers=(layer,))


def harmless(network: str, state: State, seed: int) -> Iterator[Trial]:
    """Apply each harmless change to the whole network."""
    for name, change in HARMLESS[network].items():
        after = change(state, torch.Generator().manual_seed(seed))
        yield judge(network, name, state, after, harm=False)


def fine_tunes(network: str, state: State, seed: int, digits: Digits) -> Iterator[Trial]:
    """Fine-tune with a good learning rate and with one that is far too high; the quality shows the difference."""
    for name, rates, harm in ((TUNED, GOOD, False), (DIVERGED, FAR_TOO_HIGH, True)):
        if network == "cnn":
            after = train_cnn(digits, seed + 100, lr=rates["cnn"], steps=100, start=state)
            quality = accuracy_cnn(digits, after)
        else:
            after = tune_minilm(seed, lr=rates["minilm"])
            texts = sentences()[:60]
            with torch.no_grad():
                reference = embed(load_minilm(), texts)
            quality = agreement_minilm(after, reference, texts)
        trial = judge(network, name, state, after, harm=harm)
        yield Trial(**{**vars(trial), "quality": quality})


def run(networks: list[str], seeds: range) -> Iterator[Trial]:
    """Run all changes of all networks."""
    digits = Digits.load()
    for seed in seeds:
        for network in networks:
            state = train_cnn(digits, seed) if network == "cnn" else load_minilm().state_dict()
            yield from faults(network, state, seed)
            yield from harmless(network, state, seed)
            yield from fine_tunes(network, state, seed, digits)


def table(trials: list[Trial]) -> str:
    """Return how often each change was judged right, in Markdown."""
    networks = list(dict.fromkeys(trial.network for trial in trials))
    lines = ["| change | " + " | ".join(networks) + " |", "|---" * (len(networks) + 1) + "|"]
    for harm, title in ((True, "**fault: found and located**"), (False, "**harmless: no alert**")):
        lines.append(f"| {title} |" + " |" * len(networks))
        for change in dict.fromkeys(trial.change for trial in trials if trial.harm is harm):
            cells = [[t for t in trials if (t.network, t.change) == (network, change)] for network in networks]
            counts = [f"{sum(t.right for t in cell)} of {len(cell)}" if cell else "" for cell in cells]
            lines.append(f"| {change.replace('_', ' ')} | " + " | ".join(counts) + " |")
    return "\n".join(lines)


def _around(state: State, layer: str) -> State:
    """Leave out MiniLM's word embeddings, half of its weights, unless they are the layer: it saves time."""
    return {name: W for name, W in state.items() if "word_embeddings" not in name or layer in name}


def main() -> int:
    """Print the table, and each trial that was judged wrong."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.watching", description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first", type=int, default=0, help="first seed; thresholds were chosen on 0 to 4")
    parser.add_argument("--networks", nargs="+", choices=sorted(LAYERS), default=["cnn", "minilm"])
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    start, trials = time.monotonic(), []
    for trial in run(options.networks, range(options.first, options.first + options.seeds)):
        trials.append(trial)
        if not trial.right:
            print(f"wrong: {trial}", file=sys.stderr, flush=True)
    text = table(trials)
    tuned = {change: [t.quality for t in trials if t.change == change] for change in (TUNED, DIVERGED)}
    qualities = "; ".join(f"{change}: {min(q):.3f} to {max(q):.3f}" for change, q in tuned.items() if q)
    text += f"\n\nAccuracy, or agreement of similarities, of networks {qualities}. Thresholds: {Thresholds()}."
    print(
        text
        + f"\n{len(trials)} trials, {sum(not t.right for t in trials)} judged wrong, {time.monotonic() - start:.0f} s"
    )
    if options.out:
        options.out.write_text(text + "\n", encoding="utf-8")
    return int(any(not trial.right for trial in trials))


if __name__ == "__main__":
    sys.exit(main())
