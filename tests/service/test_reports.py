"""Final reports: kept in versions, compared with the AI over what it assessed, discordant pairs listed."""

import pytest
from sqlalchemy.orm import Session

from model.stroke import StrokeType
from service.accounts import Role, Viewer
from service.errors import BadRequest
from service.reports import LONGEST_TEXT, Concordance, add_report, discordant, reports_of
from tests.service.factories import LOEI, UDON, analysed, registered

RADIOLOGIST = Viewer("malee", Role.RADIOLOGIST, UDON)


@pytest.mark.parametrize(
    ("flagged", "text", "concordance", "differs_in"),
    [
        ((StrokeType.ANY_ICH, StrokeType.SDH), "Acute SDH on the left.", Concordance.CONCORDANT, []),
        ((), "No intracranial hemorrhage.", Concordance.CONCORDANT, []),
        ((), "Small SAH in the Sylvian fissure.", Concordance.AI_MISSED, ["any_ich", "sah"]),
        ((StrokeType.SDH,), "ไม่พบเลือดออกในสมอง", Concordance.REPORT_SILENT, ["sdh"]),
        ((), "Possible SAH.", Concordance.UNDECIDED, []),
        # acute ischaemia was not assessed, so nothing can differ in it
        ((), "Acute infarct in the left MCA territory. No hemorrhage.", Concordance.CONCORDANT, []),
    ],
)
def test_a_report_is_compared_with_what_the_ai_assessed(
    session: Session,
    flagged: tuple[StrokeType, ...],
    text: str,
    concordance: Concordance,
    differs_in: list[str],
) -> None:
    report = add_report(session, analysed(session, "1.2.3", *flagged), RADIOLOGIST, text)
    assert (report.concordance, report.differs_in) == (concordance, differs_in)


def test_without_an_answer_there_is_nothing_to_compare(session: Session) -> None:
    report = add_report(session, registered(session), RADIOLOGIST, "Large hemorrhage.")
    assert report.concordance is Concordance.UNDECIDED


def test_a_corrected_report_is_added_and_counts(session: Session) -> None:
    study = analysed(session)
    add_report(session, study, RADIOLOGIST, "SAH.")
    [pair] = discordant(session, RADIOLOGIST)
    assert pair.study.id == study.id
    add_report(session, study, RADIOLOGIST, "Addendum: no hemorrhage.")
    assert discordant(session, RADIOLOGIST) == []
    assert [each.text for each in reports_of(session, study)] == ["Addendum: no hemorrhage.", "SAH."]


def test_another_hospital_sees_no_pair(session: Session) -> None:
    add_report(session, analysed(session), RADIOLOGIST, "SAH.")
    assert discordant(session, Viewer("x", Role.RADIOLOGIST, LOEI)) == []


@pytest.mark.parametrize("text", ["", "   ", "x" * (LONGEST_TEXT + 1)])
def test_an_empty_or_endless_report_is_refused(session: Session, text: str) -> None:
    with pytest.raises(BadRequest, match="1 to 20000"):
        add_report(session, analysed(session), RADIOLOGIST, text)
