"""The same simulated heads scanned otherwise: how much the probability of a bleed moves.

    python -m training.invariance MODEL [--n 6] [--seed 1] [--out DIR]

One thing is changed at a time against a usual scan (512 x 512, field of view 240 mm, 5 mm, no tilt): matrix,
field of view, slice thickness, gantry tilt, order of the files, header dialect. The head is the same, so is
the truth; nothing is tuned on what comes out. A probability may move by less than 0.05. `repeat` is the usual
scan once more with other noise: what moves no further than that is not moved by the change.
"""

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from model.phantom import Lesion, Phantom, simulate_head
from model.phantom_dicom import DIALECTS, draw_patient, write_series
from model.stroke import StrokeType
from model.volume import UnreadableStudy, load_head_ct
from model.weights import BadArtefact
from training.evaluate import RecordingDetector, answer
from training.simulate import SIMULATED_SIDE

BAR = 0.05
COVERED_MM = 140.0
REPEATS = 3
FIRST_SEED = 810_000_000
"""Of heads that no recipe trains on."""

HEADS: tuple[tuple[str | Lesion, ...], ...] = (
    (),
    ("iph",),
    ("sdh",),
    ("sah",),
    (),
    (Lesion("iph", 0.5),),
    ("ivh",),
    ("edh",),
)
"""What lies in the heads, in turn."""


@dataclass(frozen=True, slots=True)
class Scan:
    """How a head is scanned and stored."""

    side: int = 512
    fov_mm: float = 240.0
    spacing_mm: float = 5.0
    tilt_deg: float = 0.0
    dialect: int = 0
    """Index into `DIALECTS`."""
    shuffled: bool = False
    simulated_side: int = SIMULATED_SIDE
    """Pixels the head is simulated on before it is enlarged; one less meets other noise in the same scan."""


USUAL = Scan()


@dataclass(frozen=True, slots=True)
class Change:
    """One thing done otherwise."""

    what: str
    to: str
    scan: Scan


def changes() -> list[Change]:
    """Everything that is tried."""
    return [
        *(
            Change("repeat", str(n), replace(USUAL, simulated_side=SIMULATED_SIDE - n))
            for n in range(1, 1 + REPEATS)
        ),
        *(Change("matrix", str(n), replace(USUAL, side=n)) for n in (320, 768)),
        *(Change("field of view", f"{n} mm", replace(USUAL, fov_mm=float(n))) for n in (200, 220, 270, 300)),
        *(Change("slices", f"{mm:g} mm", replace(USUAL, spacing_mm=mm)) for mm in (2.5, 0.625)),
        *(Change("tilt", f"{n} deg", replace(USUAL, tilt_deg=float(n))) for n in (5, 15, 25)),
        Change("file order", "shuffled", replace(USUAL, shuffled=True)),
        *(Change("dialect", DIALECTS[n].name, replace(USUAL, dialect=n)) for n in range(1, len(DIALECTS))),
    ]


@dataclass(frozen=True, slots=True)
class Outcome:
    """One head, scanned otherwise."""

    head: str
    what: str
    to: str
    usual: float
    """Probability of any haemorrhage in the usual scan."""
    probability: float | None
    """None: refused."""
    usual_answer: str
    answer: str
    """Flag, review or clear; or why it was refused."""

    @property
    def moved(self) -> float | None:
        """How far the probability moved."""
        return None if self.probability is None else abs(self.probability - self.usual)

    @property
    def breaks(self) -> bool:
        """Whether it moved as far as the bar, or the study is refused that was not."""
        return self.moved is None or self.moved >= BAR


Answer = tuple[float | None, str]
Read = Callable[[Sequence[Path]], Answer]


def read_with(detector: RecordingDetector) -> Read:
    """Probability of any haemorrhage and the answer; None and the reasons if refused."""

    def read(paths: Sequence[Path]) -> Answer:
        try:
            probabilities, answers = answer(detector, load_head_ct(paths))
        except UnreadableStudy as refused:
            return None, "refused: " + ", ".join(refused.refusals)
        return probabilities[StrokeType.ANY_ICH], str(answers[StrokeType.ANY_ICH])

    return read


def probe(read: Read, number: int, seed: int, tried: Sequence[Change], scratch: Path) -> Iterator[Outcome]:
    """One head in every scan; nothing if even the usual scan is refused.

    Args:
        read: Answers a study by its files.
        number: Of the head; tells what lies in it.
        seed: Draws the heads.
        tried: What is changed.
        scratch: Folder for the files; one scan at a time.
    """
    head = head_name(number)
    drawn: dict[Scan, Phantom] = {}

    def scanned(scan: Scan) -> Answer:
        # matrix, order and dialect are changes of the same simulated head, and come first
        setting = as_simulated(scan)
        if setting not in drawn:
            drawn.clear()
            drawn[setting] = simulate_scan(number, seed, scan)
        return read(write_scan(drawn[setting], scan, scratch))

    usual, usual_answer = scanned(USUAL)
    if usual is None:
        return
    for change in sorted(tried, key=lambda each: as_simulated(each.scan) != USUAL):
        probability, said = scanned(change.scan)
        yield Outcome(head, change.what, change.to, usual, probability, usual_answer, said)


def head_name(number: int) -> str:
    """A head by its number and what lies in it."""
    lesions = HEADS[number % len(HEADS)]
    words = [each if isinstance(each, str) else f"small-{each.kind}" for each in lesions]
    return f"{number + 1:02d}-{'-'.join(words) or 'normal'}"


def as_simulated(scan: Scan) -> Scan:
    """What the scanner does, whatever way its images are stored."""
    return replace(scan, side=USUAL.side, dialect=USUAL.dialect, shuffled=USUAL.shuffled)


def simulate_scan(number: int, seed: int, scan: Scan) -> Phantom:
    """A head in one scan."""
    return simulate_head(
        FIRST_SEED + 1000 * seed + number,
        lesions=HEADS[number % len(HEADS)],
        side=scan.simulated_side,
        slices=round(COVERED_MM / scan.spacing_mm),
        spacing_mm=scan.spacing_mm,
        tilt_deg=scan.tilt_deg,
        fov_mm=scan.fov_mm,
    )


def write_scan(phantom: Phantom, scan: Scan, scratch: Path) -> list[Path]:
    """The files of a scan, in place of the one before."""
    shutil.rmtree(scratch, ignore_errors=True)
    paths = write_series(
        phantom,
        scratch,
        dialect=DIALECTS[scan.dialect],
        patient=draw_patient(phantom.seed, phantom.age),
        side=scan.side,
    )
    if scan.shuffled:
        order = np.random.default_rng(phantom.seed).permutation(len(paths))
        return [paths[index] for index in order]
    return paths


def summarise(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """One row by change."""
    rows = []
    for change in changes():
        group = [each for each in outcomes if (each.what, each.to) == (change.what, change.to)]
        moved = [each.moved for each in group if each.moved is not None]
        if not group:
            continue
        rows.append(
            {
                "change": change.what,
                "to": change.to,
                "heads": len(group),
                "most": round(max(moved), 4) if moved else None,
                "mean": round(float(np.mean(moved)), 4) if moved else None,
                "over_bar": sum(each >= BAR for each in moved),
                "other_answer": sum(each.answer != each.usual_answer for each in group),
                "refused": len(group) - len(moved),
            }
        )
    return rows


def as_text(rows: Sequence[dict[str, Any]], outcomes: Sequence[Outcome]) -> str:
    """The table, and who breaks the bar."""
    names = list(rows[0]) if rows else []
    lines = ["| " + " | ".join(names) + " |", "|" + " --- |" * len(names)]
    lines += ["| " + " | ".join("-" if row[n] is None else str(row[n]) for n in names) + " |" for row in rows]
    broken = [each for each in outcomes if each.breaks]
    lines.append(f"\n{len(broken)} of {len(outcomes)} scans break the bar |difference| < {BAR}:")
    for each in broken:
        now = "-" if each.probability is None else f"{each.probability:.3f}"
        lines.append(
            f"  {each.head:<14} {each.what} {each.to}: {each.usual:.3f} {each.usual_answer}"
            f" -> {now} {each.answer}"
        )
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; exit code 0, 1 if the bar is broken, 2 if the model cannot be read."""
    parser = argparse.ArgumentParser(
        prog="python -m training.invariance", description=__doc__.splitlines()[0]
    )
    parser.add_argument("model", type=Path)
    parser.add_argument("--n", type=int, default=6, help="heads")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, help="folder for invariance.json")
    parser.add_argument("--only", action="append", help="try only this kind of change; may be given again")
    parser.add_argument("--threads", type=int, default=None)
    options = parser.parse_args(arguments)
    try:
        detector = RecordingDetector(options.model, threads=options.threads)
    except (OSError, BadArtefact) as error:
        print(f"cannot measure: {error}", file=sys.stderr)
        return 2
    tried = [each for each in changes() if not options.only or each.what in options.only]
    outcomes: list[Outcome] = []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(options.n):
            outcomes += probe(read_with(detector), number, options.seed, tried, Path(folder) / "scan")
            print(f"{number + 1}/{options.n} {head_name(number)}", file=sys.stderr, flush=True)
            if options.out:
                write_report(options.out, detector, outcomes)
    print(f"{detector.artefact.name} {detector.artefact.digest}, {detector.engine}, simulated heads\n")
    print(as_text(summarise(outcomes), outcomes))
    return int(any(each.breaks for each in outcomes))


def write_report(out: Path, detector: RecordingDetector, outcomes: Sequence[Outcome]) -> None:
    """Everything measured so far as invariance.json."""
    out.mkdir(parents=True, exist_ok=True)
    report = {
        "model": detector.artefact.name,
        "digest": detector.artefact.digest,
        "engine": detector.engine,
        "population": "simulated",
        "bar": BAR,
        "changes": summarise(outcomes),
        "scans": [{**asdict(each), "breaks": each.breaks} for each in outcomes],
    }
    (out / "invariance.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
