"""The rows of the worklist as its template prints them: every text is made here, as each page has fifty."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from model.stroke import StrokeType
from service.states import Priority, StudyState
from service.studies import Study
from service.web.words import Words

UNREAD = frozenset({StudyState.FLAGGED, StudyState.REVIEW})


@dataclass(frozen=True, slots=True)
class Row:
    """One study as the list shows it."""

    uid: str
    state: str
    badge: str
    unread: bool
    stat: bool
    silent: bool
    findings: Sequence[str]
    reasons: str
    hn: str
    name: str
    age: str
    hospital: str
    title: str
    about: str
    received: str
    waiting: str


def make_row(
    study: Study, flags: Sequence[StrokeType], names: Mapping[str, str], *, silent: bool, t: Words
) -> Row:
    """A study's row.

    Args:
        study: The study.
        flags: The stroke types that stand flagged.
        names: Hospitals by their code, in the reader's language.
        silent: Whether the AI only watches at its hospital.
        t: The reader's words.
    """
    received, state = study.first_received_at, study.state.value
    day, images = t.day(study.study_date), t("worklist.images", n=study.instances)
    return Row(
        uid=study.study_instance_uid,
        state=state,
        badge=t(f"state.{state}"),
        unread=study.reviewed_at is None and study.state in UNREAD,
        stat=study.priority is Priority.STAT,
        silent=silent,
        findings=[t(f"stroke.{kind.value}") for kind in flags],
        reasons=", ".join(t(f"refusal.{reason}") for reason in study.reasons),
        hn=study.patient_id or t("worklist.no_hn"),
        name=study.patient_name.replace("^", " ").replace("=", " · ").strip(),
        age="" if study.age_years is None else t("worklist.age", years=int(study.age_years)),
        hospital=names.get(study.hcode or "", study.hcode or ""),
        title=study.study_description or study.modality or t("worklist.study"),
        about=f"{day} · {images}" if day else images,
        received=received.isoformat(),
        waiting=t.since(received),
    )
