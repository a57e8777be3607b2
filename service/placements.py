"""Placement: which model reads where, and the verbs that change it.

A place is the whole region, or one hospital that is ahead of it (a canary). A hospital without a live model
of its own is read by the region's; a region without one by the package of HUB_MODEL. What was promoted lies
on what it replaced, by place, and a roll-back takes the uppermost off.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, func, select, text
from sqlalchemy.orm import Mapped, Session, mapped_column

from service.accounts import Viewer
from service.db import Base, Id, UtcDateTime, locked, now, words
from service.errors import Changed, NotAllowed, NotReady
from service.findings import Analysis
from service.hospitals import find_hospital
from service.model_states import ModelState, ModelVerb, check_model_move
from service.models import REGION, Model, ModelStep, find_model, lock_registry, note_step, steps_of

_LIVE = text("state = 'live'")
_SHADOW = text("state = 'shadow'")


class Placement(Base):
    """Where one model stands in one place; without a row it is a candidate there."""

    __tablename__ = "placements"
    __table_args__ = (
        Index("ix_placements_live", "place", unique=True, sqlite_where=_LIVE, postgresql_where=_LIVE),
        Index("ix_placements_shadow", "place", unique=True, sqlite_where=_SHADOW, postgresql_where=_SHADOW),
    )

    place: Mapped[str] = mapped_column(String(5), primary_key=True)
    model_id: Mapped[int] = mapped_column(ForeignKey("models.id"), primary_key=True)
    state: Mapped[ModelState] = mapped_column(words(ModelState))
    since: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    after_analysis: Mapped[int] = mapped_column(Id)
    """The newest analysis when it came into this state."""


@dataclass(frozen=True, slots=True)
class At:
    """The models that read one hospital's studies; None for the package of HUB_MODEL, or for no shadow."""

    live: Model | None
    shadow: Model | None


def models_at(session: Session, hcode: str | None) -> At:
    """Which models read the studies of a hospital now."""
    rows = session.execute(
        select(Placement, Model)
        .join(Model, Model.id == Placement.model_id)
        .where(
            Placement.place.in_([REGION, hcode or REGION]),
            Placement.state.in_([ModelState.LIVE, ModelState.SHADOW]),
        )
        .order_by(Placement.place)  # the hospital's own comes after the region's, and stands
    )
    found: dict[ModelState, Model] = {row.state: model for row, model in rows}
    live, shadow = found.get(ModelState.LIVE), found.get(ModelState.SHADOW)
    return At(live, None if shadow is live else shadow)


def placements(session: Session) -> Sequence[Placement]:
    """Every place of every model."""
    return session.scalars(select(Placement).order_by(Placement.place, Placement.model_id)).all()


def state_in(session: Session, model: Model, place: str) -> ModelState:
    """Where a model stands in a place."""
    row = session.get(Placement, (place, model.id))
    return row.state if row else ModelState.CANDIDATE


def check_places(session: Session, viewer: Viewer, hospitals: Sequence[str]) -> list[str]:
    """The places that a verb is about: these hospitals, or the region.

    Raises:
        NotFound: no such hospital. NotAllowed: the viewer sees one hospital, and it is about others.
    """
    for hcode in hospitals:
        find_hospital(session, hcode)
    if not viewer.sees_region and set(hospitals) != {viewer.hcode}:
        raise NotAllowed("an account of one hospital moves models at that hospital alone")
    return sorted(set(hospitals)) or [REGION]


def shadow_model(
    session: Session, viewer: Viewer, name: str, hospitals: Sequence[str] = (), *, reason: str = ""
) -> Model:
    """Let a model read beside the live one; another that did so there is retired.

    Raises:
        NotFound: no such model or hospital. IllegalTransition: it is there already, or is live.
    """
    lock_registry(session)
    model = find_model(session, name)
    for place in check_places(session, viewer, hospitals):
        check_model_move(model.name, state_in(session, model, place), ModelVerb.SHADOW)
        _clear(session, viewer, place, ModelState.SHADOW, reason=f"{model.name} is shadow now")
        _move(session, viewer, model, place, ModelVerb.SHADOW, reason=reason)
    return model


def promote_model(
    session: Session,
    viewer: Viewer,
    name: str,
    hospitals: Sequence[str] = (),
    *,
    reason: str = "",
    seen: str | None = None,
    gates: Sequence[str] = (),
) -> Model:
    """Let a model read the studies, from the next one on. For the region it ends every hospital's own way.

    Args:
        session: A writing session.
        viewer: Who does.
        name: Of the model.
        hospitals: Where; the region when there are none.
        reason: Why.
        seen: The live model's name that the person saw before, so that two do not undo each other.
        gates: What the gates said that an administrator overrides.

    Raises:
        NotFound: no such model or hospital. IllegalTransition: it is live there. Changed: see `seen`.
    """
    lock_registry(session)
    model = find_model(session, name)
    for place in check_places(session, viewer, hospitals):
        check_model_move(model.name, state_in(session, model, place), ModelVerb.PROMOTE)
        _check_seen(session, place, seen)
        replaced = f"{model.name} is live now"
        _clear(session, viewer, place, ModelState.LIVE, reason=replaced)
        _move(session, viewer, model, place, ModelVerb.PROMOTE, reason=reason, gates=gates)
        if place == REGION:
            _end_own_ways(session, viewer, model, reason=f"{replaced}, in the whole region")
    return model


def roll_back(
    session: Session,
    viewer: Viewer,
    hospitals: Sequence[str] = (),
    *,
    reason: str = "",
    seen: str | None = None,
) -> list[tuple[str, Model, Model | None]]:
    """Take the live model off; the one that it replaced reads again, from the next study on.

    Returns:
        By place, what was taken off and what reads instead: None for a hospital that goes the region's way
        again, and for a region that goes back to the package of HUB_MODEL.

    Raises:
        NotReady: no model was ever promoted there. Changed: another than `seen` is live.
    """
    lock_registry(session)
    done = []
    for place in check_places(session, viewer, hospitals):
        pile = _pile(session, place)
        if not pile:
            raise NotReady(f"no model was promoted {_where(place)}, so there is nothing to go back to")
        _check_seen(session, place, seen)
        model = session.get_one(Model, pile[-1])
        _move(session, viewer, model, place, ModelVerb.ROLLBACK, reason=reason)
        before = session.get_one(Model, pile[-2]) if len(pile) > 1 else None
        if before is not None:
            _move(session, viewer, before, place, ModelVerb.RESTORE, reason=f"{model.name} was rolled back")
        done.append((place, model, before))
    return done


def retire_model(
    session: Session, viewer: Viewer, name: str, hospitals: Sequence[str] = (), *, reason: str = ""
) -> Model:
    """Have a candidate, or a shadow, read no more.

    Raises:
        NotFound: no such model or hospital. IllegalTransition: it is live there, or retired already.
    """
    lock_registry(session)
    model = find_model(session, name)
    for place in check_places(session, viewer, hospitals):
        _move(session, viewer, model, place, ModelVerb.RETIRE, reason=reason)
    return model


def live_in(session: Session, place: str) -> Model | None:
    """The live model of the place itself."""
    query = select(Model).join(Placement, Placement.model_id == Model.id)
    return session.scalar(query.where(Placement.place == place, Placement.state == ModelState.LIVE))


def _check_seen(session: Session, place: str, seen: str | None) -> None:
    if seen is None:
        return
    live = live_in(session, place)
    name = live.name if live else ""
    if seen not in (name, live.digest if live else ""):
        raise Changed(f"the live model {_where(place)} is {name or 'the package of HUB_MODEL'} now")


def _where(place: str) -> str:
    return f"at hospital {place}" if place else "for the region"


def _clear(session: Session, viewer: Viewer, place: str, state: ModelState, *, reason: str) -> None:
    query = select(Model).join(Placement, Placement.model_id == Model.id)
    for model in session.scalars(query.where(Placement.place == place, Placement.state == state)).all():
        _move(session, viewer, model, place, ModelVerb.REPLACE, reason=reason)


def _end_own_ways(session: Session, viewer: Viewer, model: Model, *, reason: str) -> None:
    """No hospital has a live model of its own any more, and the promoted one is nobody's shadow."""
    rows = session.scalars(select(Placement).where(Placement.place != REGION)).all()
    for row in rows:
        if row.state is ModelState.LIVE or (row.state is ModelState.SHADOW and row.model_id == model.id):
            theirs = session.get_one(Model, row.model_id)
            _move(session, viewer, theirs, row.place, ModelVerb.END, reason=reason)


def _move(
    session: Session,
    viewer: Viewer,
    model: Model,
    place: str,
    verb: ModelVerb,
    *,
    reason: str,
    gates: Sequence[str] = (),
) -> ModelStep:
    row = session.scalar(
        locked(select(Placement).where(Placement.place == place, Placement.model_id == model.id))
    )
    before = row.state if row else ModelState.CANDIDATE
    after = check_model_move(model.name, before, verb)
    newest = session.scalar(select(func.max(Analysis.id))) or 0
    if row is None:
        row = Placement(place=place, model_id=model.id, state=after, after_analysis=newest)
        session.add(row)
    row.state, row.since, row.after_analysis = after, now(), newest
    return note_step(session, viewer, model, place, verb, before, after, reason=reason, gates=gates)


def _pile(session: Session, place: str) -> list[int]:
    """What was promoted in a place and not rolled back, the live one last."""
    pile: list[int] = []
    for step in reversed(steps_of(session, place=place)):
        if step.verb is ModelVerb.PROMOTE:
            pile.append(step.model_id)
        elif step.verb is ModelVerb.ROLLBACK:
            pile.pop()
        elif step.verb is ModelVerb.END and step.before is ModelState.LIVE:
            pile = []
    return pile
