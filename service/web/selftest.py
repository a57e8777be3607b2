"""The self-test page: what a vendor's push to the test lane showed, check by check, and where to push."""

from urllib.parse import urlsplit

from fastapi import APIRouter, Request, Response

from pacs_gateway.trials import TRIAL_AE_TITLE
from service.api.access import Look, ReceiptReader, note_read
from service.selftests import self_tests
from service.web.page import render

router = APIRouter(include_in_schema=False)

PAGE = 20
BADGES = {"pass": "clear", "warn": "review", "fail": "flagged", "not_tested": ""}
"""How each status is coloured; the word stands beside the colour."""


@router.get("/selftest")
def show_self_tests(request: Request, viewer: ReceiptReader, session: Look) -> Response:
    """Trials of the last day, newest first, and the address to push to."""
    settings = request.app.state.settings
    found = self_tests(request.app.state.trials(), viewer, limit=PAGE)
    if "x-hub-unattended" not in request.headers:  # every 5 s would bury the audit, and no patient is shown
        note_read(request, session, viewer, "selftests.read", detail={"selftests": len(found)})
    return render(
        request,
        "selftest.html",
        viewer,
        found=found,
        badges=BADGES,
        ae_title=TRIAL_AE_TITLE,
        host=urlsplit(settings.public_url).hostname or request.url.hostname,
        port=settings.dicom_port,
        tls_port=settings.dicom_tls_port if (settings.tls / "hub.pem").is_file() else None,
        learns=settings.learn_callers,
    )
