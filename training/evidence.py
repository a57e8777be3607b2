"""What was measured of a package, as sections of its card; an absent measurement gives no section."""

from collections.abc import Mapping
from typing import Any

from training.report import as_table

Row = Mapping[str, Any]


def counterfactual(found: Row | None) -> str:
    """Slices with and without their bleed."""
    if not found:
        return ""
    rows = [
        ("paired AUROC: a slice against itself without its bleed", "paired_auroc", ">= 0.97"),
        ("the empty paste against nothing (0.5: the paste is no cue)", "paste_auroc", ""),
        ("mask meets the box, of annotated slices", "mask_hits", ">= 0.90"),
        ("false components per slice without a bleed", "false_components", "<= 0.05"),
        ("Dice against the bright blob in the box", "dice", ">= 0.75"),
    ]
    lines = ["| measure | value | bar |", "| --- | --- | --- |"]
    lines += [f"| {words} | {figure(found[name])} | {bar} |" for words, name, bar in rows]
    title = (
        f"### Real slices with and without their bleed\n\n{found['num_patients']} patients of PHE-SICH-CT-IDS"
        f"{found.get('who', '')}, {found['num_annotated']} annotated and {found['num_other']} other slices "
        "(`python -m training.counterfactual`).\n"
    )
    called = found["flagged_at_95_sensitivity"]
    after = (
        f"\nAt the score that finds 95 % of the annotated slices, {100 * called['twin']:.1f} % of the same "
        f"slices without their bleed and {100 * called['other']:.1f} % of the others are called bleeding."
    )
    if found.get("infarct"):
        hits, seen = found["infarct"], ", seen in training" if found.get("infarct_seen") else ""
        after += (
            f"\nAcute infarcts (24 AISD slices, patients unknown{seen}): the mask's peak lies in the infarct "
            f"in {figure(hits['hits'])}, by chance {hits['by_chance']:.2f}."
        )
    return "\n".join([title, *lines, after])


def trap(found: Row | None) -> str:
    """What a plain slice classifier learns from the same set."""
    if not found:
        return ""
    called = found["called_bleeding_at_95_sensitivity"]
    return (
        "### Why slice AUROC on that set is not quoted\n\n"
        f"A plain ResNet18 slice classifier reaches a slice AUROC of {figure(found['slice_auroc'])} "
        f"on {found['num_patients']} unseen patients of the set, and calls "
        f"{100 * called['twin']:.0f} % of the same slices bleeding after their bleed is taken away, against "
        f"{100 * called['other']:.0f} % of the other slices: it learned the level of the slice "
        "(`python -m training.trap`)."
    )


def real(found: Row | None) -> str:
    """Real DICOM studies, and lesions put into real heads."""
    if not found:
        return ""
    lines = ["### Real studies, end to end", "", "| study | any_ich | answer |", "| --- | --- | --- |"]
    for row in [*found["studies"], *found["resliced"]]:
        said = "-" if row["probability"] is None else f"{row['probability']:.3f}"
        lines.append(f"| {row['study']} | {said} | {row['answer']} |")
    lines.append("\nOne study each: a check of sanity, no performance.")
    put = found.get("implanted")
    if put:
        lines.append(
            f"\nSimulated bleeds put into {len(put['heads'])} real heads without one ({put['num_with']} "
            f"with, {put['num_without']} with the same paste and no blood): AUROC {figure(put['auroc'])}, "
            f"flagged {figure(put['flagged_with'])} with and {figure(put['flagged_without'])} without. "
            "By kind: "
            + ", ".join(f"{kind} {figure(value)}" for kind, value in put["by_kind"].items() if value)
            + "."
        )
    return "\n".join(lines)


def simulated(found: Row | None) -> str:
    """Held-out simulated studies over all strata."""
    if not found:
        return ""
    lines = [
        f"### Simulated studies, {found['num_studies']} of unseen seeds",
        "",
        as_table(found["figures"]),
        "",
        "| heads without a bleed | n | flagged | cleared |",
        "| --- | --- | --- | --- |",
    ]
    for group, row in found["without_a_bleed"].items():
        if row["flag"]:
            lines.append(
                f"| {group} | {row['flag']['num']} | {figure(row['flag'])} | {figure(row['clear'])} |"
            )
    any_ich = next((row for row in found["figures"] if row["stroke_type"] == "any_ich"), None)
    if any_ich and any_ich["missed_by_volume"]:
        lines += ["", "| bleeds by volume | n | flag | review | clear |", "| --- | --- | --- | --- | --- |"]
        for band in any_ich["missed_by_volume"]:
            lines.append(
                f"| {band['group']} | {band['num']} | {band['flag']} | {band['review']} | {band['clear']} |"
            )
    return "\n".join(lines)


def invariance(found: Row | None) -> str:
    """The same heads in other scans."""
    if not found:
        return ""
    lines = [
        "### The same simulated heads in other scans",
        "",
        f"How far the probability of a bleed moves; the bar is {found['bar']}.",
        "",
        "| change | to | heads | most | mean | over the bar |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in found["changes"]:
        cells = [row["change"], row["to"], row["heads"], row["most"], row["mean"], row["over_bar"]]
        lines.append("| " + " | ".join("-" if cell is None else str(cell) for cell in cells) + " |")
    return "\n".join(lines)


def figure(value: Row | None) -> str:
    """A figure with its interval."""
    if value is None:
        return "-"
    return f"{value['value']:.3f} ({value['low']:.3f}-{value['high']:.3f})"
