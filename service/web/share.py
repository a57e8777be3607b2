"""What a share link opens, for whoever holds it: key slices and letter; and making and ending such links."""

from typing import Annotated, Any

import segno
from fastapi import APIRouter, Form, Path, Request, Response
from sqlalchemy.orm import Session

from service.accounts import Permission
from service.api.access import Browser, Look, Work
from service.api.drawings import drawn_slice
from service.api.letters import Lang, address_of_hub, language_of, named
from service.case_numbers import case_number
from service.db import session_scope
from service.errors import NotFound
from service.findings import analysis_of, findings_of
from service.hospital_modes import Mode, mode_of
from service.hospitals import hospital_names
from service.letters import referral_letter
from service.referrals import find_referral
from service.series import series_of, stack_of
from service.share_links import LONGEST_HOURS, USUAL_HOURS, make_link, note_opening, open_link, revoke_link
from service.storage import NotStored
from service.studies import Study
from service.web.page import address_of_client, render, see_other, words_of
from service.web.referrals import referral_values
from service.web.words import Language

router = APIRouter(include_in_schema=False)

Token = Annotated[str, Path(max_length=64)]
SLICES = 12
"""How many slices stand for the head where the AI chose none: silent there, or the study not assessed."""
BRAIN = (40.0, 80.0)
"""Centre and width of the window, HU."""
Number = Annotated[int, Path(ge=1, le=2**53)]


@router.get("/s/{token}")
def show_shared(token: Token, request: Request, session: Look) -> Response:
    """What the link shows; the opening is written down first."""
    link, referral = open_link(session, token)
    study = session.get_one(Study, referral.study_id)
    silent = mode_of(session, study.hcode) is Mode.SILENT
    analysis = None if silent else analysis_of(session, study)
    values: dict[str, Any] = {
        "link": link,
        "place": f"/s/{token}",
        "referral": referral,
        "case": case_number(study.id),
        "names": hospital_names(session, thai=words_of(request).language is Language.TH),
        "findings": findings_of(session, analysis) if analysis else [],
        "key_slices": [index for index, _ in analysis.key_slices] if analysis else [],
    }
    values["slices"] = [] if values["key_slices"] else _spread(session, study)[1]
    _note(request, session, link.id, "page")
    return render(request, "share.html", None, **values)


@router.get("/s/{token}/key-slices/{n}.webp")
def show_key_slice(token: Token, n: int, request: Request, session: Look) -> Response:
    """One picture of the page, whose opening was written down."""
    _, referral = open_link(session, token)
    study = session.get_one(Study, referral.study_id)
    silent = mode_of(session, study.hcode) is Mode.SILENT
    analysis = None if silent else analysis_of(session, study)
    pictures = analysis.key_slices if analysis else []
    if not 1 <= n <= len(pictures):
        raise NotFound(f"there is no picture {n}")
    try:
        with request.app.state.storage.open(pictures[n - 1][1]) as file:
            return Response(file.read(), media_type="image/webp")
    except NotStored:
        raise NotFound(f"picture {n} is no longer kept") from None


@router.get("/s/{token}/slices/{n}.webp")
def show_slice(token: Token, n: int, request: Request, session: Look) -> Response:
    """A slice of a study whose AI chose none, in the brain's window; the page's opening was written down."""
    _, referral = open_link(session, token)
    study = session.get_one(Study, referral.study_id)
    series, slices = _spread(session, study)
    if not 1 <= n <= len(slices):
        raise NotFound(f"there is no slice {n}")
    picture = drawn_slice(session, request.app.state.storage, study, series, slices[n - 1][1], window=BRAIN)
    return Response(picture, media_type="image/webp")


@router.get("/s/{token}/letter.pdf")
def show_letter(token: Token, request: Request, session: Look, lang: Lang = None) -> Response:
    """The letter."""
    link, referral = open_link(session, token)
    content = referral_letter(
        session,
        referral,
        request.app.state.storage,
        data=request.app.state.settings.data,
        address=address_of_hub(request),
        language=language_of(request, lang),
    )
    headers = named(referral, "pdf")
    _note(request, session, link.id, "letter")
    return Response(content, media_type="application/pdf", headers=headers)


@router.post("/referrals/{number}/links")
def add_link(
    number: Number,
    entry: Browser,
    request: Request,
    session: Work,
    hours: Annotated[int, Form(ge=1, le=LONGEST_HOURS)] = USUAL_HOURS,
) -> Response:
    """Make a link and show it, with its QR code; it is not shown again."""
    viewer = entry.chosen().must(Permission.REFER)
    referral = find_referral(session, number, viewer, lock=True)
    _, token = make_link(session, referral, viewer, hours=hours)
    address = f"{address_of_hub(request)}/s/{token}"
    fresh = {
        "address": address,
        "qr": segno.make(address, error="m").svg_data_uri(scale=4, border=2, light="#fff"),
    }
    values = referral_values(session, request, referral, viewer) | {"fresh": fresh}
    return render(request, "referral.html", viewer, **values)


@router.post("/referrals/{number}/links/{link}/revoke")
def end_link(number: Number, link: int, entry: Browser, request: Request, session: Work) -> Response:
    """End a link."""
    viewer = entry.chosen().must(Permission.REFER)
    revoke_link(session, find_referral(session, number, viewer), link, viewer)
    return see_other(request, f"/referrals/{number}", flash="moved")


def _spread(session: Session, study: Study) -> tuple[str, list[tuple[int, str]]]:
    """A series, and slices spread over the head: their number from below and SOP Instance UID."""
    series, instances = stack_of(series_of(session, study.id)) or ("", [])
    count = min(SLICES, len(instances))
    chosen = [(2 * k + 1) * len(instances) // (2 * count) for k in range(count)]
    return series, [(n + 1, instances[n]) for n in chosen]


def _note(request: Request, session: Look, link_id: int, what: str) -> None:
    session.close()
    with session_scope(request.app.state.engine) as writing:
        note_opening(writing, link_id, what, address_of_client(request))
