"""The data sheet of a frozen data set: how it was chosen, labelled and parted, and what it cannot show."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from labeling.agreement import Agreement
from labeling.flow import Flow, flow_text
from labeling.manifest import Row
from labeling.splits import Part, Shares
from model.stroke import StrokeType

PARTS = [part for part in Part if part is not Part.LEFT_OUT]


def counts_by_class(rows: Iterable[Row]) -> dict[Part, dict[StrokeType, tuple[int, int, int]]]:
    """By part and stroke type: studies that have it, have it not, and of which it is unknown."""
    counts: dict[Part, dict[StrokeType, list[int]]] = defaultdict(
        lambda: {kind: [0, 0, 0] for kind in StrokeType}
    )
    for row in rows:
        for kind in StrokeType:
            counts[row.split][kind][{1: 0, 0: 1}.get(row.labels.get(kind), 2)] += 1  # type: ignore[arg-type]
    return {
        part: {kind: (three[0], three[1], three[2]) for kind, three in counts[part].items()}
        for part in Part
        if part in counts
    }


def counts_by_hospital(rows: Iterable[Row]) -> dict[str, Counter[Part]]:
    """Studies by hospital and part."""
    counts: dict[str, Counter[Part]] = defaultdict(Counter)
    for row in rows:
        counts[row.hospital][row.split] += 1
    return dict(sorted(counts.items()))


def datasheet(
    name: str,
    version: int,
    rows: Sequence[Row],
    flow: Flow,
    shares: Shares,
    *,
    licence: str,
    agreements: Sequence[tuple[str, Agreement]] = (),
    suspects: int = 0,
) -> str:
    """DATASHEET.md.

    Args:
        name: Of the data set.
        version: Of the data set.
        rows: Its studies, those left out among them.
        flow: From upload to data set.
        shares: How it was parted.
        licence: Under which it may be used, in words.
        agreements: Question and coefficient, as they are to be printed.
        suspects: Pairs of patient keys that may be one patient and that nobody has decided.
    """
    used = [row for row in rows if row.split is not Part.LEFT_OUT]
    sources = Counter(row.source for row in used)
    readers = Counter(len(row.readers) for row in used)
    held = ", ".join(shares.hospitals) or "none"
    return "\n".join(
        [
            f"# Data set {name} v{version}",
            "",
            f"{len(used)} studies of {len({row.patient_key for row in used})} patients from "
            f"{len({row.hospital for row in used})} hospitals: "
            + ", ".join(f"{count} {source}" for source, count in sorted(sources.items()))
            + ". Non-contrast CT of the head, de-identified (DICOM PS3.15 annex E).",
            "",
            *(
                [
                    "**Simulated.** Studies, readers or both are made up; nothing here tells of patients.",
                    "",
                ]
                if any(row.source == "simulated" for row in used)
                else []
            ),
            f"**Licence:** {licence}",
            "",
            "## How the cases were chosen",
            "",
            "```",
            flow_text(flow),
            "```",
            "",
            "## How they were labelled",
            "",
            "Readers were blind to the AI, to other readers and to the discharge code. Read by: "
            + ", ".join(f"{count} studies by {times}" for times, count in sorted(readers.items()))
            + f"; {sum(row.adjudicated for row in used)} were adjudicated.",
            "",
            *_agreement_table(agreements),
            "## How they are parted",
            "",
            f"No patient is in two parts. Held out: hospitals {held}; the last {shares.months} months. "
            f"Pairs that may be one patient and that nobody has decided, kept in one part: {suspects}.",
            "",
            *_class_table(used),
            *_hospital_table(rows),
            "## What it cannot show",
            "",
            *_limits(used),
            "",
        ]
    )


def _agreement_table(agreements: Sequence[tuple[str, Agreement]]) -> list[str]:
    if not agreements:
        return ["No case was read by more than one reader: agreement is unknown.", ""]
    rows = [
        "| question | coefficient | value (95 %) | cases | prevalence |",
        "| --- | --- | --- | --- | --- |",
    ]
    for question, found in agreements:
        value = "undefined: " + str(found.undefined)
        if found.value is not None:
            ends = "no interval" if found.low is None else f"{found.low:.2f} to {found.high:.2f}"
            value = f"{found.value:.2f} ({ends})"
        shares = ", ".join(f"{word} {share:.1%}" for word, share in found.prevalence.items() if share)
        rows.append(f"| {question} | {found.coefficient} | {value} | {found.cases} | {shares} |")
    return [*rows, ""]


def _class_table(used: Sequence[Row]) -> list[str]:
    counts = counts_by_class(used)
    head = "| finding (yes / no / unknown) | " + " | ".join(part.value for part in counts) + " |"
    rows = [head, "| --- |" + " --- |" * len(counts)]
    for kind in StrokeType:
        cells = [" / ".join(map(str, counts[part][kind])) for part in counts]
        rows.append(f"| {kind.value} | " + " | ".join(cells) + " |")
    return [*rows, ""]


def _hospital_table(rows: Sequence[Row]) -> list[str]:
    lines = [
        "| hospital | " + " | ".join(part.value for part in Part) + " |",
        "| --- |" + " --- |" * len(Part),
    ]
    for hospital, counts in counts_by_hospital(rows).items():
        lines.append(f"| {hospital or 'unknown'} | " + " | ".join(str(counts[part]) for part in Part) + " |")
    return [*lines, ""]


def _limits(used: Sequence[Row]) -> list[str]:
    lines = []
    for part, kinds in counts_by_class(used).items():
        few = [kind.value for kind, (yes, _, _) in kinds.items() if part in PARTS[2:] and yes < 30]
        if few:
            lines.append(
                f"- {part.value}: fewer than 30 studies with {', '.join(few)}; no claim can rest on them."
            )
    negatives = sum(
        row.labels.get(StrokeType.ANY_ICH) == 0 and row.labels.get(StrokeType.ACUTE_ISCHAEMIA) == 0
        for row in used
    )
    lines.append(
        f"- {negatives} studies have neither blood nor an acute infarct: specificity rests on these."
    )
    if any(row.source == "simulated" for row in used):
        lines.append("- Simulated studies prove plumbing, not medicine.")
    return lines
