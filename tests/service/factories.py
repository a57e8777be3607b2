"""Arrived studies and predictions, small and plain, for tests of the rows."""

import hashlib
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from model.stroke import Decision, Note, Prediction, Score, SliceScore, StrokeType
from pacs_gateway.arrivals import ArrivedStudy, ReceivedInstance, StudyProgress, digest_of
from pacs_gateway.callers import Sender
from pacs_gateway.completion import Completion, CompletionCode
from pacs_gateway.headers import InstanceHeader
from pacs_gateway.identity import Identity
from service.findings import record_prediction
from service.studies import Study, begin_analysis, register_study

UDON, LOEI = "10671", "10705"
RECEIVED = datetime(2026, 11, 22, 6, 0, tzinfo=UTC)
NAME = "สมหญิง^ใจดี"
HN = "0012345"


def sender(hcode: str | None = UDON) -> Sender:
    return Sender(calling_ae="UDON_CT1", called_ae="IMAGINGHUB", address="127.0.0.1", hcode=hcode)


def instance(n: int, *, uid: str = "1.2.3", series: str = "1", content: str = "a") -> ReceivedInstance:
    header = InstanceHeader(
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        sop_instance_uid=f"{uid}.{series}.{n}",
        study_instance_uid=uid,
        series_instance_uid=f"{uid}.{series}",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        modality="CT",
        image_type=("ORIGINAL", "PRIMARY", "AXIAL"),
        rows=512,
        columns=512,
        number_of_frames=1,
        series_number=int(series),
        acquisition_number=1,
        instance_number=n,
        position=(0.0, 0.0, 5.0 * n),
        orientation=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
        slice_thickness=5.0,
    )
    sha256 = hashlib.sha256(f"{uid} {series} {n} {content}".encode()).hexdigest()
    return ReceivedInstance(
        header=header, path=Path("x"), size=1, sha256=sha256, received_at=RECEIVED, conflict=False
    )


def identity(hcode: str | None = UDON, **changes: Any) -> Identity:
    values: dict[str, Any] = {
        "hcode": hcode,
        "patient_id": HN,
        "issuer": "",
        "patient_name": NAME,
        "raw_patient_name": NAME.encode("cp874"),
        "charset_declared": "ISO_IR 100",
        "charset_used": "cp874",
        "birth_date": date(1958, 4, 1),
        "sex": "F",
        "age_years": 68.6,
        "accession_number": "A1",
        "study_date": date(2026, 11, 22),
        "study_time": "060000",
        "study_description": "CT BRAIN",
        "referring_physician_name": "",
        "institution_name": "",
        "repairs": ("charset: PatientName declared ISO_IR 100, read as cp874",),
    }
    return Identity(**{**values, **changes})


def arrived(
    uid: str = "1.2.3",
    *,
    instances: Iterable[ReceivedInstance] | None = None,
    hcode: str | None = UDON,
    received: datetime = RECEIVED,
    **identity_changes: Any,
) -> ArrivedStudy:
    kept = tuple(instances if instances is not None else (instance(n, uid=uid) for n in range(3)))
    return ArrivedStudy(
        study_instance_uid=uid,
        identity=identity(hcode, **identity_changes),
        senders=(sender(hcode),),
        instances=kept,
        duplicates=0,
        conflicts=0,
        completion=Completion(code=CompletionCode.HEAD_COVERED, text="3 slices cover the head"),
        first_received_at=received,
        last_received_at=received + timedelta(seconds=9),
        digest=digest_of(each.sha256 for each in kept),
    )


def progress(uid: str = "1.2.3", *, instances: int = 2, hcode: str | None = UDON) -> StudyProgress:
    return StudyProgress(
        study_instance_uid=uid,
        senders=(sender(hcode),),
        instances=instances,
        open_associations=1,
        first_received_at=RECEIVED,
        last_received_at=RECEIVED + timedelta(seconds=instances),
    )


def keys(study: ArrivedStudy) -> dict[str, str]:
    return {each.sha256: each.sha256[::-1] for each in study.instances}


def registered(session: Session, uid: str = "1.2.3", **changes: Any) -> Study:
    study = arrived(uid, **changes)
    return register_study(session, study, keys(study))


def prediction(*flagged: StrokeType, decision: Decision | None = None) -> Prediction:
    chosen = decision or (Decision.FLAG if flagged else Decision.CLEAR)
    scores = [
        Score(kind, 0.91 if kind in flagged else 0.02, 0.5, _decision(kind, flagged), "compared with 0.5")
        for kind in (StrokeType.ANY_ICH, StrokeType.SDH, StrokeType.SAH)
    ]
    scores.append(
        Score(StrokeType.ACUTE_ISCHAEMIA, None, None, Decision.NOT_ASSESSED, "not proven for this package")
    )
    return Prediction(
        model_name="stroke-ct-0.2.0",
        model_digest="d" * 64,
        decision=chosen,
        scores=tuple(scores),
        slices=(SliceScore("1.2.3.1.0", 0.0, {StrokeType.ANY_ICH: 0.9}, (0.1, 0.2, 0.3, 0.4)),),
        notes=(Note("thick_slices", "slices of 5.0 mm"),),
        series_instance_uid="1.2.3.1",
        engine="openvino",
        seconds={"load": 0.2, "infer": 0.4},
    )


def _decision(kind: StrokeType, flagged: Iterable[StrokeType]) -> Decision:
    return Decision.FLAG if kind in flagged else Decision.CLEAR


def analysed(session: Session, uid: str = "1.2.3", *flagged: StrokeType, **changes: Any) -> Study:
    study = registered(session, uid, **changes)
    begin_analysis(session, study)
    record_prediction(session, study, prediction(*flagged))
    return study
