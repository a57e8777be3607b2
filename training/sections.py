"""The parts of a report's page: what was answered, calibration, strata, missed bleeds, masks, cases."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from training import drawing
from training.gallery import Pick
from training.strata import LEAST_POSITIVES, MOST_LOST

Row = Mapping[str, Any]


def answers(row: Row) -> str:
    names = ("flag", "review", "clear", "refused")
    cells = [
        [name, *(str(row["three_way"][name][word]) for word in names)] for name in ("positive", "negative")
    ]
    drawn = row["bootstrap"]
    more = [
        ["sensitivity of a flag", words(row["sensitivity_at_flag"]), words(drawn["sensitivity_at_flag"])],
        ["specificity of a flag", words(row["specificity_at_flag"]), words(drawn["specificity_at_flag"])],
        ["AUROC", words(row["auroc"]), words(drawn["auroc"])],
        ["area under precision and recall", "", words(drawn["auprc"])],
        ["positives called clear", words(row["positives_cleared"]), ""],
        ["negatives called clear", words(row["negatives_cleared"]), ""],
        ["left for review", words(row["reviewed"]), ""],
    ]
    return (
        "<h4>What was answered</h4>"
        + table(["truth", *names], cells)
        + table(["", "DeLong or Wilson", "bootstrap"], more)
    )


def calibration(row: Row) -> str:
    fit = row["calibration_slope"], row["calibration_in_the_large"]
    cells = [
        ["Brier (bootstrap)", words(row["bootstrap"]["brier"])],
        ["ECE, 15 bins of equal mass (bootstrap)", words(row["bootstrap"]["ece"])],
        ["slope (1 is right, below 1 too extreme)", words(fit[0])],
        ["in the large (0 is right, above 0 said too little)", words(fit[1])],
    ]
    lacking = (
        ""
        if fit[0]
        else '<p class="soft">No slope: positives and negatives do not overlap, or are too few.</p>'
    )
    return "<h4>Calibration</h4>" + table(["", ""], cells) + lacking


def predictive(row: Row) -> str:
    cells = [
        [
            f"{each['prevalence']:.1%}",
            words(each["ppv_of_flag"], none="nothing was flagged"),
            words(each["npv_of_clear"], none="nothing was cleared"),
            f"{each['flags_in_100']:g}",
        ]
        for each in row["predictive_values"]
    ]
    note = (
        "The mix of these studies is not that of a hospital. "
        "Brackets join the worst and best ends of both intervals."
    )
    return (
        "<h4>At a hospital's prevalence</h4>"
        + table(["prevalence", "PPV of a flag", "NPV of a clear", "flags in 100 studies"], cells)
        + f'<p class="soft">{note}</p>'
    )


def volumes(row: Row) -> str:
    if not row["missed_by_volume"]:
        return ""
    names = ("num", "flag", "review", "clear")
    cells = [[each["group"], *(str(each[name]) for name in names)] for each in row["missed_by_volume"]]
    missed = [
        [case["case"], f"{case['lesion_ml']:.1f} mL", f"{case['probability']:.3f}", case["answer"]]
        for each in row["missed_by_volume"]
        for case in each["not_flagged"]
    ]
    lost = (
        table(["not flagged", "volume", "probability", "answer"], missed)
        if missed
        else "<p>None was missed.</p>"
    )
    return "<h4>Missed, by volume of the lesion</h4>" + table(["volume", *names], cells) + lost


def strata(row: Row) -> str:
    if not row["strata"]:
        return ""
    cells, last = [], ""
    for each in row["strata"]:
        lags = "  lags" if each["lags"] else ""
        cells.append(
            [
                each["column"] if each["column"] != last else "",
                each["group"],
                f"{each['num_positive']} / {each['num_negative']}",
                words(each["sensitivity"]) + lags,
                words(each["specificity"]),
            ]
        )
        last = each["column"]
    note = (
        f"“lags”: at least {LEAST_POSITIVES} positives and a sensitivity more than "
        f"{100 * MOST_LOST:.0f} points below the whole's. Smaller groups prove nothing either way."
    )
    rows = table(["", "group", "pos / neg", "sensitivity", "specificity"], cells)
    return f'<h4>Strata</h4>{rows}<p class="soft">{note}</p>'


def cases(cases: Sequence[tuple[Pick, Sequence[str]]]) -> str:
    figures = []
    for pick, pictures in cases:
        images = "".join(f'<img src="{url}" alt="Key slice of {escape(pick.name)}"> ' for url in pictures)
        figures.append(
            f"<figure>{images}<figcaption><strong>{escape(pick.why)}</strong> {escape(pick.name)}: "
            f"{pick.probability:.3f}, {escape(pick.answer)}</figcaption></figure>"
        )
    if not figures:
        return ""
    note = "Slices where the network saw most; the outline is its own suspicion, not the truth."
    shown = f'<div class="cases">{"".join(figures)}</div>'
    return f'<h4>Worst and best studies</h4><p class="soft">{note}</p>{shown}'


def masks(found: Row | None) -> str:
    """Lesions found against false suspicions, and overlap, of the real studies with a mask."""
    if found is None:
        return ""
    rates = found["lesions_found_at_false_per_study"]
    cells = [
        [f"{rate} false per study", f"{part:.3f} of {found['num_lesions']} lesions"]
        for rate, part in rates.items()
    ]
    error = found["volume_error_ml"]
    low, high = error["middle_half"]
    cells += [
        ["Dice (bootstrap)", words(found["dice"])],
        [
            "volume drawn less volume true",
            f"median {error['median']:g} mL, middle half {low:g} to {high:g} mL",
        ],
    ]
    picture = f"<figure>{drawing.froc(found['froc'])}<figcaption>Lesions found (FROC).</figcaption></figure>"
    title = f"<h2>Where the blood is, {found['num_studies']} studies with a mask</h2>"
    return title + table(["", ""], cells) + picture


def table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    lines = "".join(f"<tr>{''.join(map(cell, row))}</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table></div>'


def cell(text: str) -> str:
    css = ' class="text"' if len(text) > 60 else ""
    return f"<td{css}>{escape(text)}</td>"


def words(figure: Mapping[str, float] | None, none: str = "-") -> str:
    """A figure with its interval; a dash between its ends would look like a minus where one is negative."""
    if figure is None:
        return none
    between = " to " if figure["low"] < 0 else "-"
    return f"{figure['value']:.3f} ({figure['low']:.3f}{between}{figure['high']:.3f})"
