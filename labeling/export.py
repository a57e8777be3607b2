"""A frozen data set for people who want a table or one file: labels as CSV, and the whole folder as a zip."""

import csv
import io
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from labeling.manifest import MASKS, Row
from model.stroke import StrokeType

CHUNK = 1 << 20
EPOCH = (1980, 1, 1, 0, 0, 0)
"""The time of every file in the zip: the same data set gives the same bytes."""
_FIXED = (
    "study_key",
    "patient_key",
    "hospital",
    "split",
    "source",
    "readers",
    "adjudicated",
    "exclude_reason",
)


def labels_csv(rows: Sequence[Row]) -> str:
    """One line a study: its part, its labels (1, 0, empty for unknown), and the soft labels beside them."""
    kinds = [kind.value for kind in StrokeType]
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow([*_FIXED, "onset_to_ct_h", *kinds, *(f"{kind}_soft" for kind in kinds), "images"])
    for row in rows:
        hard = [row.labels.get(kind) for kind in StrokeType]
        soft = [row.soft_labels.get(kind) for kind in StrokeType]
        writer.writerow(
            [
                row.study_key,
                row.patient_key,
                row.hospital,
                row.split.value,
                row.source,
                len(row.readers),
                int(row.adjudicated),
                row.exclude_reason or "",
                "" if row.onset_to_ct_h is None else row.onset_to_ct_h,
                *("" if value is None else value for value in hard),
                *("" if value is None else round(value, 4) for value in soft),
                sum(not name.startswith(MASKS) for name in row.files),
            ]
        )
    return out.getvalue()


def objects_folder(folder: Path) -> Path:
    """Where the labels of a data set lie as DICOM, once somebody has asked for them."""
    return folder.with_name(f"{folder.name}-objects")


def zipped(folder: Path, *, more: Sequence[tuple[str, bytes]] = ()) -> Iterator[bytes]:
    """The folder as a zip, piece by piece, nothing compressed: DICOM does not pack.

    Args:
        folder: As `manifest.freeze` wrote it.
        more: Further files, by name within the zip.
    """
    sink = _Sink()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as archive:
        for name, content in more:
            archive.writestr(zipfile.ZipInfo(f"{folder.name}/{name}", EPOCH), content)
        for path in sorted(each for each in folder.rglob("*") if each.is_file()):
            entry = zipfile.ZipInfo(f"{folder.name}/{path.relative_to(folder)}", EPOCH)
            entry.file_size = path.stat().st_size
            with archive.open(entry, "w") as target, path.open("rb") as source:
                while piece := source.read(CHUNK):
                    target.write(piece)
                    yield sink.take()
            yield sink.take()
    yield sink.take()


class _Sink(io.RawIOBase):
    """What was written since the last look; it cannot be sought in."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        piece = bytes(data)  # type: ignore[call-overload]
        self._pieces.append(piece)
        return len(piece)

    def take(self) -> bytes:
        """Everything since the last time."""
        whole = b"".join(self._pieces)
        self._pieces.clear()
        return whole
