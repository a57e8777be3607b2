"""Where people and the AI differ: the ML team's queue, and the reports that say something else."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Form, Path, Query, Request, Response

from model.stroke import StrokeType
from service.accounts import Permission, Viewer
from service.api.access import Browser, Look, Work, note_read
from service.disagreements import Conclusion, disagreements, settle
from service.findings import analysis_of, findings_of
from service.reports import Concordance, discordant
from service.studies import Study
from service.verdicts import Disagreement
from service.web.page import render, see_other

router = APIRouter(include_in_schema=False)

PAGE = 50

Said = tuple[StrokeType, str, float | None]
"""A stroke type, the decision and its probability."""


@router.get("/disagreements")
def show_disagreements(
    entry: Browser,
    request: Request,
    session: Look,
    kind: Disagreement | None = None,
    settled: bool = False,
    before: Annotated[int | None, Query(ge=1)] = None,
) -> Response:
    """Reviews that differ from the AI: to be settled, or settled already."""
    viewer = entry.chosen().must(Permission.SETTLE)
    found = disagreements(session, viewer, kind=kind, settled=settled, before=before, limit=PAGE + 1)
    shown = found[:PAGE]
    said = _told(request, session, viewer, "disagreement.list", [each.study for each in shown])
    return render(
        request,
        "disagreements.html",
        viewer,
        rows=list(zip(shown, said, strict=True)),
        kind=kind,
        kinds=list(Disagreement),
        settled=settled,
        conclusions=list(Conclusion),
        before=shown[-1].review.id if len(found) > PAGE else None,
    )


@router.post("/disagreements/{number}/settle")
def settle_disagreement(
    number: Annotated[int, Path(ge=1)],
    entry: Browser,
    request: Request,
    session: Work,
    conclusion: Annotated[Conclusion, Form()],
    comment: Annotated[str, Form(max_length=2000)] = "",
) -> Response:
    """Say what became of one."""
    viewer = entry.chosen().must(Permission.SETTLE)
    settle(session, viewer, number, conclusion, comment=comment)
    return see_other(request, "/disagreements", flash="settled")


@router.get("/discordant")
def show_discordant(
    entry: Browser,
    request: Request,
    session: Look,
    kind: Concordance | None = None,
    before: Annotated[int | None, Query(ge=1)] = None,
) -> Response:
    """Studies whose newest report says something else than the AI."""
    viewer = entry.chosen().must(Permission.REVIEW)
    found = discordant(session, viewer, kind=kind, before=before, limit=PAGE + 1)
    shown = found[:PAGE]
    said = _told(request, session, viewer, "discordant.list", [each.study for each in shown])
    return render(
        request,
        "discordant.html",
        viewer,
        rows=list(zip(shown, said, strict=True)),
        kind=kind,
        kinds=[Concordance.AI_MISSED, Concordance.REPORT_SILENT],
        before=shown[-1].report.id if len(found) > PAGE else None,
    )


def _told(
    request: Request, session: Look, viewer: Viewer, action: str, studies: Sequence[Study]
) -> list[Sequence[Said]]:
    """What the AI says of each study listed; the audit tells whose they were."""
    note_read(request, session, viewer, action, detail={"studies": [study.id for study in studies]})
    return [_said(session, study) for study in studies]


def _said(session: Look, study: Study) -> Sequence[Said]:
    """What the AI says of each thing that it assessed."""
    analysis = analysis_of(session, study)
    findings = findings_of(session, analysis) if analysis else []
    return [
        (each.stroke_type, each.decision.value, each.probability)
        for each in findings
        if each.decision.value in ("flag", "review")
    ]
