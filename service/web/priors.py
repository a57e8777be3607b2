"""The page of a patient's earlier CT at their hospital's PACS: asked for when opened, fetched by a button."""

from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, Response

from service.accounts import Permission
from service.api.access import Browser, Look
from service.api.priors import PriorIn, fetch_prior, list_priors
from service.api.studies import Uid
from service.patient_search import other_studies
from service.sight import find_own_study
from service.web.fields import checked
from service.web.page import render, see_other

router = APIRouter(include_in_schema=False)


@router.get("/studies/{uid}/priors")
def show_priors(uid: Uid, entry: Browser, request: Request, session: Look) -> Response:
    """What each PACS has, or why it did not answer; what is here already leads to its page."""
    viewer = entry.chosen().must(Permission.READ_IDENTITY)
    study = find_own_study(session, uid, viewer)
    here = {each.study_instance_uid for each in other_studies(session, viewer, study, limit=200)}
    values: dict[str, Any] = {
        "study": study,
        "present": here,
        "fetches": viewer.may(Permission.REVIEW),
        "sources": list_priors(request, uid, viewer, session),
    }
    return render(request, "priors.html", viewer, **values)


@router.post("/studies/{uid}/priors")
def fetch(
    uid: Uid,
    entry: Browser,
    request: Request,
    session: Look,
    peer: Annotated[str, Form(max_length=60)],
    prior: Annotated[str, Form(max_length=64)],
) -> Response:
    """Have one sent here; the page of the study lists it once it has arrived."""
    viewer = entry.chosen().must(Permission.REVIEW)
    wanted = checked(PriorIn, {"peer": peer, "study_instance_uid": prior})
    sent = fetch_prior(request, uid, wanted, viewer, session)
    whole = sent.completed + sent.warned > 0 and not sent.failed
    return see_other(request, f"/studies/{uid}/priors", flash="prior_sent" if whole else "prior_not_whole")
