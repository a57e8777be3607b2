"""Objects go back for every outcome: made once, kept, superseded with their study, never taken for news."""

import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import UID
from sqlalchemy import Engine

from model.detect import Detector
from model.phantom import Lesion, Phantom, simulate_head
from model.phantom_dicom import DIALECTS, draw_patient, write_series
from model.stroke import Decision, Refusal, StrokeType
from model.weights import SHIPPED
from pacs_gateway import concepts
from pacs_gateway.arrivals import ArrivedStudy, Ending
from pacs_gateway.callers import Sender
from pacs_gateway.inbox import Inbox
from service import studies
from service.accounts import OPERATOR, Role, Viewer
from service.cases import admit_case
from service.db import session_scope
from service.delivery_lists import list_deliveries
from service.detectors import Detectors
from service.hospital_modes import Mode, switch_mode
from service.pathway import Pathway, admit
from service.peers import add_peer
from service.result_objects import ResultObject, objects_of
from service.returning import unreported_signatures
from service.reviews import review_finding
from service.settings import Settings
from service.sight import find_study
from service.signatures import sign_review
from service.states import Lane
from service.storage import FolderStorage, Storage
from service.verdicts import Verdict
from tests.hub import real_ct
from tests.service.labelling import GOOD, KEY, TECHNICIAN

pytestmark = pytest.mark.one_database  # objects made of images; their rows are tested with deliveries

UDON = Sender("UDON_CT1", "IMAGINGHUB", "127.0.0.1", "10671")
READER = Viewer(username="reader", role=Role.RADIOLOGIST, hcode=None)
SIDE = 192
CHILD = 12.0
"""Years; refused without inference, which is quick, and has objects all the same."""


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector(SHIPPED, threads=1)


@pytest.fixture
def storage(settings: Settings) -> Storage:
    return FolderStorage(settings.storage_folder)


@pytest.fixture
def pathway(engine: Engine, storage: Storage, detector: Detector, settings: Settings) -> Pathway:
    return Pathway(engine, storage, Detectors(engine, settings.data, detector))


@pytest.fixture
def inbox(settings: Settings) -> Iterator[Inbox]:
    inbox = Inbox(settings.inbox, reserve_bytes=0)
    yield inbox
    inbox.close()


@cache
def head(*lesions: Lesion, tilt: float = 0.0) -> Phantom:
    return simulate_head(7, lesions=lesions, side=SIDE, tilt_deg=tilt, slices=14, spacing_mm=10.0)


def simulated(folder: Path, *lesions: Lesion, tilt: float = 0.0, age: float = 60.0) -> list[Path]:
    phantom = head(*lesions, tilt=tilt)
    return write_series(phantom, folder, dialect=DIALECTS[0], patient=draw_patient(7, age=age))


def arrive(inbox: Inbox, paths: list[Path]) -> ArrivedStudy:
    association = inbox.open_association(UDON)
    for path in paths:
        inbox.add_part10(path, UDON, association_id=association)
    inbox.close_association(association, Ending.RELEASED)
    (arrived,) = inbox.ready_studies(datetime.now(UTC) + timedelta(hours=1))
    return arrived


def run(pathway: Pathway, engine: Engine, storage: Storage, arrived: ArrivedStudy) -> studies.Study:
    study = admit(arrived, engine, storage)
    argument = {"study": study.id, "revision": study.revision}
    for step in pathway.steps():
        step.run(argument)
    return found(engine, study.study_instance_uid)


def found(engine: Engine, uid: str) -> studies.Study:
    with session_scope(engine, write=False) as session:
        return find_study(session, uid, OPERATOR)


def objects(engine: Engine, study: studies.Study, *, superseded: bool = False) -> list[ResultObject]:
    with session_scope(engine, write=False) as session:
        return list(objects_of(session, study, superseded=superseded))


def data_set(storage: Storage, row: ResultObject) -> Dataset:
    with storage.open(row.storage_key) as file:
        return dcmread(io.BytesIO(file.read()))


class TestReturnResult:
    def test_flagged_study_gets_all_four_kinds_on_its_own_slices_and_each_destination_what_it_wants(
        self, pathway: Pathway, engine: Engine, storage: Storage, inbox: Inbox, tmp_path: Path
    ) -> None:
        wanted = (
            ("udon", ["sr", "seg", "pdf"], "10671"),
            ("udon-old", ["sc"], "10671"),
            ("udon-nothing", [], "10671"),
            ("loei", ["sr"], "10705"),
        )
        with session_scope(engine) as session:
            for name, kinds, hcode in wanted:
                add_peer(
                    session, name, ae_title="PACS", host="127.0.0.1", port=104, hcode=hcode, objects=kinds
                )
        paths = simulated(tmp_path / "ct", Lesion("iph", 2.0, "right", "putamen"), tilt=12.0)
        study = run(pathway, engine, storage, arrive(inbox, paths))
        made = {row.kind: data_set(storage, row) for row in objects(engine, study)}
        assert set(made) == {"sr", "seg", "gsps", "sc"}
        truth = head(Lesion("iph", 2.0, "right", "putamen"), tilt=12.0).masks[StrokeType.IPH]
        sent = {UID(ds.SOPInstanceUID): ds for ds in map(dcmread, paths)}
        heights = sorted(float(ds.ImagePositionPatient[2]) for ds in sent.values())
        hit = drawn = 0
        for frame, pixels in zip(
            made["seg"].PerFrameFunctionalGroupsSequence, made["seg"].pixel_array, strict=True
        ):
            source = sent[frame.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID]
            assert frame.PlanePositionSequence[0].ImagePositionPatient == source.ImagePositionPatient
            hit += int((pixels.astype(np.bool_) & truth[heights.index(source.ImagePositionPatient[2])]).sum())
            drawn += int(pixels.sum())
        assert hit / drawn > 0.8
        assert hit / truth.sum() > 0.8

        with session_scope(engine, write=False) as session:
            rows = {row.peer: row for row, _ in list_deliveries(session, OPERATOR)}
        sent_kinds = {peer: sorted({item["kind"] for item in row.items}) for peer, row in rows.items()}
        assert sent_kinds == {"udon": ["seg", "sr"], "udon-old": ["sc"]}
        assert all(row.urgent for row in rows.values()), "a flagged study goes first"

    def test_made_again_it_is_the_same_objects(
        self, pathway: Pathway, engine: Engine, storage: Storage, inbox: Inbox, tmp_path: Path
    ) -> None:
        study = run(pathway, engine, storage, arrive(inbox, simulated(tmp_path / "ct", age=CHILD)))
        before = [(row.id, row.storage_key) for row in objects(engine, study)]
        pathway.return_result({"study": study.id, "revision": study.revision})
        assert [(row.id, row.storage_key) for row in objects(engine, study)] == before

    def test_refused_study_gets_a_report_with_the_reasons(
        self, pathway: Pathway, engine: Engine, storage: Storage, inbox: Inbox, tmp_path: Path
    ) -> None:
        paths = simulated(tmp_path / "ct", age=CHILD)
        study = run(pathway, engine, storage, arrive(inbox, paths))
        made = {row.kind: data_set(storage, row) for row in objects(engine, study)}
        assert (study.state, set(made)) == ("refused", {"sr", "sc"})
        assert "under_18" in made["sc"].DerivationDescription

    def test_late_slices_supersede_the_objects(
        self, pathway: Pathway, engine: Engine, storage: Storage, inbox: Inbox, tmp_path: Path
    ) -> None:
        paths = simulated(tmp_path / "ct", age=CHILD)
        first = arrive(inbox, paths[:-1])
        run(pathway, engine, storage, first)
        inbox.hand_over(first.study_instance_uid, first.digest)
        study = run(pathway, engine, storage, arrive(inbox, paths[-1:]))
        everything = objects(engine, study, superseded=True)
        assert {row.revision for row in objects(engine, study)} == {2}
        assert {row.revision for row in everything} == {1, 2}
        assert len({row.sop_instance_uid for row in everything}) == len(everything)

    def test_own_objects_that_a_pacs_sends_back_are_no_new_revision(
        self, pathway: Pathway, engine: Engine, storage: Storage, inbox: Inbox, tmp_path: Path
    ) -> None:
        first = arrive(inbox, simulated(tmp_path / "ct", age=CHILD))
        study = run(pathway, engine, storage, first)
        inbox.hand_over(first.study_instance_uid, first.digest)
        back = []
        for number, row in enumerate(objects(engine, study)):
            back.append(tmp_path / f"back{number}.dcm")
            back[-1].write_bytes(storage.path(row.storage_key).read_bytes())
        again = admit(arrive(inbox, back), engine, storage)
        assert (again.id, again.revision, again.state) == (study.id, 1, study.state)

    def test_nothing_is_sent_while_the_hospital_only_watches(
        self, pathway: Pathway, engine: Engine, storage: Storage, inbox: Inbox, tmp_path: Path
    ) -> None:
        with session_scope(engine) as session:
            add_peer(session, "udon", ae_title="P", host="127.0.0.1", port=104, hcode="10671", objects=["sr"])
            switch_mode(session, OPERATOR, "10671", Mode.SILENT)
        study = run(pathway, engine, storage, arrive(inbox, simulated(tmp_path / "ct", age=CHILD)))
        assert objects(engine, study)
        with session_scope(engine, write=False) as session:
            assert not list_deliveries(session, OPERATOR)

    def test_a_signed_review_makes_a_final_report_that_replaces_the_first(
        self, pathway: Pathway, engine: Engine, storage: Storage, inbox: Inbox, tmp_path: Path
    ) -> None:
        study = run(pathway, engine, storage, arrive(inbox, simulated(tmp_path / "ct")))
        with session_scope(engine) as session:
            row = studies.load_study(session, study.id)
            review = review_finding(session, row, READER, Verdict.CORRECT, present=[StrokeType.SDH])
            session.flush()
            number = review.id
        with session_scope(engine) as session:
            assert unreported_signatures(session) == []
            sign_review(session, studies.load_study(session, study.id), READER)
        with session_scope(engine, write=False) as session:
            (argument,) = unreported_signatures(session)
        assert argument == {"study": study.id, "revision": 1, "review": number}
        pathway.return_signed(argument)
        with session_scope(engine, write=False) as session:
            assert unreported_signatures(session) == []
        (report,) = (row for row in objects(engine, study) if row.kind == "sr")
        final = data_set(storage, report)
        assert report.final
        assert (final.VerificationFlag, final.PreliminaryFlag) == ("VERIFIED", "FINAL")
        reports = [row for row in objects(engine, study, superseded=True) if row.kind == "sr"]
        assert [row.final for row in reports] == [False, True]


def test_every_word_has_a_code_of_its_own() -> None:
    assert set(concepts.FINDINGS) == {kind.value for kind in StrokeType}
    assert set(concepts.DECISIONS) == {decision.value for decision in Decision}
    assert set(concepts.VERDICTS) == {verdict.value for verdict in Verdict} - {"withdrawn"}
    codes = [concepts.refusal(reason.value).value for reason in Refusal]
    assert len(set(codes)) == len(codes)
    assert all(len(code) <= 16 for code in codes), "PS3.5 6.2, SH"


@pytest.mark.parametrize("name", ["haemorrhage-ct", "normal-ct", "contrast-ct"])
def test_objects_of_real_studies_are_made_whatever_their_headers_hold(
    pathway: Pathway, engine: Engine, storage: Storage, inbox: Inbox, name: str
) -> None:
    study = run(pathway, engine, storage, arrive(inbox, real_ct(name)))
    kinds = {row.kind for row in objects(engine, study)}
    assert kinds >= {"sr", "sc"}
    if study.state == "flagged":
        assert kinds == {"sr", "seg", "gsps", "sc"}
        report = data_set(storage, next(row for row in objects(engine, study) if row.kind == "sr"))
        assert report.IssuerOfPatientID == "10671"


def test_a_case_from_the_archive_tells_no_reader_what_the_ai_says(
    pathway: Pathway, engine: Engine, storage: Storage, inbox: Inbox, tmp_path: Path
) -> None:
    study = admit(arrive(inbox, simulated(tmp_path, age=CHILD)), engine, storage)
    argument = {"study": study.id, "revision": study.revision}
    with session_scope(engine) as session:
        admit_case(session, TECHNICIAN, study.study_instance_uid, GOOD, KEY)
        studies.load_study(session, study.id).lane = Lane.RETROSPECTIVE
    pathway.analyse(argument)
    pathway.return_result(argument)
    assert objects(engine, study) == []
    with session_scope(engine) as session:
        studies.load_study(session, study.id).lane = Lane.LIVE
    pathway.return_result(argument)
    assert [row.kind for row in objects(engine, study)] == ["sr", "sc"]
