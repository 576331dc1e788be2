"""The trade-off as a picture: attacks stopped against honest sessions left alone.

The same figures give the same file, byte for byte: no date, ids from a fixed salt.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

_MARKS = {
    "allow-all": ("allow all", "s"),
    "hold-every-write": ("hold every write", "D"),
    "per-call-gates": ("per-call gates: outbound or irreversible", "^"),
    "per-call-gates-hard-acts": ("per-call gates: hard acts", "v"),
}


def plot(result: Mapping[str, Any], path: Path) -> None:
    """Writes the picture of one measurement."""
    with mpl.rc_context({"svg.hashsalt": "checkrein", "svg.fonttype": "none", "font.size": 9}):
        figure = Figure(figsize=(7.2, 4.6))
        axes = figure.subplots()
        axes.axvspan(80, 104, ymin=0.85, color="#e6f2e6", zorder=0)
        axes.text(81, 86.5, "aim", color="#4a7a4a")
        for key, label, colour in (
            ("curve", "default pack's gates, by level", "#1f5fa8"),
            ("curve_detector_off", "the same, detector of instructions off", "#c0692c"),
        ):
            points = result[key]
            xs = [found["untouched"] for found in points.values()]
            ys = [found["stopped"] for found in points.values()]
            axes.plot(xs, ys, "o-", color=colour, label=label, markersize=4, linewidth=1.2)
            for level, x, y in zip(points, xs, ys, strict=True):
                axes.annotate(level, (x, y), xytext=(4, -10), textcoords="offset points")
        for name, (label, marker) in _MARKS.items():
            found = result["baselines"][name]
            axes.plot(
                found["untouched"],
                found["stopped"],
                marker,
                color="#555555",
                label=label,
                markersize=6,
                linestyle="none",
            )
        axes.set_xlim(0, 104)
        axes.set_ylim(0, 104)
        axes.set_xlabel("honest sessions run untouched, %")
        axes.set_ylabel("attacks stopped, %")
        axes.grid(alpha=0.25)
        axes.legend(loc="lower left", fontsize=8)
        figure.tight_layout()
        figure.savefig(path, format="svg", metadata={"Date": None})
