"""A small labelling campaign for the tests: cases, readers, reads."""

from datetime import date
from typing import Any

from sqlalchemy.orm import Session

from labeling.answers import Answer, Answers, Criterion
from labeling.assignment import Design, Reader
from labeling.labels import Label
from labeling.splits import Shares
from pacs_gateway.pseudonyms import Key
from service.accounts import Role, Viewer, add_account
from service.assignments import ReadingRound, assign_cases
from service.cases import Case, admit_case
from service.reads import dump_label
from service.reports import add_report
from tests.labeling import reads
from tests.service.factories import UDON, registered

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
