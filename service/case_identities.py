"""Which cases are of one patient, over hospitals and numbers, and what a person said of two alike."""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from sqlalchemy import String, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from labeling.patients import Identity, Link, Patients, Why, group_patients
from labeling.splits import Part, Placed, Shares, split_cases
from service import audit
from service.accounts import Viewer
from service.case_states import CaseState
from service.cases import Case
from service.db import Base, Id, UtcDateTime, now
from service.errors import BadRequest, NotFound
from service.series import Series
from service.studies import Study

AT_ONCE = 500
"""Studies whose series are asked for in one query."""


class SamePatient(Base):
    """What a person has said of two patient keys; the newest row of a pair counts."""

    __tablename__ = "same_patients"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    first: Mapped[str] = mapped_column(String(64), index=True)
    second: Mapped[str] = mapped_column(String(64))
    same: Mapped[bool]
    said_by: Mapped[str] = mapped_column(String(100))
    at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)


def patients_of(session: Session) -> Patients:
    """Every case that is not excluded, by patient."""
    cases = session.scalars(select(Case).where(Case.state != CaseState.EXCLUDED).order_by(Case.id)).all()
    images = _images(session, [case.study_id for case in cases])
    said = session.scalars(select(SamePatient).order_by(SamePatient.id))
    decisions = {frozenset((each.first, each.second)): each.same for each in said}
    identities = [
        Identity(
            case=case_name(case.id),
            patient=case.patient_key,
            citizen=case.citizen_key,
            likeness=case.likeness_key,
            images=images[case.study_id],
        )
        for case in cases
    ]
    return group_patients(identities, decisions)


def suspects(session: Session) -> Sequence[tuple[Link, list[int], list[int]]]:
    """Likenesses that nobody has decided, each with the cases of either side."""
    found = patients_of(session).suspects
    numbers = _numbers(session, {key for link in found for key in (link.first, link.second)})
    return [(link, numbers[link.first], numbers[link.second]) for link in found]


def say_same(session: Session, viewer: Viewer, first: int, second: int, same: bool) -> SamePatient:
    """Say whether two cases are of one patient.

    Raises:
        NotFound: there is no such case. BadRequest: both have one patient key already.
    """
    cases = [session.get(Case, number) for number in (first, second)]
    if None in cases:
        raise NotFound(f"no case has the number {second if cases[0] else first}")
    one, other = sorted(case.patient_key for case in cases if case)
    if one == other:
        raise BadRequest(f"cases {first} and {second} have one number at one hospital: one patient")
    said = SamePatient(first=one, second=other, same=same, said_by=viewer.username)
    session.add(said)
    detail: audit.Detail = {"cases": [first, second], "same": str(same)}
    audit.record(session, viewer.username, "case.same_patient", detail=detail)
    return said


def decided_pairs(session: Session) -> Sequence[tuple[SamePatient, list[int], list[int]]]:
    """What people said, the newest word of every pair first, each with the cases of either side."""
    newest: dict[frozenset[str], SamePatient] = {}
    for said in session.scalars(select(SamePatient).order_by(SamePatient.id)):
        newest[frozenset((said.first, said.second))] = said
    rows = sorted(newest.values(), key=lambda said: -said.id)
    numbers = _numbers(session, {key for said in rows for key in (said.first, said.second)})
    return [(said, numbers[said.first], numbers[said.second]) for said in rows]


def joined_by(session: Session) -> dict[Why, int]:
    """How many pairs of patient keys are one patient without a person's word, by what joins them."""
    links = patients_of(session).links
    return dict(Counter(link.why for link in links if link.why in (Why.SAME_CITIZEN, Why.SAME_IMAGES)))


def parts_of(session: Session, shares: Shares, groups: Mapping[str, str] | None = None) -> dict[int, Part]:
    """The part of every case that is not excluded, if it were frozen now.

    Raises:
        BadRequest: the shares make no sense, or name a hospital that no case comes from.
    """
    group_of = patients_of(session).group_of if groups is None else groups
    rows = session.execute(
        select(Case.id, Case.hcode, Study.study_date)
        .join(Study, Study.id == Case.study_id)
        .where(Case.state != CaseState.EXCLUDED)
    )
    placed = [
        Placed(case_name(number), group_of[case_name(number)], hcode or "", f"{day:%Y-%m}" if day else "")
        for number, hcode, day in rows
    ]
    try:
        return {int(name): part for name, part in split_cases(placed, shares).items()}
    except ValueError as error:
        raise BadRequest(str(error)) from None


def case_name(number: int) -> str:
    """A case's number as the library names it; sorts as the number does."""
    return f"{number:08d}"


def _numbers(session: Session, keys: Collection[str]) -> dict[str, list[int]]:
    """The cases under each patient key."""
    numbers: dict[str, list[int]] = defaultdict(list)
    query = select(Case.id, Case.patient_key).where(Case.patient_key.in_(keys)).order_by(Case.id)
    for number, key in session.execute(query):
        numbers[key].append(number)
    return numbers


def _images(session: Session, study_ids: Collection[int]) -> dict[int, frozenset[str]]:
    """SOP instance UIDs and storage keys by study: one image under two patients makes them one."""
    marks: dict[int, set[str]] = defaultdict(set)
    wanted = sorted(study_ids)
    for start in range(0, len(wanted), AT_ONCE):
        query = select(Series).where(Series.study_id.in_(wanted[start : start + AT_ONCE]))
        for series in session.scalars(query):
            for instance in series.instances:
                marks[series.study_id] |= {instance[0], instance[3]}
    return defaultdict(frozenset, {study: frozenset(found) for study, found in marks.items()})
