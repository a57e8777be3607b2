"""Announcement: the alert that an outcome of the analysis raises, or the one that it ends."""

from typing import Final

from sqlalchemy.orm import Session

from model.stroke import Refusal
from service.alerts import Alert, AlertKind, Withdrawal, raise_alert
from service.corrections import withdraw_flags
from service.hospital_modes import Mode, mode_of
from service.states import Lane, StudyState
from service.studies import HUB, Study

NO_HEAD_CT: Final = frozenset({Refusal.NOT_CT, Refusal.NO_IMAGES, Refusal.NOT_HEAD, Refusal.UNDER_18})
"""Refusals of what is not for the AI at all: hospitals send everything, and nobody need get up for it."""


def announce_outcome(session: Session, study: Study) -> Alert | None:
    """Tell the study's hospital of a flag, or that a head CT could not be judged; once for each revision.

    Nobody is told of a study that was uploaded for research, of a hospital that is not known, or of one at
    which the AI only watches. Where an earlier revision was flagged and this one is clear, those who were
    told of the flag are told so.
    """
    if study.state is StudyState.CLEAR:
        withdraw_flags(session, study, Withdrawal.CLEARED, HUB)
    kind = _kind(study)
    if kind is None or study.hcode is None or study.lane is not Lane.LIVE:
        return None
    if mode_of(session, study.hcode) is Mode.SILENT:
        return None
    return raise_alert(
        session,
        kind,
        hcode=study.hcode,
        study_id=study.id,
        path=f"/studies/{study.study_instance_uid}",
        key=f"{kind.value}:{study.id}:{study.revision}",
    )


def _kind(study: Study) -> AlertKind | None:
    if study.state is StudyState.FLAGGED:
        return AlertKind.FLAG
    if study.state is StudyState.FAILED:
        return AlertKind.REFUSED_WORK
    if study.state is StudyState.REFUSED and not NO_HEAD_CT & {Refusal(each) for each in study.reasons}:
        return AlertKind.REFUSED_WORK
    return None
