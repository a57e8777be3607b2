"""Reading and searching DocumentReferences: letters of referrals, and consults."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, false, select, true
from sqlalchemy.orm import InstrumentedAttribute, Session

from service.accounts import Permission, Viewer
from service.consults import Consult, concerns
from service.errors import NotFound
from service.fhir.about import about, during, of_patients
from service.fhir.criteria import Criteria, Token
from service.fhir.document_reference import (
    CONSULT_NOTE,
    REFERRAL_NOTE,
    consult_reference,
    letter_reference,
)
from service.fhir.elements import Resource
from service.fhir.page import Page
from service.fhir.turns import in_turn, row_numbers
from service.referrals import Referral, patient_shown_to, seen_by


def read_document(session: Session, viewer: Viewer, number: str, base: str) -> Page:
    """One document.

    Raises:
        NotFound: there is none whose content the viewer may have.
    """
    criteria = Criteria("DocumentReference", {"_id": [Token(None, number)]}, count=1)
    page = search_documents(session, viewer, criteria, base)
    if not page.resources:
        raise NotFound(f"no DocumentReference {number!r}")
    return page


def search_documents(session: Session, viewer: Viewer, criteria: Criteria, base: str) -> Page:
    """Letters, newest first, then consults, newest first, for who may ask and answer."""
    root = base.removesuffix("/fhir")
    sources = [lambda after, count: _letters(session, viewer, criteria, root, after, count)]
    if viewer.may(Permission.ASK):
        sources.append(lambda after, count: _consults(session, viewer, criteria, root, after, count))
    return in_turn(sources, count=criteria.count, after=criteria.after)


def _letters(
    session: Session, viewer: Viewer, criteria: Criteria, root: str, after: int | None, count: int
) -> Page:
    query = select(Referral).where(
        seen_by(viewer),
        patient_shown_to(viewer),
        *_conditions(session, viewer, criteria, _Columns("r", REFERRAL_NOTE, Referral.id, Referral.study_id)),
        *(during(Referral.created_at, each) for each in criteria.days.get("date", ())),
    )
    if after is not None:
        query = query.where(Referral.id < after)
    found = session.scalars(query.order_by(Referral.id.desc()).limit(count + 1)).all()
    known = about(session, viewer, (each.study_id for each in found))
    made = [letter_reference(each, known.get(each.study_id), root=root) for each in found[:count]]
    return _page(made, found, count)


def _consults(
    session: Session, viewer: Viewer, criteria: Criteria, root: str, after: int | None, count: int
) -> Page:
    query = select(Consult).where(
        concerns(viewer),
        *_conditions(session, viewer, criteria, _Columns("c", CONSULT_NOTE, Consult.id, Consult.study_id)),
        *(during(Consult.asked_at, each) for each in criteria.days.get("date", ())),
    )
    if after is not None:
        query = query.where(Consult.id < after)
    found = session.scalars(query.order_by(Consult.id.desc()).limit(count + 1)).all()
    known = about(session, viewer, (each.study_id for each in found))
    made = [consult_reference(each, known.get(each.study_id), root=root) for each in found[:count]]
    return _page(made, found, count)


@dataclass(frozen=True, slots=True)
class _Columns:
    """What the two tables differ in."""

    letter: str
    type: Resource
    id: InstrumentedAttribute[int]
    study_id: InstrumentedAttribute[int]


def _conditions(
    session: Session, viewer: Viewer, criteria: Criteria, table: _Columns
) -> list[ColumnElement[bool]]:
    made: list[ColumnElement[bool]] = []
    for name, tokens in criteria.tokens.items():
        if name == "_id":
            made.append(table.id.in_(row_numbers(table.letter, [each.code for each in tokens])))
        else:
            made.append(true() if any(_means(name, each, table.type) for each in tokens) else false())
    for name, ids in criteria.references.items():
        if name == "related":
            made.append(table.id.in_(row_numbers(table.letter, ids)))
        else:
            made.append(of_patients(session, viewer, table.study_id, ids))
    return made


def _means(name: str, token: Token, type_: Resource) -> bool:
    if name == "status":
        return token.code == "current"
    return token.system in (None, type_["system"]) and token.code == type_["code"]


def _page(made: Sequence[Resource], found: Sequence[Referral] | Sequence[Consult], count: int) -> Page:
    return Page(
        made, [each.study_id for each in found[:count]], found[count - 1].id if len(found) > count else None
    )
