"""The report of an evaluation as one HTML file that needs nothing else: no scripts, pictures inside."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from training import drawing, sections
from training.gallery import Pick
from training.report import POPULATIONS

Row = Mapping[str, Any]

STYLE = """
:root{color-scheme:light dark;--ink:#1b1f24;--soft:#5c6670;--line:#d5dae0;--paper:#fff;--accent:#0b62a8;
--warn:#a33a00;--tint:#f3f6f9}
@media(prefers-color-scheme:dark){:root{--ink:#e6e9ec;--soft:#9aa5b0;--line:#3a424a;--paper:#14181c;
--accent:#6cb4f0;--warn:#ff9a5c;--tint:#1d2329}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:72rem;padding:1.5rem 1rem 4rem;background:var(--paper);color:var(--ink);
font:15px/1.5 system-ui,sans-serif}
h1{font-size:1.5rem;margin:0 0 .25rem}h2{font-size:1.25rem;margin:2.5rem 0 .5rem;padding-top:.75rem;
border-top:2px solid var(--ink)}h3{font-size:1.05rem;margin:2rem 0 .5rem}
h4{font-size:.95rem;margin:1.25rem 0 .25rem}
p{margin:.4rem 0;max-width:46rem;overflow-wrap:anywhere}.soft,figcaption{color:var(--soft);font-size:.87rem}
.warn{color:var(--warn);font-weight:600}.wide{overflow-x:auto}
table{border-collapse:collapse;margin:.4rem 0;font-variant-numeric:tabular-nums;font-size:.9rem}
th,td{padding:.25rem .9rem .25rem 0;text-align:left;border-bottom:1px solid var(--line);vertical-align:top;
white-space:nowrap}th{font-weight:600;color:var(--soft)}td.n{text-align:right}
td.text{white-space:normal;min-width:20rem}
.pictures,.cases{display:flex;flex-wrap:wrap;gap:1rem 1.5rem;align-items:flex-start}
figure{margin:.5rem 0}.cases figure{background:var(--tint);padding:.6rem;border-radius:6px;max-width:100%}
.cases img{width:166px;max-width:32%;height:auto;background:#000;vertical-align:top}
svg{font:11px system-ui,sans-serif;max-width:100%;height:auto}svg text{fill:var(--ink)}
svg .box{fill:none;stroke:var(--line)}svg .guide{fill:none;stroke:var(--soft);stroke-dasharray:4 4}
svg .curve{fill:none;stroke:var(--accent);stroke-width:2}svg .mark{fill:var(--accent)}
svg .whisker,svg .negative{fill:none;stroke:var(--accent)}svg .positive{fill:none;stroke:var(--warn)}
"""

SIMULATED = (
    "Simulated heads. These figures show that the software works from end to end; they say nothing "
    "about how well it finds stroke in patients."
)
INTERVALS = (
    "Brackets are 95 % intervals: DeLong for AUROC, Wilson for proportions, and where it says bootstrap, "
    "percentiles over draws of whole patients. "
    "Where nothing was missed the bootstrap has nothing to vary: read Wilson's."
)


KIND_PARTS = (sections.answers, sections.calibration, sections.predictive, sections.volumes, sections.strata)


def write_page(report: Row, cases: Sequence[tuple[Pick, Sequence[str]]]) -> str:
    """The whole page.

    Args:
        report: As written to report.json.
        cases: Studies worth looking at with their pictures as data URLs.
    """
    parts = []
    for population, words in POPULATIONS.items():
        rows = [row for row in report["figures"] if row["population"] == population]
        shown = [case for case in cases if case[0].population == population]
        if rows or report["num_by_population"].get(population):
            num = report["num_by_population"].get(population, 0)
            parts.append(_population(population, words, num, rows, shown))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>Evaluation of {escape(report['model'])}</title><style>{STYLE}</style></head><body>"
        f"{_head(report)}{''.join(parts)}{sections.masks(report.get('masks'))}{_refused(report)}</body></html>\n"
    )


def _head(report: Row) -> str:
    counts = ", ".join(
        f"{num} {escape(POPULATIONS[name])}" for name, num in report["num_by_population"].items()
    )
    draws = report["bootstrap"]
    return (
        f"<h1>Evaluation of {escape(report['model'])}</h1>"
        f'<p class="soft">Package {escape(report["digest"])}<br>Engine {escape(report["engine"])}. '
        f"{report['num_studies']} studies: {counts}; {len(report['refused'])} refused. "
        f"Bootstrap: {draws['resamples']} draws, seed {draws['seed']}.</p>"
        "<p><strong>Research use only.</strong> Triage beside the standard of care, not a diagnosis. "
        "Thresholds are those frozen in the package; nothing here was tuned on these studies.</p>"
        f'<p class="soft">{INTERVALS}</p>{_lagging(report)}'
    )


def _lagging(report: Row) -> str:
    """The gate: strata whose sensitivity lies too far below the whole's."""
    names = report.get("lagging_strata", ())
    if not names:
        return ""
    return "".join(f'<p class="warn">Lags behind the whole: {escape(name)}</p>' for name in names)


def _population(
    population: str, words: str, num: int, rows: Sequence[Row], cases: Sequence[tuple[Pick, Sequence[str]]]
) -> str:
    parts = [f"<h2>{escape(words[:1].upper() + words[1:])}, {num} studies</h2>"]
    if population == "phantom":
        parts.append(f'<p class="warn">{SIMULATED}</p>')
    if not rows:
        parts.append(
            "<p>No stroke type has both positive and negative studies here, so there is nothing to rank.</p>"
        )
    else:
        parts.append(_overview(rows))
    for row in rows:
        if row["assessed"]:
            parts.append(_kind(row, [case for case in cases if case[0].kind == row["stroke_type"]]))
    return "".join(parts)


def _overview(rows: Sequence[Row]) -> str:
    cells = [
        [
            row["stroke_type"],
            "yes" if row["assessed"] else "no",
            f"{row['num_positive']} / {row['num_negative']}",
            sections.words(row["auroc"]),
            sections.words(row["sensitivity_at_flag"]),
            sections.words(row["specificity_at_flag"]),
            sections.words(row["bootstrap"]["brier"]),
            sections.words(row["bootstrap"]["ece"]),
        ]
        for row in rows
    ]
    names = ["type", "assessed", "pos / neg", "AUROC", "sensitivity", "specificity", "Brier", "ECE"]
    note = (
        "Of a type that is not assessed the hub says nothing; "
        "its row shows what the thresholds in the package would give."
    )
    return sections.table(names, cells) + f'<p class="soft">{note}</p>'


def _kind(row: Row, cases: Sequence[tuple[Pick, Sequence[str]]]) -> str:
    points = {"flag": row["flag"], "clear": row["clear"]}
    scores = row["scores"]
    pictures = [
        (
            drawing.roc(scores["positive"], scores["negative"], points),
            "ROC curve with the frozen thresholds.",
        ),
        (
            drawing.calibration(row["calibration_curve"]),
            "Calibration: bins of equal numbers, Wilson's intervals.",
        ),
        (drawing.probabilities(scores["positive"], scores["negative"], points), "Every study by its truth."),
        (drawing.confusion(row["three_way"]), "Truth against answer."),
    ]
    figures = "".join(f"<figure>{svg}<figcaption>{words}</figcaption></figure>" for svg, words in pictures)
    return (
        f"<h3>{escape(row['stroke_type'])}</h3>"
        f'<p class="soft">Flag from {row["flag"]:.3f}, clear below {row["clear"]:.3f}; '
        f"{row['num_patients']} patients.</p>"
        f'<div class="pictures">{figures}</div>'
        f"{''.join(part(row) for part in KIND_PARTS)}{sections.cases(cases)}"
    )


def _refused(report: Row) -> str:
    if not report["refused"]:
        return "<h2>Refused</h2><p>None.</p>"
    counts = sections.table(
        ["reason", "studies"], [[reason, str(num)] for reason, num in report["refusals"].items()]
    )
    cells = [
        [each["case"], POPULATIONS[each["population"]], ", ".join(each["refusals"]), each["text"]]
        for each in report["refused"]
    ]
    return f"<h2>Refused, {len(cells)} studies</h2>{counts}" + sections.table(
        ["case", "of", "reasons", "why"], cells
    )
