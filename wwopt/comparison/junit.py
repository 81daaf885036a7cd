"""Reports of a comparison for programs: JUnit XML, which every CI shows, and plain values for JSON."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

if TYPE_CHECKING:
    from wwopt.comparison.compare import Comparison

__all__ = ["comparison_json", "comparison_junit"]


def comparison_json(comparison: Comparison) -> dict[str, Any]:
    """Return a comparison as plain values, NaN as None and infinity as text."""
    table = comparison.table.reset_index().replace({math.inf: "infinity", -math.inf: "-infinity"})
    return {
        "ok": comparison.ok,
        "alerts": [alert._asdict() for alert in comparison.alerts],
        "warnings": list(comparison.warnings),
        "layers": json.loads(table.to_json(orient="records", double_precision=15)),
    }


def comparison_junit(comparison: Comparison, *, suite: str) -> str:
    """Return JUnit XML with a test case for each layer, an alert as its failure.

    Parameters
    ----------
    comparison : Comparison
        Of a reference and a candidate.
    suite : str
        Name of the suite, such as the candidate's path.
    """
    alerts = {alert.name: alert for alert in comparison.alerts}
    root = ET.Element(
        "testsuite", name=_printable(suite), tests=str(len(comparison.table)), failures=str(len(alerts)), errors="0"
    )
    for name, row in zip(comparison.table.index, comparison.table.to_dict(orient="records"), strict=True):
        case = ET.SubElement(root, "testcase", classname=_printable(suite), name=_printable(str(name)))
        if name in alerts:
            alert = alerts[str(name)]
            ET.SubElement(case, "failure", type=alert.fault, message=_printable(alert.message))
        else:
            ET.SubElement(case, "system-out").text = f"{row['status']}, distance {row['distance']:.4g}"
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _printable(text: str) -> str:
    """Replace characters that XML does not allow; names of layers are untrusted."""
    return "".join(character if character.isprintable() else "?" for character in text)
