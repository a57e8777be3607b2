"""Reading reports: Thai, English and mixed; negation, doubt, age, and what the history says is no finding."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeling.report_text import Claim, read_report
from model.stroke import StrokeType

P, U, A = Claim.PRESENT, Claim.UNCERTAIN, Claim.ABSENT
ICH, IPH, IVH, SAH, SDH, EDH = (
    StrokeType.ANY_ICH,
    StrokeType.IPH,
    StrokeType.IVH,
    StrokeType.SAH,
    StrokeType.SDH,
    StrokeType.EDH,
)
AIS, HDA, OLD, MASS = (
    StrokeType.ACUTE_ISCHAEMIA,
    StrokeType.HYPERDENSE_ARTERY,
    StrokeType.OLD_INFARCT,
    StrokeType.MASS_EFFECT,
)


@pytest.mark.parametrize(
    ("text", "claims"),
    [
        ("No intracranial hemorrhage.", {ICH: A}),
        ("No evidence of acute infarct or intracranial haemorrhage.", {ICH: A, AIS: A}),
        ("Acute subdural hematoma along the right convexity, 8 mm.", {ICH: P, SDH: P}),
        (
            "Left thalamic hemorrhage with intraventricular extension and midline shift of 6 mm.",
            {ICH: P, IPH: P, IVH: P, MASS: P},
        ),
        ("ICH at right basal ganglia. No IVH. No midline shift.", {ICH: P, IPH: P, IVH: A, MASS: A}),
        ("Subarachnoid hemorrhage is not seen.", {ICH: A, SAH: A}),
        ("Possible subtle SAH in the left Sylvian fissure.", {ICH: U, SAH: U}),
        ("Early ischemic change cannot be excluded.", {AIS: U}),
        ("Old infarct at left corona radiata. No acute infarction.", {OLD: P, AIS: A}),
        ("Old lacunar infarct, unchanged.", {OLD: P}),
        ("Hyperdense left MCA sign with loss of grey-white differentiation.", {HDA: P, AIS: P}),
        ("No interval change of the epidural hematoma.", {ICH: P, EDH: P}),
        ("No hemorrhage, but acute infarct in the left PCA territory.", {ICH: A, AIS: P}),
        ("ไม่พบเลือดออกในสมอง", {ICH: A, IPH: A}),
        ("พบเลือดออกในเนื้อสมองด้านขวา ไม่พบเลือดออกในโพรงสมอง", {ICH: P, IPH: P, IVH: A}),
        ("สงสัย acute infarct บริเวณ left MCA", {AIS: U}),
        ("ไม่พบ hemorrhage แต่พบ acute infarct", {ICH: A, AIS: P}),
        ("พบรอยโรคเก่าสมองขาดเลือดเก่าที่ basal ganglia", {OLD: P}),
        ("Unremarkable study.", {}),
        ("", {}),
    ],
)
def test_claims(text: str, claims: dict[StrokeType, Claim]) -> None:
    assert read_report(text) == claims


def test_history_and_indication_are_passed_over() -> None:
    text = "Indication: r/o ICH, sudden headache\nFindings: normal ventricles\nImpression: no hemorrhage"
    assert read_report(text) == {ICH: A}


def test_the_stronger_of_two_clauses_stands() -> None:
    text = "Findings: no hemorrhage in the posterior fossa. Small right frontal hemorrhage."
    assert read_report(text)[ICH] is P


@given(st.text(max_size=400))
def test_any_text_is_read_without_an_error_and_subtypes_imply_any(text: str) -> None:
    claims = read_report(text)
    if any(claims.get(kind) is P for kind in (IPH, IVH, SAH, SDH, EDH)):
        assert claims[ICH] is P
