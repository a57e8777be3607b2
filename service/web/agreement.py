"""Agreement of the readers: every question with intervals, who differs from whom, and each by themselves."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from markupsafe import Markup

from labeling.heatmap import Cell, disagreement_svg
from service.accounts import Permission
from service.api.access import Browser, Look, note_read
from service.errors import NotFound
from service.reader_agreement import (
    ASPECTS,
    PairAgreement,
    by_reader,
    figures,
    gather,
    pairs,
    questions,
)
from service.web.page import render, words_of
from service.web.words import Words

router = APIRouter(include_in_schema=False)


@router.get("/cases/agreement")
def show_agreement(
    entry: Browser,
    request: Request,
    session: Look,
    question: Annotated[str, Query(max_length=40)] = "any_ich",
    now: bool = False,
) -> Response:
    """The figures of a moment ago; the page comes at once, says that it counts, and asks again (`now`)."""
    viewer = entry.chosen().must(Permission.CURATE)
    if question not in questions():
        raise NotFound(f"{question!r} is not asked; {', '.join(questions())} are")
    t = words_of(request)
    values: dict[str, Any] = {"question": question, "questions": list(questions()), "waits": not now}
    if now:
        said = gather(session)
        found = pairs(session, question, said)
        readers = by_reader(session, question, said)
        values |= {
            "figures": figures(session, said),
            "readers": readers,
            "picture": _picture([each.reader for each in readers], found, question, t),
        }
        note_read(request, session, viewer, "case.agreement", detail={"question": question})
    return render(request, "agreement.html", viewer, **values)


def _picture(names: Sequence[str], found: Sequence[PairAgreement], question: str, t: Words) -> Markup | None:
    """The heat map; None where no case was read twice."""
    cells = {
        (each.first, each.second): Cell(1 - each.ac1.observed, _told(each, t))
        for each in found
        if each.ac1.observed is not None
    }
    if not cells:
        return None
    subject = "ASPECTS" if question == ASPECTS else t(f"stroke.{question}")
    return Markup(disagreement_svg(names, cells, f"{t('agreement.who')}: {subject}"))


def _told(pair: PairAgreement, t: Words) -> str:
    who = (
        t("agreement.own", name=pair.first) if pair.first == pair.second else f"{pair.first} – {pair.second}"
    )
    kappa = "–" if pair.kappa.value is None else f"{pair.kappa.value:.2f}"
    return t("agreement.cell", who=who, n=pair.ac1.cases, kappa=kappa)
