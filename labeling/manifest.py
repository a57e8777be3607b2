"""The frozen data set: a folder that nothing changes any more, with a hash of everything in it.

    dataset.json     what it is: version, how it was parted, flow, licence, hash of every file; canonical JSON
    manifest.jsonl   one row a study, in the one format that `training` reads
    DATASHEET.md     what it is for people
    flow.svg         from upload to data set
    STUDY/...        the de-identified files of each study

The digest of a data set is the SHA-256 of dataset.json, so it stands for every byte of it.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from labeling.splits import Leak, Part, Placed, assert_disjoint
from model.stroke import StrokeType

SCHEMA = "r8-dataset-1.0"
ABOUT, ROWS, SHEET, PICTURE = "dataset.json", "manifest.jsonl", "DATASHEET.md", "flow.svg"
SOURCES = ("real", "simulated")
MASKS = "masks/"
"""Before the names of files that are no image."""
SYNCS_AT_ONCE = 16
"""The file system commits syncs that wait together in one go: 500 small files took 0.2 s instead of 2.6 s."""


class BadDataSet(ValueError):
    """A data set is not what it says; the text names file and value."""


class AlreadyFrozen(BadDataSet):
    """There is another data set in the folder; a frozen one is never changed."""


@dataclass(frozen=True, slots=True)
class Row:
    """One study of a data set."""

    study_key: str
    """Its name, and that of its folder."""
    patient_key: str
    """HMAC, by group: the same for a patient under two numbers."""
    hospital: str
    split: Part
    labels: Mapping[StrokeType, int | None]
    """1 or 0; None is unknown."""
    source: str = "real"
    soft_labels: Mapping[StrokeType, float] = field(default_factory=dict)
    """Mean over the readers."""
    slice_ranges: Mapping[StrokeType, Sequence[tuple[str, str]]] = field(default_factory=dict)
    """SOP instance UIDs of the first and last slice of every stretch that shows it."""
    acquired_month: str = ""
    """YYYY-MM; empty where it would tell by how much the dates of a de-identified study were shifted."""
    onset_to_ct_h: float | None = None
    scanner_id: str = ""
    readers: Sequence[Mapping[str, Any]] = ()
    """Each {id, round, labels, slice_ranges, mask_path}: what they said; older sets have the first two."""
    adjudicated: bool = False
    mask_path: str | None = None
    exclude_reason: str | None = None
    """Rows that have one belong to no part, and no reader takes them."""
    files: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 by path beside the manifest."""


@dataclass(frozen=True, slots=True)
class DataSet:
    """What a frozen folder says of itself."""

    name: str
    version: int
    digest: str
    about: Mapping[str, Any]
    rows: tuple[Row, ...]


def canonical(value: object) -> str:
    """JSON in one way only: sorted keys, no blanks, no NaN, UTF-8 as it is."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)


def check_rows(rows: Sequence[Row]) -> None:
    """Refuse rows that cannot be frozen.

    Raises:
        BadDataSet: no rows, a key twice, a source that is none, or a row in no part without a reason.
        Leak: a patient is in two parts, a held-out hospital in another, or one file in two patients' rows.
    """
    if not rows:
        raise BadDataSet("there is nothing to freeze")
    seen: set[str] = set()
    owner: dict[str, str] = {}
    for row in rows:
        if row.study_key in seen:
            raise BadDataSet(f"study {row.study_key!r} is there twice")
        seen.add(row.study_key)
        if row.source not in SOURCES:
            raise BadDataSet(f"{row.study_key}: source {row.source!r} is not one of {', '.join(SOURCES)}")
        if (row.split is Part.LEFT_OUT) != bool(row.exclude_reason):
            raise BadDataSet(f"{row.study_key}: {row.split.value} with reason {row.exclude_reason!r}")
        for digest in row.files.values():
            if owner.setdefault(digest, row.patient_key) != row.patient_key:
                raise Leak(f"{row.study_key} holds a file of another patient: one of the two is wrong")
    placed = [Placed(row.study_key, row.patient_key, row.hospital, row.acquired_month) for row in rows]
    assert_disjoint(placed, {row.study_key: row.split for row in rows})


def freeze(
    folder: Path,
    rows: Sequence[Row],
    about: Mapping[str, Any],
    files: Mapping[str, Path],
    *,
    sheet: str,
    picture: str,
) -> str:
    """Write a data set; the folder is there whole or not at all. The same again changes nothing.

    Args:
        folder: Where; its parent must exist.
        rows: The studies; `files` of each names what `files` holds.
        about: Name, version, and whatever else is to be said; the hashes are added.
        files: By path beside the manifest, where the bytes are now.
        sheet: DATASHEET.md.
        picture: flow.svg.

    Returns:
        The digest.

    Raises:
        BadDataSet: see `check_rows`; or a file is not what its row says.
        AlreadyFrozen: another data set is in the folder.
    """
    check_rows(rows)
    lines = "".join(canonical(_plain(row)) + "\n" for row in sorted(rows, key=lambda row: row.study_key))
    texts = {ROWS: lines, SHEET: sheet, PICTURE: picture}
    hashes = {name: _sha256(text.encode()) for name, text in texts.items()}
    whole = canonical({**about, "schema": SCHEMA, "studies": len(rows), "sha256": hashes})
    digest = _sha256(whole.encode())
    if folder.exists():
        if not (folder / ABOUT).is_file() or _sha256((folder / ABOUT).read_bytes()) != digest:
            raise AlreadyFrozen(f"{folder} holds something else; a frozen data set is never changed")
        return digest
    scratch = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        _copy_files(scratch, rows, files)
        for name, text in {**texts, ABOUT: whole}.items():
            (scratch / name).write_text(text, encoding="utf-8")
        written = sorted(scratch.rglob("*"))
        with ThreadPoolExecutor(SYNCS_AT_ONCE) as pool:
            list(pool.map(_sync, written))
        for path in written:
            if path.is_file():
                path.chmod(0o444)
        scratch.rename(folder)
        _sync(folder.parent)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise
    return digest


def read_data_set(folder: Path, *, verify: bool = True) -> DataSet:
    """Read a data set and check it against its hashes.

    Args:
        folder: As `freeze` wrote it.
        verify: Also read every file of every study.

    Raises:
        BadDataSet: something is missing, of another schema, or not what its hash says.
    """
    try:
        whole = (folder / ABOUT).read_bytes()
        about = json.loads(whole)
        if about.get("schema") != SCHEMA:
            raise BadDataSet(f"{folder / ABOUT}: schema {about.get('schema')!r} is not {SCHEMA!r}")
        for name, digest in about["sha256"].items():
            _check_file(folder / name, digest)
        rows = tuple(
            _row(json.loads(line)) for line in (folder / ROWS).read_text(encoding="utf-8").splitlines()
        )
    except (OSError, KeyError, TypeError, json.JSONDecodeError) as error:
        raise BadDataSet(f"{folder} cannot be read as a data set: {error}") from error
    if verify:
        for row in rows:
            for name, digest in row.files.items():
                _check_file(folder / name, digest)
    check_rows(rows)
    return DataSet(about["name"], about["version"], _sha256(whole), about, rows)


def is_frozen_row(row: Mapping[str, Any]) -> bool:
    """Whether a row of a manifest is one of a frozen data set."""
    return "study_key" in row


def evaluation_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """A frozen row in the names that `training.manifest` measures by."""
    known = {
        "case": row["study_key"],
        "patient": row["patient_key"],
        "source": row.get("source", "real"),
        "labels": row["labels"],
        "hospital": row.get("hospital") or None,
        "scanner": row.get("scanner_id") or None,
        "onset_h": row.get("onset_to_ct_h"),
    }
    return {name: value for name, value in known.items() if value is not None}


def _copy_files(scratch: Path, rows: Sequence[Row], files: Mapping[str, Path]) -> None:
    for row in rows:
        for name, digest in row.files.items():
            target = (scratch / name).resolve()
            if not target.is_relative_to(scratch.resolve()):
                raise BadDataSet(f"{row.study_key}: {name!r} leads out of the data set")
            if name not in files:
                raise BadDataSet(f"{row.study_key}: nothing is given for {name!r}")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(files[name], target)
            _check_file(target, digest)


def sha256_of(path: Path) -> str:
    """The hash by which a row names a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check_file(path: Path, digest: str) -> None:
    if not path.is_file():
        raise BadDataSet(f"{path} is missing")
    found = sha256_of(path)
    if found != digest:
        raise BadDataSet(f"{path} is {found[:12]}..., not {digest[:12]}... as it was frozen")


def _plain(row: Row) -> dict[str, Any]:
    plain = {item.name: getattr(row, item.name) for item in fields(row)}
    return {name: dict(value) if isinstance(value, Mapping) else value for name, value in plain.items()}


def _row(plain: dict[str, Any]) -> Row:
    ranges = plain["slice_ranges"].items()
    plain["split"] = Part(plain["split"])
    plain["labels"] = {StrokeType(word): value for word, value in plain["labels"].items()}
    plain["soft_labels"] = {StrokeType(word): value for word, value in plain["soft_labels"].items()}
    plain["slice_ranges"] = {StrokeType(word): [(a, b) for a, b in pairs] for word, pairs in ranges}
    return Row(**plain)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
