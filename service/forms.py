"""FormVersion: the templates of the forms as administrators have changed them, every version kept.

A template is typst; it gets `letter.json`, `qr.svg` and the key slices, and is tried with a made-up patient
before it is kept (`form_trials`).
"""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from sqlalchemy import Index, String, Text, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from service import audit
from service.accounts import Viewer
from service.arrivals import clean
from service.db import Base, Id, UtcDateTime, now, words
from service.errors import BadRequest, Changed, NotFound

SHIPPED = Path(__file__).parent / "data"
LONGEST_SOURCE = 60_000
LONGEST_NOTE = 200


class Form(StrEnum):
    """What is printed of a referral."""

    LETTER = "letter"
    """The referral letter."""
    STROKE = "stroke"
    """The stroke fast-track sheet that travels with the patient (standards 4.4)."""
    REPLY = "reply"
    """The reply letter to the hospital that referred."""


class FormVersion(Base):
    """One version of a form's template; the newest counts, none is ever changed."""

    __tablename__ = "form_versions"
    __table_args__ = (Index("ix_form_versions_form_id", "form", "id"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    form: Mapped[Form] = mapped_column(words(Form))
    source: Mapped[str] = mapped_column(Text)
    """Typst; empty where the shipped template was put back."""
    note: Mapped[str] = mapped_column(String(LONGEST_NOTE))
    """Why it was changed."""
    made_by: Mapped[str] = mapped_column(String(100))
    made_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)


def shipped_template(form: Form) -> Path:
    """The template that comes with the hub."""
    return SHIPPED / f"{form.value}.typ"


def source_of(version: FormVersion | None, form: Form) -> str:
    """What a version says, or the shipped template."""
    return version.source if version and version.source else shipped_template(form).read_text("utf-8")


def newest_version(session: Session, form: Form) -> FormVersion | None:
    """The version that counts for what is requested from now on; None where nobody has changed the form."""
    query = select(FormVersion).where(FormVersion.form == form)
    return session.scalar(query.order_by(FormVersion.id.desc()).limit(1))


def version_at(session: Session, form: Form, at: datetime) -> FormVersion | None:
    """The version that counted then."""
    query = select(FormVersion).where(FormVersion.form == form, FormVersion.made_at <= at)
    return session.scalar(query.order_by(FormVersion.id.desc()).limit(1))


def versions_of(session: Session, form: Form) -> Sequence[FormVersion]:
    """Every version, newest first."""
    query = select(FormVersion).where(FormVersion.form == form)
    return session.scalars(query.order_by(FormVersion.id.desc())).all()


def find_version(session: Session, form: Form, number: int) -> FormVersion:
    """One version.

    Raises:
        NotFound: the form has none of this number.
    """
    version = session.get(FormVersion, number)
    if version is None or version.form is not form:
        raise NotFound(f"form {form.value!r} has no version {number}")
    return version


def save_version(
    session: Session, actor: Viewer, form: Form, source: str, *, note: str = "", seen: int | None = None
) -> FormVersion:
    """Keep a template that was tried; what is requested from now on is printed with it.

    Args:
        session: A writing session.
        actor: Who changed it.
        form: Which form.
        source: Typst, or empty to put the shipped template back.
        note: Why.
        seen: The version that the actor saw; 0 for the shipped one, None to overwrite whatever there is.

    Raises:
        BadRequest: it or the note is too long.
        Changed: somebody else has changed it meanwhile.
    """
    source, note = check_source(source), clean(note).strip()
    if len(note) > LONGEST_NOTE:
        raise BadRequest(f"a note of {len(note)} characters; it may have {LONGEST_NOTE}")
    newest = newest_version(session, form)
    if seen is not None and seen != (newest.id if newest else 0):
        who = newest.made_by if newest else "nobody"
        raise Changed(f"{who} has changed the form meanwhile; look at the newest version first")
    version = FormVersion(form=form, source=source, note=note, made_by=actor.username, made_at=now())
    session.add(version)
    session.flush()
    action = "form.changed" if source else "form.put_back"
    audit.record(session, actor.username, action, detail={"form": form.value, "version": version.id})
    return version


def check_source(source: str) -> str:
    """A template as it is kept: lines end as on Unix.

    Raises:
        BadRequest: it is too long.
    """
    source = source.replace("\r\n", "\n")
    if len(source) > LONGEST_SOURCE:
        raise BadRequest(f"a template of {len(source)} characters; it may have {LONGEST_SOURCE}")
    return source
