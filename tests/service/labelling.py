"""A small labelling campaign for the tests: cases, readers, reads."""

import hashlib
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from labeling.answers import Answer, Answers, Criterion
from labeling.assignment import Design, Reader
from labeling.labels import Label
from labeling.splits import Shares
from pacs_gateway.arrivals import ReceivedInstance
from pacs_gateway.headers import read_header
from pacs_gateway.pseudonyms import Key
from service.accounts import Role, Viewer, add_account
from service.assignments import ReadingRound, assign_cases
from service.cases import Case, admit_case
from service.reads import dump_label
from service.reports import add_report
from service.storage import Storage
from service.studies import register_study
from tests.labeling import reads
from tests.pacs import write_slice
from tests.service.factories import UDON, arrived, registered

KEY = Key(b"k" * 32)
IMAGES = reads.IMAGES
ML = Viewer("ml", Role.ML, None)
TECHNICIAN = Viewer("technician", Role.TECHNICIAN, UDON)
GOOD = Answers(dict.fromkeys(Criterion, Answer.YES), "I63.9")
NORMAL, BLEED = reads.normal(), reads.bleed()


def reader(name: str) -> Viewer:
    return Viewer(name, Role.RADIOLOGIST, None)


def entered(label: Label) -> dict[str, Any]:
    return dump_label(label)


def admitted(session: Session, n: int = 1, *, answers: Answers = GOOD, **changes: Any) -> Case:
    """A case of its own study and patient, with a report."""
    identity = {
        "patient_id": f"{n:07d}",
        "patient_name": f"TEST^{n}",
        "birth_date": date(1950, 1, 1 + n % 28),
        "age_years": 76.0,
        "hcode": UDON,
        **changes,
    }
    study = registered(session, f"1.2.{100 + n}", **identity)
    technician = Viewer("technician", Role.TECHNICIAN, identity["hcode"])
    add_report(session, study, technician, "No hemorrhage.")
    return admit_case(session, technician, study.study_instance_uid, answers, KEY)


def given_out(
    session: Session,
    cases: int = 6,
    readers: tuple[str, ...] = ("r1", "r2", "r3"),
    *,
    design: Design | None = None,
    shares: Shares | None = None,
    adjudicators: tuple[str, ...] = ("judge",),
) -> ReadingRound:
    """Cases admitted and given out to readers with accounts."""
    for n in range(1, cases + 1):
        admitted(session, n)
    for name in (*readers, *adjudicators):
        add_account(session, name, Role.RADIOLOGIST)
    return assign_cases(
        session,
        ML,
        [Reader(name) for name in readers],
        design or Design(common=1, double_share=0.4, rereads=0),
        shares or Shares(calibration=0.1, test=0.2),
        adjudicators=adjudicators,
    )


def with_images(
    session: Session, storage: Storage, folder: Path, n: int = 1, *, slices: int = 4, **changes: Any
) -> Case:
    """A case whose files are really there: small axial CT slices, bottom to top."""
    uid, hn = f"1.2.{100 + n}", f"HN-77{n:05d}"
    paths = [
        write_slice(
            folder / uid, study=uid, number=at, pixel=n, side=64, PatientName=f"Secret^Name{n}", PatientID=hn,
            AccessionNumber=f"ACC{n}", **{"SliceThickness": 5.0, **changes},
        )
        for at in range(1, slices + 1)
    ]  # fmt: skip
    now = datetime.now(UTC)
    received = tuple(
        ReceivedInstance(
            header=read_header(path),
            path=path,
            size=path.stat().st_size,
            sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
            received_at=now,
            conflict=False,
        )
        for path in paths
    )
    kept = dict(zip([each.sha256 for each in received], storage.keep_all(paths), strict=True))
    study = register_study(
        session,
        arrived(uid, instances=received, patient_id=hn, patient_name=f"Secret^Name{n}", birth_date=None),
        kept,
    )
    add_report(session, study, TECHNICIAN, "No hemorrhage.")
    return admit_case(session, TECHNICIAN, uid, GOOD, KEY)
