"""The model card: what a package was trained on, what it is proven for, and what it is not."""

from collections.abc import Mapping
from typing import Any

from model.calibration import TypeCalibration
from model.stroke import StrokeType
from model.weights import RESEARCH_ONLY
from training.recipe import Recipe
from training.report import as_table

SOURCE_WORDS = {
    "sich": "real heads of PHE-SICH-CT-IDS (spontaneous intracerebral haemorrhage, 8 bit, [-20, 100] HU)",
    "clean": "the same heads with the box round the bleed replaced by the mirrored other side",
    "painted": "the latter with simulated bleeds painted in",
    "decoy": "clean heads with decoys drawn in: calcium, dense falx and sinus, bone shining through",
    "phantom": "simulated heads",
    "template": "simulated heads warped from a CT template of older adults (Clinical Toolbox for SPM)",
    "inserted": "real normal slices with simulated lesions inserted",
    "infarct": "real slices with masks of acute infarcts (AISD, 8 bit)",
    "real": "real studies",
}


TEMPLATE = """\
# {name}

Triage of non-contrast head CT of adults: it moves studies up a worklist. It is not a diagnostic device,
and `clear` never removes or lowers a study. **Research use only**{licence}.

## What it answers for

Assessed: {assessed}.

**Not assessed** (no probability is given, and silence on them means nothing): {others}.
The network has outputs for all of them; they were trained on simulated findings and never measured on real
ones. Acute ischaemia in particular is unproven.

## Trained on

{sources}

{history}
Calibrated on other patients: {calibration}. Measured on yet others: {test}.
Patients are parted by a hash, simulated heads by seed.

## Figures on the test patients

{figures}

95 % intervals: DeLong for AUROC, Wilson for proportions. Simulated and real are never in one row; figures on
simulated heads prove that the software works, not that it helps a patient. Rows of painted heads are real
anatomy with simulated blood.

{pairs}

## Limits

- Every patient of the SICH set bleeds. Its negatives are the same heads with the bleed mirrored away, so the
  specificity above is not that of an emergency department. Few patients: read the intervals.
- Real subarachnoid, subdural, epidural and intraventricular bleeds were never measured.
- The set comes from few hospitals and has no pixel size; the scale was taken from the size of the skull.
- Children, contrast, post-operative heads and heads with metal are refused or sent for review before the
  network sees them.
- Thresholds come from a small set and must be set anew on local studies before any use.

## How it decides

{thresholds}
"""


ANSWER = """
Between the two thresholds, and where the study looks unlike the known ones or its input is doubtful, the
answer is `review`. A flag is never taken back. The calibration counts include two further looks (another
scanner, another pose) of each real head."""


def write_card(
    recipe: Recipe,
    sources: Mapping[str, Mapping[str, int]],
    calibrations: Mapping[StrokeType, TypeCalibration],
    report: Mapping[str, Any],
) -> str:
    """The card in Markdown."""
    return TEMPLATE.format(
        name=recipe.name,
        licence=_licence(recipe),
        assessed=", ".join(kind for kind in StrokeType if calibrations[kind].assessed) or "nothing",
        others=", ".join(kind for kind in StrokeType if not calibrations[kind].assessed),
        sources=_sources(sources.get("train", {})),
        history=_history(recipe),
        calibration=_counts(sources.get("calibration", {})),
        test=_counts(sources.get("test", {})),
        figures=as_table(report["figures"]),
        pairs=_pairs(report),
        thresholds=_thresholds(calibrations),
    )


def licence_text(has_sich: bool) -> str:
    """The LICENSE of a package."""
    if not has_sich:
        return RESEARCH_ONLY
    return (
        "Research and non-commercial use only: these weights were trained on PHE-SICH-CT-IDS\n"
        "(arXiv 2308.10521), which is free for non-commercial use.\n"
        "Not a medical device. No warranty of any kind.\n"
    )


def _licence(recipe: Recipe) -> str:
    if recipe.sich is None:
        return ""
    return (
        ": part of its training data, PHE-SICH-CT-IDS (arXiv 2308.10521), is free for non-commercial use only"
    )


def _sources(counts: Mapping[str, int]) -> str:
    return "\n".join(
        f"- {counts[name]} x {words}" for name, words in SOURCE_WORDS.items() if counts.get(name)
    )


def _history(recipe: Recipe) -> str:
    parts = [] if recipe.start is None else [f"Training went on from the weights of {recipe.start.name}."]
    parts += [recipe.history] if recipe.history else []
    return " ".join(parts) + "\n" if parts else ""


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{counts[name]} {name}" for name in SOURCE_WORDS if counts.get(name)) or "none"


def _pairs(report: Mapping[str, Any]) -> str:
    pair, hit = report["paired_sich"], report["mask_hits"]["sich"]
    if pair is None or hit is None:
        return ""
    return (
        f"Real heads scored higher with their bleed than with it mirrored away in {_share(pair)} pairs; "
        f"the mask's peak lay in the bleed in {_share(hit)} bleeding slices."
    )


def _share(figure: Mapping[str, float]) -> str:
    hits = round(figure["value"] * figure["num"])
    return f"{hits} of {figure['num']:.0f} ({figure['low']:.3f}-{figure['high']:.3f})"


def _thresholds(calibrations: Mapping[StrokeType, TypeCalibration]) -> str:
    lines = [
        "| type | temperature | clear below | flag from | calibration pos / neg |",
        "| --- | --- | --- | --- | --- |",
    ]
    for kind, row in calibrations.items():
        if row.assessed:
            lines.append(
                f"| {kind} | {row.temperature:.2f} | {row.clear:.3f} | {row.flag:.3f} "
                f"| {row.num_positive} / {row.num_negative} |"
            )
    lines.append(ANSWER)
    return "\n".join(lines)
