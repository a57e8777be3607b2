"""FormVersion: the templates of the forms as administrators have changed them, every version kept."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from service.db import Base, Id, UtcDateTime, now, words


class Form(StrEnum):
    """What is printed."""

    LETTER = "letter"
    """The referral letter."""


class FormVersion(Base):
    """One version of a form's template; the newest counts, none is ever changed."""

    __tablename__ = "form_versions"
    __table_args__ = (Index("ix_form_versions_form_id", "form", "id"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    form: Mapped[Form] = mapped_column(words(Form))
    source: Mapped[str] = mapped_column(Text)
    """Typst; empty where the shipped template was put back."""
    note: Mapped[str] = mapped_column(String(200))
    """Why it was changed."""
    made_by: Mapped[str] = mapped_column(String(100))
    made_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
