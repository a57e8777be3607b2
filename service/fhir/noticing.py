"""Noticing: whether what an event is about meets the search of a FHIR Subscription."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from sqlalchemy.orm import Session

from service.accounts import Viewer
from service.errors import BadSyntax, NotFound
from service.events import Event
from service.fhir.criteria import Criteria, Token
from service.fhir.notice import read_notice
from service.fhir.reading import search_resources

_UNTOLD: Final = frozenset({"time_typed", "hidden"})
"""Entries about a study that change none of its resources."""


def meets(session: Session, viewer: Viewer, text: str, event: Event) -> bool:
    """Whether a resource that the event changed is one that the viewer would find by this search now."""
    criteria = read_notice(text)
    return any(_finds(session, viewer, criteria, each) for each in _changed(criteria.kind, event))


def _finds(session: Session, viewer: Viewer, criteria: Criteria, number: str) -> bool:
    if criteria.ids is not None and number not in criteria.ids:
        return False
    alone = replace(criteria, tokens={**criteria.tokens, "_id": [Token(None, number)]}, count=1)
    try:
        return bool(search_resources(session, viewer, alone, base="").resources)
    except (BadSyntax, NotFound):
        return False  # such as a system of identifiers that is known no more


def _changed(kind: str, event: Event) -> Sequence[str]:
    """The ids of the resources of a kind that an event changed."""
    if kind == "Task":
        made = {"referral": "r", "consult": "c"}
        return [f"{made[event.kind]}{event.ids[event.kind]}"] if event.kind in made else []
    if kind == "ServiceRequest":
        return [f"r{event.ids['referral']}"] if event.kind == "referral" else []
    changes = ("study",) if kind == "ImagingStudy" else ("study", "review", "report")
    told = event.kind in changes and event.what not in _UNTOLD and event.study is not None
    return [event.study or ""] if told else []
