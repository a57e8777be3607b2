"""Answers for a whole batch: a technician brings a CSV, and sees what became of every row."""

from typing import Annotated

from fastapi import APIRouter, File, Form, Request, Response, UploadFile

from labeling.batch import COLUMNS
from service.accounts import Permission
from service.api.access import Browser
from service.case_batches import LARGEST, admit_batch
from service.case_keys import open_research_key
from service.web.page import render, words_of
from service.web.words import Language

router = APIRouter(include_in_schema=False)


@router.get("/upload/answers")
def show_answers(entry: Browser, request: Request) -> Response:
    """Where to bring the CSV, and what its columns mean."""
    viewer = entry.chosen().must(Permission.BRING)
    return render(request, "answers.html", viewer, columns=COLUMNS, outcomes=None, kept=False)


@router.post("/upload/answers")
def bring_answers(
    entry: Browser,
    request: Request,
    check: Annotated[bool, Form()] = False,
    batch: Annotated[UploadFile | None, File()] = None,
) -> Response:
    """Take the rows that can be taken; the page lists the others with their reasons."""
    viewer = entry.chosen().must(Permission.BRING)
    content = batch.file.read(LARGEST + 1) if batch else b""
    state = request.app.state
    key = open_research_key(state.settings)
    found = admit_batch(state.engine, viewer, content, key, only_check=check)
    return render(
        request,
        "answers.html",
        viewer,
        columns=COLUMNS,
        outcomes=found,
        kept=not check,
        thai=words_of(request).language is Language.TH,
    )
