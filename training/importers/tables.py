"""Folders of DICOM with a CSV of labels: one row a study.

Columns: `study` (a folder below the data's), `patient` (default: the study is its own patient), `hospital`,
`month`, and one by stroke type with 0, 1 or nothing for unknown. Other columns are left alone.
"""

import csv
from collections.abc import Iterator
from pathlib import Path

from model.stroke import StrokeType
from training.importers.frozen import Found
from training.importers.studies import BadLabels, KnownOf


def table_studies(folder: Path, labels: Path) -> Iterator[Found]:
    """Files and knowledge of every row.

    Raises:
        BadLabels: a row names no folder, or a label is not 0, 1 or empty; no column is a stroke type.
    """
    with labels.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        kinds = [name for name in reader.fieldnames or [] if name in tuple(StrokeType)]
        if "study" not in (reader.fieldnames or []) or not kinds:
            raise BadLabels(f"{labels.name} has the columns {reader.fieldnames}, not study and a stroke type")
        for number, row in enumerate(reader, start=2):
            study = folder / row["study"]
            if not row["study"] or not study.is_dir():
                raise BadLabels(f"{labels.name} line {number}: {study} is not a folder")
            wrong = {kind: row[kind] for kind in kinds if row[kind].strip() not in ("", "0", "1")}
            if wrong:
                raise BadLabels(f"{labels.name} line {number}: {wrong} is not 0, 1 or empty")
            known = KnownOf(
                name=row["study"].replace("/", "_"),
                patient=row.get("patient") or row["study"],
                labels={kind: int(row[kind]) for kind in kinds if row[kind].strip()},
                hospital=row.get("hospital") or "",
                month=row.get("month") or "",
            )
            yield [path for path in sorted(study.rglob("*")) if path.is_file()], known
