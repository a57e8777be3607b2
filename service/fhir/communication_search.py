"""Reading and searching Communications: what was told, to whom, and when it arrived."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, and_, false, or_, select, true
from sqlalchemy.orm import Session

from service.accounts import Permission, Viewer
from service.alert_deliveries import AlertDelivery, TellState
from service.alerts import Alert, told_to
from service.arrivals import clean
from service.consult_messages import ConsultMessage
from service.consults import Consult, concerns
from service.errors import NotFound
from service.fhir.about import about, during, of_patients
from service.fhir.communication import (
    ALERT,
    ALERT_NUMBER,
    CATEGORY,
    CONSULT,
    STATUS,
    alert_message,
    consult_message,
    page_of_task,
)
from service.fhir.criteria import Criteria, Token
from service.fhir.page import Page
from service.fhir.turns import in_turn, row_numbers


def read_communication(session: Session, viewer: Viewer, number: str, base: str) -> Page:
    """One message.

    Raises:
        NotFound: there is none that the viewer's hospital was told or is part of.
        NotAllowed: the role is neither called nor asked.
    """
    _check(viewer)
    search = _consults if number.startswith("m") else _alerts
    page = search(session, viewer, Criteria("Communication", {"_id": [Token(None, number)]}), None, 1)
    if not page.resources:
        raise NotFound(f"no Communication {number!r}")
    return page


def search_communications(session: Session, viewer: Viewer, criteria: Criteria, base: str) -> Page:
    """Messages of consults, newest first, then those of alerts, newest first."""
    _check(viewer)
    return in_turn(
        [
            lambda after, count: _consults(session, viewer, criteria, after, count),
            lambda after, count: _alerts(session, viewer, criteria, after, count),
        ],
        count=criteria.count,
        after=criteria.after,
    )


def _check(viewer: Viewer) -> None:
    viewer.must(Permission.ON_CALL)
    viewer.must(Permission.ASK)


def _alerts(session: Session, viewer: Viewer, criteria: Criteria, after: int | None, count: int) -> Page:
    query = select(AlertDelivery, Alert).join(Alert, Alert.id == AlertDelivery.alert_id)
    query = query.where(told_to(viewer), *_of_alerts(session, viewer, criteria))
    if after is not None:
        query = query.where(AlertDelivery.id < after)
    rows = session.execute(query.order_by(AlertDelivery.id.desc()).limit(count + 1)).all()
    known = about(session, viewer, (alert.study_id for _, alert in rows))
    return Page(
        [alert_message(message, alert, known.get(alert.study_id)) for message, alert in rows[:count]],
        [alert.study_id for _, alert in rows[:count]],
        rows[count - 1][0].id if len(rows) > count else None,
    )


def _consults(session: Session, viewer: Viewer, criteria: Criteria, after: int | None, count: int) -> Page:
    query = select(ConsultMessage, Consult).join(Consult, Consult.id == ConsultMessage.consult_id)
    query = query.where(concerns(viewer), *_of_consults(session, viewer, criteria))
    if after is not None:
        query = query.where(ConsultMessage.id < after)
    rows = session.execute(query.order_by(ConsultMessage.id.desc()).limit(count + 1)).all()
    known = about(session, viewer, (consult.study_id for _, consult in rows))
    return Page(
        [consult_message(message, consult, known.get(consult.study_id)) for message, consult in rows[:count]],
        [consult.study_id for _, consult in rows[:count]],
        rows[count - 1][0].id if len(rows) > count else None,
    )


def _of_alerts(session: Session, viewer: Viewer, criteria: Criteria) -> list[ColumnElement[bool]]:
    made = [
        or_(false(), *(_alert_token(name, each) for each in all_)) for name, all_ in criteria.tokens.items()
    ]
    for name, ids in criteria.references.items():
        if name in ("subject", "patient"):
            made.append(of_patients(session, viewer, Alert.study_id, ids))
        elif name == "based-on":
            made.append(Alert.path.in_([page for each in ids if (page := page_of_task(each))]))
        elif name == "recipient":
            made.append(AlertDelivery.told.in_([clean(each) for each in ids if each.isdecimal()]))
        else:
            made.append(false())  # the hub itself sent it
    arrived = AlertDelivery.state == TellState.DELIVERED
    for name, days in criteria.days.items():
        column = AlertDelivery.created_at if name == "sent" else AlertDelivery.delivered_at
        made += [arrived, *(during(column, each) for each in days)]
    return made


def _of_consults(session: Session, viewer: Viewer, criteria: Criteria) -> list[ColumnElement[bool]]:
    made = [
        or_(false(), *(_consult_token(name, each) for each in all_)) for name, all_ in criteria.tokens.items()
    ]
    for name, ids in criteria.references.items():
        if name in ("subject", "patient"):
            made.append(of_patients(session, viewer, Consult.study_id, ids))
        elif name == "based-on":
            made.append(Consult.id.in_(row_numbers("c", ids)))
        elif name == "sender":
            made.append(ConsultMessage.hcode.in_([clean(each) for each in ids]))
        else:
            made.append(_received_by([clean(each) for each in ids]))
    for name, days in criteria.days.items():
        # nobody says when a message of a consult was read
        made += [during(ConsultMessage.at, each) for each in days] if name == "sent" else [false()]
    return made


def _alert_token(name: str, token: Token) -> ColumnElement[bool]:
    if name == "_id":
        return AlertDelivery.id.in_(row_numbers("a", [token.code]))
    if name == "identifier":
        known = token.system in (None, ALERT_NUMBER)
        return AlertDelivery.alert_id.in_(row_numbers("", [token.code])) if known else false()
    if name == "status":
        return AlertDelivery.state.in_([state for state, word in STATUS.items() if word == token.code])
    return _constant(token.system in (None, CATEGORY) and token.code == ALERT)


def _consult_token(name: str, token: Token) -> ColumnElement[bool]:
    if name == "_id":
        return ConsultMessage.id.in_(row_numbers("m", [token.code]))
    if name == "status":
        return _constant(token.code == "completed")
    return _constant(name == "category" and token.system in (None, CATEGORY) and token.code == CONSULT)


def _received_by(hcodes: Sequence[str]) -> ColumnElement[bool]:
    """Whoever of the two did not write it."""
    to_asked = or_(ConsultMessage.hcode != Consult.to_hcode, ConsultMessage.hcode.is_(None))
    return or_(
        and_(ConsultMessage.hcode == Consult.to_hcode, Consult.hcode.in_(hcodes)),
        and_(to_asked, Consult.to_hcode.in_(hcodes)),
    )


def _constant(holds: bool) -> ColumnElement[bool]:
    return true() if holds else false()
