"""Model: a package that the hub has taken in, whole and proven; which one reads where is in `placements`."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Float, ForeignKey, Index, String, Text, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from model.stroke import StrokeType
from service import audit
from service.accounts import Viewer
from service.arrivals import clean
from service.db import Base, Id, UtcDateTime, locked, now, words
from service.errors import AlreadyExists, BadRequest, NotFound
from service.model_states import ModelState, ModelVerb

LEAST_DIGITS = 8
"""Of a digest, to name a model by."""
REGION = ""
"""The place that stands for every hospital without one of its own."""


class Model(Base):
    """One registered package."""

    __tablename__ = "models"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    name: Mapped[str] = mapped_column(String(200), unique=True)
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    folder: Mapped[str] = mapped_column(Text)
    """In HUB_DATA."""
    assessed: Mapped[list[Any]]
    """The stroke types that it answers for."""
    engine: Mapped[str] = mapped_column(String(60))
    """Which reproduced the golden studies when it was taken in."""
    golden_off_by: Mapped[float] = mapped_column(Float(53))
    """The largest difference of a probability on them."""
    registered_by: Mapped[str] = mapped_column(String(100))
    registered_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)


class ModelStep(Base):
    """One thing done to a model in one place; the database refuses to change or delete it."""

    __tablename__ = "model_steps"
    __table_args__ = (Index("ix_model_steps_place_id", "place", "id"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    model_id: Mapped[int] = mapped_column(ForeignKey("models.id"), index=True)
    place: Mapped[str] = mapped_column(String(5))
    """A hospital's code, or empty for the region."""
    verb: Mapped[ModelVerb] = mapped_column(words(ModelVerb))
    before: Mapped[ModelState] = mapped_column(words(ModelState))
    after: Mapped[ModelState] = mapped_column(words(ModelState))
    reason: Mapped[str] = mapped_column(Text)
    gates: Mapped[list[Any]]
    """What the gates said that were overridden; empty where none refused."""
    by: Mapped[str] = mapped_column(String(100))
    at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)


def register_model(
    session: Session,
    viewer: Viewer,
    *,
    name: str,
    digest: str,
    folder: str,
    assessed: Sequence[StrokeType],
    engine: str,
    golden_off_by: float,
) -> Model:
    """Write down a package whose files are safe and whose golden studies reproduce; again changes nothing.

    Raises:
        AlreadyExists: another package has this name.
    """
    known = session.scalar(select(Model).where(Model.name == name))
    if known is not None and known.digest != digest:
        raise AlreadyExists(
            f"{name} is registered with the digest {known.digest[:12]}, this one has {digest[:12]}; "
            "give the new package a version of its own"
        )
    if known is not None:
        return known
    made = Model(
        name=name,
        digest=digest,
        folder=folder,
        assessed=[each.value for each in assessed],
        engine=engine,
        golden_off_by=golden_off_by,
        registered_by=viewer.username,
    )
    session.add(made)
    session.flush()
    note_step(session, viewer, made, REGION, ModelVerb.REGISTER, ModelState.CANDIDATE, ModelState.CANDIDATE)
    return made


def find_model(session: Session, name: str) -> Model:
    """The model of this name, or whose digest begins so.

    Raises:
        NotFound: there is none. BadRequest: several digests begin so.
    """
    name = clean(name)
    if found := session.scalar(select(Model).where(Model.name == name)):
        return found
    if len(name) >= LEAST_DIGITS and set(name) <= set("0123456789abcdef"):
        alike = session.scalars(select(Model).where(Model.digest.startswith(name)).limit(2)).all()
        if len(alike) > 1:
            raise BadRequest(f"several models have a digest that begins with {name}")
        if alike:
            return alike[0]
    raise NotFound(f"no model is called {name!r}")


def list_models(session: Session) -> Sequence[Model]:
    """Every model, the newest first."""
    return session.scalars(select(Model).order_by(Model.id.desc())).all()


def lock_registry(session: Session) -> None:
    """Let no other process move models until this session ends."""
    session.scalars(locked(select(Model).order_by(Model.id))).all()


def note_step(
    session: Session,
    viewer: Viewer,
    model: Model,
    place: str,
    verb: ModelVerb,
    before: ModelState,
    after: ModelState,
    *,
    reason: str = "",
    gates: Sequence[str] = (),
) -> ModelStep:
    """Put what was done to a model into its history, and into the audit."""
    step = ModelStep(
        model_id=model.id,
        place=place,
        verb=verb,
        before=before,
        after=after,
        reason=clean(reason),
        gates=list(gates),
        by=viewer.username,
    )
    session.add(step)
    session.flush()
    detail: audit.Detail = {
        "model": model.id,
        "digest": model.digest[:12],
        "place": place or "region",
        "step": step.id,
    }
    audit.record(session, viewer.username, f"model.{verb.value}", detail=detail)
    return step


def steps_of(
    session: Session, model: Model | None = None, *, place: str | None = None, limit: int | None = None
) -> Sequence[ModelStep]:
    """The history, newest first: of one model or of all, in one place or in all."""
    query = select(ModelStep).order_by(ModelStep.id.desc())
    if model is not None:
        query = query.where(ModelStep.model_id == model.id)
    if place is not None:
        query = query.where(ModelStep.place == place)
    return session.scalars(query if limit is None else query.limit(limit)).all()
