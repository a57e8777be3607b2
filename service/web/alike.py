"""Patients who look alike under two numbers, side by side, and what a person decided of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from sqlalchemy import select
from sqlalchemy.orm import Session

from service.accounts import Permission
from service.api.access import Browser, Look, Work, note_read
from service.case_identities import decided_pairs, joined_by, say_same, suspects
from service.case_images import slices_of
from service.cases import Case
from service.errors import NotReady
from service.hospitals import hospital_names
from service.studies import Study
from service.web.page import render, see_other, words_of
from service.web.words import Language

router = APIRouter(include_in_schema=False)

MOST = 50
"""Pairs on one page; deciding them brings up the next."""


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two."""

    case: Case
    study: Study
    hospital: str
    middle: int
    """Its middle slice; 0 where there is none."""
    others: int
    """Further cases of this patient."""


@router.get("/cases/alike")
def show_alike(entry: Browser, request: Request, session: Look) -> Response:
    """Pairs that nobody has decided, those that were, and what joined others without a person."""
    viewer = entry.chosen().must(Permission.CURATE)
    names = hospital_names(session, thai=words_of(request).language is Language.TH)
    waiting = [(first, second) for _, first, second in suspects(session)]
    shown = [
        (_side(session, first, names), _side(session, second, names)) for first, second in waiting[:MOST]
    ]
    numbers = [side.case.id for pair in shown for side in pair]
    decided, joined = decided_pairs(session), joined_by(session)
    note_read(request, session, viewer, "case.alike", detail={"cases": numbers})
    return render(
        request, "alike.html", viewer, pairs=shown, waiting=len(waiting), decided=decided, joined=joined
    )


@router.post("/cases/alike")
def decide(
    entry: Browser,
    request: Request,
    session: Work,
    first: Annotated[int, Form(ge=1, le=2**53)],
    second: Annotated[int, Form(ge=1, le=2**53)],
    same: Annotated[bool, Form()],
) -> Response:
    """Say whether two are one; the newest word counts."""
    viewer = entry.chosen().must(Permission.CURATE)
    say_same(session, viewer, first, second, same)
    return see_other(request, "/cases/alike", flash="pair_decided")


def _side(session: Session, numbers: Sequence[int], names: Mapping[str, str]) -> Side:
    case = session.get_one(Case, numbers[0])
    study = session.scalars(select(Study).where(Study.id == case.study_id)).one()
    try:
        middle = (len(slices_of(session, case)) + 1) // 2
    except NotReady:
        middle = 0
    return Side(case, study, names.get(case.hcode or "", ""), middle, len(numbers) - 1)
