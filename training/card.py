"""The model card: for the people who decide whether a package may be used on patients, and how.

Every figure comes from files in the package (`eval/*.json`); what was not measured is said to be so. The
order follows CLAIM 2024 and STARD-AI as far as they apply to weights that no hospital has tried. The text is
`card.md` beside this module.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from model.calibration import TypeCalibration
from model.stroke import StrokeType
from model.weights import RESEARCH_ONLY
from training import evidence as sections
from training.report import as_table

Row = Mapping[str, Any]

SOURCE_WORDS = {
    "sich": "real heads of PHE-SICH-CT-IDS (spontaneous intracerebral haemorrhage, 8 bit, [-20, 100] HU)",
    "clean": "the same heads with the box round the bleed replaced by the mirrored other side",
    "painted": "the latter with simulated bleeds painted in",
    "decoy": "clean heads with decoys: calcium, dense falx and sinus, bone shining through, empty pastes",
    "phantom": "simulated heads",
    "template": "simulated heads warped from a CT template of older adults (Clinical Toolbox for SPM)",
    "inserted": "heads without a lesion with simulated lesions inserted",
    "infarct": "real slices with masks of acute infarcts (AISD, 8 bit)",
    "real": "real studies of hospitals",
}
PUBLIC = frozenset({"sich", "clean", "painted", "decoy", "infarct"})

TEMPLATE = Path(__file__).with_name("card.md")

ANSWER = """
Between the two thresholds, and where the study looks unlike the known ones or its input is doubtful, the
answer is `review`. A flag is never taken back. {how}"""

NOT_MEASURED = (
    "95 % intervals: DeLong for AUROC, Wilson for proportions, draws of whole patients for the rest. "
    "Simulated and real are never in one row; figures on simulated heads prove that the software works, not "
    "that it helps a patient. Not measured: other hospitals' consecutive patients, readers with and without "
    "the tool, time saved."
)
RE_READ = 20


def write_card(
    metadata: Row, calibrations: Mapping[StrokeType, TypeCalibration], evidence: Mapping[str, Row]
) -> str:
    """The card in Markdown.

    Args:
        metadata: Of the package.
        calibrations: Of the package.
        evidence: The package's eval files by name: report, counterfactual, real, simulated, invariance,
        trap.
    """
    sources = metadata.get("cases", {})
    has_public = bool(PUBLIC & set(metadata.get("trained_on", ())))
    network = metadata["network"]
    return TEMPLATE.read_text(encoding="utf-8").format(
        name=metadata["name"],
        thai_sources="ภาพสาธารณะเพื่อการวิจัยและภาพจำลอง" if has_public else "ภาพจำลองเท่านั้น",
        licence=", non-commercial data (PHE-SICH-CT-IDS, arXiv 2308.10521)" if has_public else "",
        assessed=", ".join(kind for kind in StrokeType if calibrations[kind].assessed) or "nothing",
        others=", ".join(kind for kind in StrokeType if not calibrations[kind].assessed),
        sources=_sources(sources.get("train", {}), metadata.get("trained_on", ())),
        history=_history(metadata),
        held_out=_held_out(metadata),
        network=(
            f"preset `{network['preset']}`, {network['side']} x {network['side']} pixels of "
            f"{network['grid_mm']:g} mm, 2.5-D: a ResNet per slice with masks, small heads over the slices"
        ),
        rounding=metadata.get("rounding", {}).get("largest_probability_difference", 0.0),
        evidence="\n\n".join(part for part in _evidence(evidence) if part),
        thresholds=_thresholds(calibrations, metadata),
        fewest=RE_READ,
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


def _sources(counts: Mapping[str, int], names: Sequence[str]) -> str:
    if not counts:
        return "\n".join(f"- {words}" for name, words in SOURCE_WORDS.items() if name in names)
    return "\n".join(
        f"- {counts[name]} x {words}" for name, words in SOURCE_WORDS.items() if counts.get(name)
    )


def _history(metadata: Row) -> str:
    words = [metadata["history"]] if metadata.get("history") else []
    if metadata.get("started_from"):
        words.insert(0, f"Training went on from the weights of {metadata['started_from'][0]}.")
    return " ".join(words) + "\n\n" if words else ""


def _held_out(metadata: Row) -> str:
    parts = {part: len(patients) for part, patients in metadata.get("held_out", {}).items() if patients}
    if metadata.get("out_of_fold"):
        return f"{metadata['out_of_fold']}\n"
    if not parts:
        return ""
    words = ", ".join(f"{count} patients for {part}" for part, count in parts.items())
    return f"Held out, parted by a hash of the patient: {words}.\n"


def _evidence(evidence: Mapping[str, Row]) -> list[str]:
    return [
        sections.counterfactual(evidence.get("counterfactual")),
        sections.trap(evidence.get("trap")),
        sections.real(evidence.get("real")),
        _report(evidence.get("report")),
        sections.simulated(evidence.get("simulated")),
        sections.invariance(evidence.get("invariance")),
        NOT_MEASURED,
    ]


def _report(report: Row | None) -> str:
    if not report or not report.get("figures"):
        return ""
    return f"### Study by study, on held-out patients\n\n{as_table(report['figures'])}"


def _thresholds(calibrations: Mapping[StrokeType, TypeCalibration], metadata: Row) -> str:
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
    lines.append(ANSWER.format(how=metadata.get("thresholds", "")))
    return "\n".join(lines)
