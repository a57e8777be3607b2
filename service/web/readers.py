"""The readers: what each has left, handing over what one cannot read, and giving out what is eligible."""

from typing import Annotated

from fastapi import APIRouter, Form, Request, Response

from labeling.assignment import Design, Reader
from labeling.splits import Shares
from service.accounts import Permission
from service.api.access import Browser, Look, Work, note_read
from service.assignments import assign_cases, hand_over_reads, last_round, shares_of
from service.case_states import CaseState
from service.cases import count_states
from service.errors import BadRequest
from service.web.page import render, see_other
from service.workloads import who_may_label, workloads

router = APIRouter(include_in_schema=False)


@router.get("/cases/readers")
def show_readers(entry: Browser, request: Request, session: Look) -> Response:
    """Everybody's workload, and whom cases can be given to."""
    viewer = entry.chosen().must(Permission.CURATE)
    rows = workloads(session)
    counts = count_states(session, viewer)
    values = {
        "rows": rows,
        "able": who_may_label(session),
        "eligible": counts.get(CaseState.ELIGIBLE, 0),
        "disputed": counts.get(CaseState.READ, 0),
        "design": Design(),
        "shares": shares_of(last_round(session)),
        "round": last_round(session),
    }
    note_read(request, session, viewer, "case.readers")
    return render(request, "readers.html", viewer, status=200, **values)


@router.post("/cases/readers/hand-over")
def pass_on(
    entry: Browser,
    request: Request,
    session: Work,
    reader: Annotated[str, Form(max_length=100)] = "",
    to: Annotated[list[str] | None, Form()] = None,
) -> Response:
    """Pass on what a reader has not read: to those named, or to all others."""
    viewer = entry.chosen().must(Permission.CURATE)
    names = [name for name in to or () if name]
    _, _, unplaced = hand_over_reads(session, viewer, reader, to=names or None)
    return see_other(request, "/cases/readers", flash="handed_over_some" if unplaced else "handed_over")


@router.post("/cases/readers/give-out")
def give_out(
    entry: Browser,
    request: Request,
    session: Work,
    readers: Annotated[list[str] | None, Form()] = None,
    adjudicators: Annotated[list[str] | None, Form()] = None,
    common: Annotated[str, Form(max_length=4)] = "20",
    test_reads: Annotated[str, Form(max_length=1)] = "3",
    double: Annotated[str, Form(max_length=3)] = "10",
    rereads: Annotated[str, Form(max_length=2)] = "2",
    hospitals: Annotated[str, Form(max_length=200)] = "",
    months: Annotated[str, Form(max_length=2)] = "0",
) -> Response:
    """Give out what is eligible, balanced at random with hidden overlap."""
    viewer = entry.chosen().must(Permission.CURATE)
    if not readers:
        raise BadRequest("no reader is chosen")
    assign_cases(
        session,
        viewer,
        [Reader(name) for name in readers],
        Design(
            common=_number("common cases", common, 999),
            test_reads=_number("readers of a test case", test_reads, 9),
            double_share=_number("percent read twice", double, 100) / 100,
            rereads=_number("re-reads", rereads, 50),
        ),
        Shares(tuple(hospitals.replace(",", " ").split()), _number("months", months, 60)),
        adjudicators=adjudicators or (),
    )
    return see_other(request, "/cases/readers", flash="given_out")


def _number(name: str, text: str, most: int) -> int:
    if not text.strip().isdecimal() or int(text) > most:
        raise BadRequest(f"{name}: {text!r} is no number from 0 to {most}")
    return int(text)
