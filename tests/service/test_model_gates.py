"""The gates: open for a model that is as good, closed in words with figures for one that is not."""

import json
from typing import Any

import pytest
from sqlalchemy.orm import Session

from model.stroke import StrokeType
from service.accounts import OPERATOR
from service.errors import BadRequest, GatesRefuse, NotAllowed
from service.evaluations import add_evaluation, common_evaluations, read_report
from service.findings import analysis_of
from service.model_gates import LEAST_SHADOWED, Gate, GateName, look_at_gates
from service.model_states import ModelState, ModelVerb
from service.models import REGION, find_model, note_step, steps_of
from service.placements import live_in, promote_model
from service.promotions import promote
from service.shadows import record_shadow
from service.shipped import Standard
from tests.service.factories import LOEI, UDON, analysed, prediction
from tests.service.modelling import ADMIN, INTENDED, ML, digest_of, registered_model, report

pytestmark = pytest.mark.one_database  # rows are read by number; what is compared is in numpy

SHIPPED = Standard("stroke-ct-0.4.0", digest_of("stroke-ct-0.4.0"), INTENDED)
NEW = "stroke-ct-0.5.0"


def measure(session: Session, said: dict[str, Any]) -> None:
    add_evaluation(session, OPERATOR, read_report(json.dumps(said)))


def closed(session: Session, standard: Standard = SHIPPED) -> dict[GateName, Gate]:
    gates = look_at_gates(session, find_model(session, NEW), REGION, standard=standard)
    for gate in gates:
        assert gate.said.th != gate.said.en
        assert any("ก" <= letter <= "๛" for letter in gate.said.th)
    return {gate.name: gate for gate in gates if not gate.holds}


def shadowed(session: Session, number: int, hcode: str = UDON) -> None:
    model = find_model(session, NEW)
    for n in range(number):
        study = analysed(session, f"1.2.{hcode}.{n}", hcode=hcode)
        analysis = analysis_of(session, study)
        assert analysis is not None
        record_shadow(session, analysis, study, model, prediction())


@pytest.fixture(autouse=True)
def candidate(session: Session) -> None:
    registered_model(session, NEW)
    shadowed(session, LEAST_SHADOWED)


class TestGates:
    def test_a_model_that_nobody_measured_is_told_what_to_run(self, session: Session) -> None:
        (gate,) = closed(session).values()
        assert gate.name is GateName.MEASURED
        assert "hub models evaluation report.json" in gate.said.en
        measure(session, report(NEW))
        measure(session, report(SHIPPED.name, number=60))  # of other studies
        measure(session, report(SHIPPED.name, flip=1))  # of the same, with another truth
        assert set(closed(session)) == {GateName.MEASURED}

    def test_a_better_model_passes(self, session: Session) -> None:
        measure(session, report(NEW, noise=0.05, strata={"10671": 0.85}))
        measure(session, report(SHIPPED.name, noise=0.25, strata={"10671": 0.95}, seed=2))
        assert closed(session) == {}
        assert promote(session, ML, NEW, standard=SHIPPED).name == NEW

    def test_a_worse_model_is_refused_with_the_figures(self, session: Session) -> None:
        measure(session, report(NEW, noise=0.6))
        measure(session, report(SHIPPED.name, noise=0.05))
        gate = closed(session)[GateName.ACCURACY]
        assert "real iph: worse than the live model: AUROC 0.692, 1.000; -0.308 (" in gate.said.en
        assert "n=80" in gate.said.en
        with pytest.raises(
            GatesRefuse, match=r"stroke-ct-0\.5\.0 is not promoted\. real any_ich: worse"
        ) as no:
            promote(session, ML, NEW, standard=SHIPPED)
        told = no.value.members["gates"]
        assert {each["gate"]: each["holds"] for each in told} == {
            "golden": True,
            "intended": True,
            "measured": True,
            "accuracy": False,
            "strata": True,
            "shadow": True,
        }
        assert live_in(session, REGION) is None

    def test_one_that_may_be_as_good_is_refused_as_not_shown(self, session: Session) -> None:
        measure(session, report(NEW, noise=0.3, seed=3))
        measure(session, report(SHIPPED.name, noise=0.3, seed=4))
        assert "not shown to be within 0.01" in closed(session)[GateName.ACCURACY].said.en

    def test_few_studies_show_nothing_however_right_they_are(self, session: Session) -> None:
        for name in (NEW, SHIPPED.name):
            measure(session, report(name, number=18))
        assert "fewer than 10 studies with it" in closed(session)[GateName.ACCURACY].said.en

    def test_a_hospital_that_loses_more_than_ten_points_is_named(self, session: Session) -> None:
        measure(session, report(NEW, strata={"10671": 0.80, "10705": 0.90}))
        measure(session, report(SHIPPED.name, strata={"10671": 0.92, "10705": 1.0}))
        (gate,) = closed(session).values()
        assert gate.name is GateName.STRATA
        assert gate.said.en == (
            "A stratum loses more than 10 points: real any_ich, hospital 10671: sensitivity 0.920 -> 0.800 "
            "(n=25)."
        )

    def test_a_finding_that_would_be_lost_and_a_fault_close_theirs(self, session: Session) -> None:
        for name in (NEW, SHIPPED.name):
            measure(session, report(name))
        wider = Standard(SHIPPED.name, SHIPPED.digest, (*INTENDED, StrokeType.SDH))
        gates = closed(session, wider)
        assert "It says nothing of sdh" in gates[GateName.INTENDED].said.en
        model = find_model(session, NEW)
        candidate = ModelState.CANDIDATE
        note_step(session, ML, model, REGION, ModelVerb.FAULT, candidate, candidate, reason="files changed")
        assert "files changed" in closed(session)[GateName.GOLDEN].said.en

    def test_it_is_compared_with_what_reads_at_that_hospital(self, session: Session) -> None:
        canary = registered_model(session, "stroke-ct-0.6.0")
        promote_model(session, ML, canary.name, [UDON])
        measure(session, report(NEW))
        measure(session, report(canary.name))
        model = find_model(session, NEW)
        assert all(gate.holds for gate in look_at_gates(session, model, UDON, standard=SHIPPED))
        assert not all(gate.holds for gate in look_at_gates(session, model, REGION, standard=SHIPPED))

    def test_it_must_have_read_studies_of_that_place_in_shadow(self, session: Session) -> None:
        for name in (NEW, SHIPPED.name):
            measure(session, report(name))
        model = find_model(session, NEW)
        shadowed(session, LEAST_SHADOWED - 1, LOEI)
        (gate,) = [each for each in look_at_gates(session, model, LOEI, standard=SHIPPED) if not each.holds]
        assert (gate.name, gate.said.en[:47]) == (
            GateName.SHADOW,
            "It has read 9 studies there in shadow, 10 are a",
        )


class TestOverride:
    def test_an_administrators_with_a_reason_and_kept(self, session: Session) -> None:
        for who, reason, refusal in ((ML, "urgent", NotAllowed), (ADMIN, " ", BadRequest)):
            with pytest.raises(refusal):
                promote(session, who, NEW, standard=SHIPPED, reason=reason, override=True)
        promote(session, ADMIN, NEW, standard=SHIPPED, reason="the live one is blind", override=True)
        step = steps_of(session)[0]
        assert (step.verb, step.reason, step.by) == (ModelVerb.PROMOTE, "the live one is blind", "admin")
        assert len(step.gates) == 1
        assert "were not measured on the same studies" in step.gates[0]


class TestEvaluations:
    def test_the_newest_on_the_same_studies_counts(self, session: Session) -> None:
        measure(session, report(NEW, noise=0.6))
        measure(session, report(NEW, noise=0.05))
        measure(session, report(SHIPPED.name))
        found = common_evaluations(session, digest_of(NEW), SHIPPED.digest)
        assert found is not None
        assert found[0].studies == read_report(json.dumps(report(NEW, noise=0.05))).studies

    @pytest.mark.parametrize(
        ("change", "place"),
        [
            ({"digest": "x"}, "digest"),
            ({"studies": []}, "studies"),
            (
                {"studies": [{"case": "a", "population": "r", "labels": {"iph": 2}, "probabilities": {}}]},
                "studies.0.labels.iph",
            ),
        ],
    )
    def test_a_file_that_is_none_is_refused_by_its_place(self, change: dict[str, Any], place: str) -> None:
        with pytest.raises(BadRequest, match=rf"no report of training\.evaluate: {place}"):
            read_report(json.dumps({**report(NEW), **change}))
        with pytest.raises(BadRequest, match="the file: Invalid JSON"):
            read_report("not json")
