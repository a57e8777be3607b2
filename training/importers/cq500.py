"""The layout of CQ500: reads.csv and one folder a study, CQ500CTn CQ500CTn/Unknown Study/SERIES/*.dcm.

Three readers answered per study (R1:ICH, R2:ICH, ...); a label is what two of them say. Every study is
its own patient. CC BY-NC-SA 4.0 (CQ500, Qure.ai).
"""

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path

from model.stroke import StrokeType
from training.importers.frozen import Found
from training.importers.studies import BadLabels, KnownOf

FINDINGS: dict[str, StrokeType] = {
    "ICH": StrokeType.ANY_ICH,
    "IPH": StrokeType.IPH,
    "IVH": StrokeType.IVH,
    "SAH": StrokeType.SAH,
    "SDH": StrokeType.SDH,
    "EDH": StrokeType.EDH,
    "MassEffect": StrokeType.MASS_EFFECT,
}
READERS = ("R1", "R2", "R3")


def cq500_studies(folder: Path) -> Iterator[Found]:
    """Files and knowledge of every study of reads.csv whose folder is there.

    Raises:
        FileNotFoundError: there is no reads.csv.
        BadLabels: a read is missing or is not 0 or 1.
    """
    homes = {
        path.name.split()[0].upper().replace("-", ""): path for path in folder.iterdir() if path.is_dir()
    }
    with (folder / "reads.csv").open(encoding="utf-8-sig", newline="") as file:
        for number, row in enumerate(csv.DictReader(file), start=2):
            name = row.get("name", "")
            home = homes.get(name.upper().replace("-", ""))
            if home is None:
                continue
            try:
                labels: dict[str, int | None] = {
                    kind: _majority(row, word) for word, kind in FINDINGS.items()
                }
            except (KeyError, ValueError) as error:
                raise BadLabels(f"reads.csv line {number} ({name}): {error}") from error
            known = KnownOf(name=f"cq500-{name}", patient=f"cq500-{name}", labels=labels, hospital="cq500")
            yield [path for path in sorted(home.rglob("*")) if path.is_file()], known


def _majority(row: Mapping[str, str], word: str) -> int:
    votes = [row[f"{reader}:{word}"].strip() for reader in READERS]
    if set(votes) - {"0", "1"}:
        raise ValueError(f"{word} was read as {votes}, not as 0 or 1")
    return int(votes.count("1") >= 2)
