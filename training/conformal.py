"""Set a site's thresholds: `python -m training.conformal REPORT.json --site NAME --out FILE`

The report is that of `training.evaluate` on consecutive studies of the site. A flag is to be right in at
least --ppv of the cases, a clear in at least --npv, and either holds with the given confidence for further
studies like these: thresholds are tried from the strictest on, each by an exact binomial test, and the
last before the first failure is taken (fixed-sequence testing, Angelopoulos et al., Learn then Test, arXiv
2110.01052). What lies between is for review. A side that cannot be guaranteed abstains: nothing is
cleared, or the package's flag stays.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from model.stroke import StrokeType

Floats = npt.NDArray[np.float64]
PPV, NPV, CONFIDENCE = 0.70, 0.995, 0.90
FEWEST = 10
"""Answers before a first threshold is tried."""


def guaranteed_cut(
    scores: Floats, right: npt.NDArray[np.bool_], *, target: float, confidence: float
) -> float | None:
    """The lowest score from which on answers are right in at least `target`, with `confidence`; None if
    none is.

    Args:
        scores: Of all studies; an answer is given from a cut on.
        right: Whether that answer would be right.
        target: Share of the answers that must be right.
        confidence: That they are, in further studies drawn alike.
    """
    order = np.argsort(-scores, kind="stable")
    wrong = np.cumsum(~right[order])
    last = None
    # fewer answers could not pass even if all were right
    start = max(FEWEST, int(np.ceil(np.log(1 - confidence) / np.log(target))))
    for given in range(start, len(order) + 1):
        score = scores[order[given - 1]]
        if given < len(order) and scores[order[given]] == score:
            continue  # tied studies are answered alike
        if stats.binom.cdf(wrong[given - 1], given, 1 - target) > 1 - confidence:
            break
        last = float(score)
    return last


def site_thresholds(
    probability: Floats,
    label: Floats,
    package: Mapping[str, Any],
    *,
    ppv: float,
    npv: float,
    confidence: float,
) -> dict[str, Any]:
    """Thresholds of one type and what is guaranteed of each."""
    positive = label == 1
    flag = guaranteed_cut(probability, positive, target=ppv, confidence=confidence)
    keep = guaranteed_cut(-probability, ~positive, target=npv, confidence=confidence)
    clear = 0.0 if keep is None else float(np.nextafter(-keep, 1.0))
    used = float(package["flag"]) if flag is None else flag
    clear = min(clear, used)
    flagged, cleared = probability >= used, probability < clear
    return {
        "flag": used,
        "clear": clear,
        "num_positive": int(positive.sum()),
        "num_negative": int((~positive).sum()),
        "guarantee": {
            "ppv_of_flag": None if flag is None else ppv,
            "npv_of_clear": None if keep is None else npv,
            "confidence": confidence,
        },
        "seen": {
            "flagged": int(flagged.sum()),
            "flagged_wrongly": int((flagged & ~positive).sum()),
            "cleared": int(cleared.sum()),
            "cleared_wrongly": int((cleared & positive).sum()),
            "for_review": int((~flagged & ~cleared).sum()),
        },
    }


def set_site(
    report: Mapping[str, Any], site: str, *, ppv: float, npv: float, confidence: float
) -> dict[str, Any]:
    """The site's file from a report.

    Raises:
        ValueError: the report has no real studies of both answers.
    """
    types = {}
    for kind in StrokeType:
        row = next(
            (
                r
                for r in report["figures"]
                if (r["population"], r["stroke_type"]) == ("real", kind) and r["assessed"]
            ),
            None,
        )
        known = [s for s in report["studies"] if s["population"] == "real" and kind in s["labels"]]
        if row is None or not known:
            continue
        probability = np.array([study["probabilities"][kind] for study in known])
        label = np.array([study["labels"][kind] for study in known], np.float64)
        types[str(kind)] = site_thresholds(probability, label, row, ppv=ppv, npv=npv, confidence=confidence)
    if not types:
        raise ValueError(
            "the report has no real studies with and without a finding that the package is proven for"
        )
    return {"package": report["digest"], "site": site, "types": types}


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the file and print it; exit code 0, or 2 where nothing can be set."""
    parser = argparse.ArgumentParser(
        prog="python -m training.conformal", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("report", type=Path)
    parser.add_argument("--site", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--ppv", type=float, default=PPV)
    parser.add_argument("--npv", type=float, default=NPV)
    parser.add_argument("--confidence", type=float, default=CONFIDENCE)
    options = parser.parse_args(arguments)
    try:
        report = json.loads(options.report.read_text(encoding="utf-8"))
        found = set_site(
            report, options.site, ppv=options.ppv, npv=options.npv, confidence=options.confidence
        )
    except (OSError, ValueError, KeyError) as error:
        print(f"cannot set thresholds: {error}", file=sys.stderr)
        return 2
    text = json.dumps(found, indent=1)
    options.out.write_text(text + "\n", encoding="utf-8")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
