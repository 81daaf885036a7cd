"""`render_report` and `write_report`: analyses as one self-contained HTML page, which makes no network requests."""

from __future__ import annotations

import base64
import hashlib
import math
import os
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wwopt import __version__
from wwopt.analysis import LEADING, Analysis
from wwopt.diagnosis import STRONG_TRAP
from wwopt.metrics import METRICS
from wwopt.plots import scale_of
from wwopt.reporting.charts import HEIGHT, flow, histogram, spectra
from wwopt.reporting.formatting import LONGEST_SENTENCE, MISSING, clean, format_number
from wwopt.reporting.standings import standings
from wwopt.reporting.verdict import judge
from wwopt.score import default_score

if TYPE_CHECKING:
    from jinja2 import Environment

    from wwopt.diagnosis import Finding

__all__ = ["render_report", "write_report"]

HEAVIEST = 6  # layers that are named as the largest contributions to a score
TIMES = " \N{MULTIPLICATION SIGN} "


def write_report(analyses: Analysis | Mapping[str, Analysis], path: str | os.PathLike[str]) -> Path:
    """Write the page of `render_report` into a file.

    Parameters
    ----------
    analyses : Analysis, or mapping of str to Analysis
        One network, or several by name.
    path : path
        HTML file to write; one that is there is replaced.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ValueError
        There is no analysis.
    ImportError
        Jinja2 is not installed.
    """
    target = Path(path)
    target.write_text(render_report(analyses), encoding="utf-8")
    return target


def render_report(analyses: Analysis | Mapping[str, Analysis], *, unreadable: Mapping[str, str] | None = None) -> str:
    """Render one self-contained page: verdict, charts, every layer with its spectrum, advice.

    The page loads nothing and runs only its own script; its content security policy enforces both. Names of layers and
    networks are treated as untrusted text.

    Parameters
    ----------
    analyses : Analysis, or mapping of str to Analysis
        One network, or several by name, which are shown side by side.
    unreadable : mapping of str to str, optional
        Networks that could not be read, and the reasons.

    Returns
    -------
    str
        HTML.

    Raises
    ------
    ValueError
        There is no analysis.
    ImportError
        Jinja2 is not installed.
    """
    by_name = {"network": analyses} if isinstance(analyses, Analysis) else dict(analyses)
    if not by_name:
        raise ValueError("`analyses` must hold at least one network.")
    networks = [{"key": name, **_network(name, analysis)} for name, analysis in by_name.items()]
    style, script = _asset("page.css"), _asset("page.js")
    return (
        _environment()
        .get_template("page.html")
        .render(
            networks=networks,
            several=len(networks) > 1,
            comparison=standings(by_name) if len(networks) > 1 else None,
            unreadable={clean(name): clean(reason) for name, reason in (unreadable or {}).items()},
            data=_data(by_name),
            policy=_policy(style, script),
            style=style,
            script=script,
            height=HEIGHT,
            version=__version__,
        )
    )


def _network(name: str, analysis: Analysis) -> dict[str, Any]:
    rows = analysis.details
    alpha, scale = rows["alpha"].dropna(), scale_of(analysis)
    total = max(len(rows), 1)
    return {
        "name": clean(name),
        "verdict": judge(analysis),
        "score": None if analysis.unmeasured else _score(analysis),
        "unmeasured": clean(analysis.unmeasured, LONGEST_SENTENCE),
        "layers": _layers(analysis),
        "skipped": [(clean(name), clean(reason)) for name, reason in analysis.skipped.itertuples(index=False)],
        "scale": scale,
        "flow": flow(rows, scale),
        "histogram": histogram(rows, scale),
        "numbers": {
            "layers": str(len(rows)),
            "median alpha": f"{alpha.median():.2f}" if len(alpha) else MISSING,
            "well trained": f"{alpha.between(scale.low, scale.high).sum() / total:.0%}",
            "above": f"{(alpha > scale.high).sum() / total:.0%}",
            "below": f"{(alpha < scale.low).sum() / total:.0%}",
            "strong traps": str(int((rows["trap_energy"] > STRONG_TRAP).sum())),
            "no alpha": str(int(rows["alpha"].isna().sum())),
        },
    }


def _score(analysis: Analysis) -> dict[str, Any]:
    """The recommended score with its terms and the layers that contribute most."""
    score = default_score(analysis)
    explained = score.explain(analysis)
    shares = {clean(name): sum(terms.values()) for name, terms in explained["layers"].items()}
    heaviest = sorted(shares.items(), key=lambda item: -item[1])[:HEAVIEST]
    largest = max(map(abs, explained["terms"].values()), default=0) or 1
    return {
        "name": str(score.settings()["name"]),
        "version": score.version,
        "value": explained["score"],
        "maximum": score.maximum,
        "terms": [(name, value, 100 * abs(value) / largest) for name, value in explained["terms"].items()],
        "heaviest": heaviest if len(set(shares.values())) > 1 else [],
    }


def _layers(analysis: Analysis) -> list[dict[str, Any]]:
    rows = analysis.details.to_dict(orient="records")
    return [_layer(row, analysis.findings_of(index)) for index, row in enumerate(rows)]


def _layer(row: Mapping[Any, Any], findings: Sequence[Finding]) -> dict[str, Any]:
    keys = [finding.key for finding in findings]
    broken = any(finding.severity == "broken" for finding in findings)
    trapped = row["trap_energy"] > STRONG_TRAP
    return {
        "name": clean(row["name"]),
        "type": clean(row["layer_type"]),
        "shape": f"{row['N']}{TIMES}{row['M']}" + (f"{TIMES}{row['rf']}" if row["rf"] > 1 else ""),
        "size": row["N"] * row["M"] * row["rf"],
        "alpha": row["alpha"],
        "D": row["D"],
        "stable_rank": row["stable_rank"],
        "signal": row["rand_distance"],
        "trap_energy": row["trap_energy"],
        "note": ", ".join(keys),
        "kind": " ".join(dict.fromkeys([*(["broken"] if broken else []), *keys, *(["trapped"] if trapped else [])])),
    }


def _data(analyses: Mapping[str, Analysis]) -> dict[str, Any]:
    """Data that the page's script draws from: columns with their descriptions, numbers and spectra."""
    columns = [name for name in next(iter(analyses.values())).details.columns if name not in LEADING]
    return {
        "columns": columns,
        "about": {name: " ".join((METRICS[name].compute.__doc__ or "").split()) for name in columns if name in METRICS},
        "networks": [
            {
                "rows": [
                    [_number(value) for value in row] for row in analysis.details[columns].itertuples(index=False)
                ],
                "spectra": spectra(analysis),
            }
            for analysis in analyses.values()
        ],
    }


def _number(value: Any) -> Any:
    """Number with four digits, ready for JSON; text made safe to show."""
    if isinstance(value, str):
        return clean(value)
    return float(f"{value:.4g}") if math.isfinite(value) else None


def _policy(style: str, script: str) -> str:
    """Content security policy that allows this style and this script by their hashes, and nothing else."""
    digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (style, script)]
    return (
        f"default-src 'none'; style-src 'sha256-{digests[0]}'; script-src 'sha256-{digests[1]}'; base-uri 'none'; "
        "form-action 'none'; require-trusted-types-for 'script'"
    )


def _asset(name: str) -> str:
    return files("wwopt.reporting").joinpath(name).read_text(encoding="utf-8")


def _environment() -> Environment:
    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415  (an extra)
    except ImportError as error:
        raise ImportError("The report needs Jinja2. Run `pip install 'wwopt[report]'`.") from error
    environment = Environment(
        loader=PackageLoader("wwopt.reporting", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": format_number, "clean": clean}
    return environment
