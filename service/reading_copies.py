"""ReadingCopy: the slices of a case without the patient, as DICOM, for whoever reads it; made when asked for.

A copy is what `deidentify` writes of the one series that a read names slices of; of its headers only what
shows an image is told. It lies in the data folder until the case is read, and can be made anew at any time.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from pacs_gateway.deidentify import deidentify
from pacs_gateway.dicomjson import Attributes, read_attributes
from pacs_gateway.headers import read_header
from pacs_gateway.part10 import IMPLEMENTATION_VERSION_NAME, read_meta
from pacs_gateway.thin_heads import is_thin
from service.accounts import Viewer
from service.adjudications import find_dispute
from service.assignments import find_assignment
from service.case_images import Slice, slices_of
from service.case_keys import open_research_key, research_key_file
from service.case_states import OPEN_TO_EDITS, CaseState
from service.cases import Case
from service.errors import NotFound, NotReady
from service.settings import Settings
from service.storage import Storage
from service.studies import Study

HEADERS = "headers.json"
WAITED_FOR = frozenset({CaseState.ASSIGNED, CaseState.READ})
"""States in which somebody has still to look at the images."""
LONGEST_S = 600
SHOWN = frozenset(
    {
        *("00080008", "00080016", "00080018", "00080060"),
        *("00180050", "00181120", "00185100"),
        *("0020000D", "0020000E", "00200011", "00200013", "00200032", "00200037", "00200052", "00201041"),
        *("00280002", "00280004", "00280008", "00280010", "00280011", "00280030", "00280100", "00280101"),
        *("00280102", "00280103", "00280106", "00280107", "00280120", "00281050", "00281051", "00281052"),
        *("00281053", "00281054", "00282110", "00282112", "00282114"),
    }
)
"""Of a header, what an image is shown by: kind, UIDs, place, pixels, window. No word of anybody."""


class Desk(StrEnum):
    """Where a case is read: by its readers, or by who decides between them."""

    LABELS = "labels"
    ADJUDICATIONS = "adjudications"


@dataclass(frozen=True, slots=True)
class ReadingCopy:
    """The slices of one case under their pseudonyms."""

    study_instance_uid: str
    series_instance_uid: str
    headers: tuple[Attributes, ...]
    """Of each slice, bottom to top."""
    files: Mapping[str, Path]
    """By SOP Instance UID."""


def case_to_read(session: Session, viewer: Viewer, desk: Desk, number: int) -> Case:
    """The case of one of the viewer's reads that may be entered or corrected, or that they adjudicate.

    Raises:
        NotFound: it is not theirs, or the case takes no more reads.
    """
    if desk is Desk.ADJUDICATIONS:
        return find_dispute(session, viewer, number).case
    case = session.get_one(Case, find_assignment(session, viewer, number).case_id)
    if case.state not in OPEN_TO_EDITS:
        raise NotFound(f"the read with the number {number} is closed")
    return case


def reading_copy(settings: Settings, storage: Storage, session: Session, case: Case) -> ReadingCopy:
    """The copy of a case, made now where nobody has made it of these very files yet.

    Raises:
        NotReady: the study has no image any more, or none that may leave care as DICOM; the text says why.
    """
    slices = slices_of(session, case)
    hcode = session.get_one(Study, case.study_id).hcode or ""
    root = settings.data / "reading"
    folder = root / f"{case.id}-{_made_of(settings, slices, hcode)[:32]}"
    if not (folder / HEADERS).is_file():
        root.mkdir(mode=0o700, exist_ok=True)
        _drop_others(session, root, folder)
        _make(settings, storage, slices, folder, hcode)
    return _read(folder)


def _made_of(settings: Settings, slices: Sequence[Slice], hcode: str) -> str:
    """What a copy follows from, without telling anything of it."""
    keys = [each.storage_key for each in slices]
    key = open_research_key(settings).uid("reading")
    parts = [IMPLEMENTATION_VERSION_NAME, *sorted(SHOWN), key, hcode, *keys]
    return sha256("\0".join(parts).encode()).hexdigest()


def _make(settings: Settings, storage: Storage, slices: Sequence[Slice], folder: Path, hcode: str) -> None:
    key = open_research_key(settings)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".making-") as name:
        out = Path(name) / "out"
        out.mkdir()
        refused = _write(settings, [storage.path(each.storage_key) for each in slices], out, hcode)
        written = {path.stem: path for path in out.glob("*/*/*.dcm")}
        uids = [key.uid(each.sop_instance_uid) for each in slices]
        if refused or written.keys() != set(uids):
            why = refused or f"{len(written)} of {len(slices)} slices could be copied"
            raise NotReady(f"the images of this case may not leave care as DICOM: {why}")
        headers = json.dumps([_shown(written[uid]) for uid in uids], separators=(",", ":"))
        (out / HEADERS).write_text(headers, encoding="utf-8")
        try:
            out.rename(folder)
        except OSError:
            if not (folder / HEADERS).is_file():  # else somebody has made the same meanwhile
                raise


def _write(settings: Settings, paths: Sequence[Path], out: Path, hcode: str) -> str:
    """Write the copies; why some were refused, empty for none."""
    if not is_thin([read_header(path) for path in paths]):
        key = open_research_key(settings)
        refused = deidentify(paths, out, key=key, hcode=hcode, durable=False).refused
        return "; ".join(reason.meaning for reason in sorted(refused))
    # faces are looked for in a process of its own: seconds of work, and scipy, which the API does without
    source = out.with_name("source")
    source.mkdir()
    for number, path in enumerate(paths):
        (source / str(number)).symlink_to(path.absolute())
    words = [sys.executable, "-m", "service", "deidentify", str(source), str(out)]
    words += ["--key-file", str(research_key_file(settings)), "--hospital", hcode]
    done = subprocess.run(words, capture_output=True, text=True, timeout=LONGEST_S, check=False)
    said = [line for line in done.stdout.splitlines() if line.startswith("refused")]
    return "; ".join(said) or (done.stderr[-300:].strip() if done.returncode else "")


def _shown(path: Path) -> Attributes:
    header = {tag: value for tag, value in read_attributes(path, "").items() if tag in SHOWN}
    with path.open("rb") as file:
        syntax = read_meta(file.read(4096)).transfer_syntax_uid
    return {**header, "00083002": {"vr": "UI", "Value": [syntax]}}


@lru_cache(maxsize=64)
def _read(folder: Path) -> ReadingCopy:
    """A copy that lies there; the name of its folder tells what it is made of, so it stays what it was."""
    headers = tuple(json.loads((folder / HEADERS).read_text(encoding="utf-8")))
    study, series = (headers[0][tag]["Value"][0] for tag in ("0020000D", "0020000E"))
    uids = [header["00080018"]["Value"][0] for header in headers]
    return ReadingCopy(
        study_instance_uid=study,
        series_instance_uid=series,
        headers=headers,
        files={uid: folder / study / series / f"{uid}.dcm" for uid in uids},
    )


def _drop_others(session: Session, root: Path, folder: Path) -> None:
    """Take away what nobody waits for: copies of cases that are read, and of files since replaced."""
    waiting = {str(n) for n in session.scalars(select(Case.id).where(Case.state.in_(WAITED_FOR)))}
    mine = folder.name.split("-")[0]
    for each in root.iterdir():
        number = each.name.split("-")[0]
        if number.isdigit() and (number == mine or number not in waiting):
            shutil.rmtree(each, ignore_errors=True)
