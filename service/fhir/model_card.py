"""Model card: what a model package says of itself, as a DocumentReference that its Device points to.

The card lies in the package (`model_card.md`); it can be had while the hub still has that: as the one that
workers load, or as one that was registered. The text is in the resource itself.
"""

import base64
import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.errors import NotFound
from service.fhir.criteria import Criteria
from service.fhir.device import DIGITS, card_id, device_reference
from service.fhir.elements import AI_ASSERTED, HUB_CODES, Resource, coding, concept, filled, reference
from service.fhir.page import Page
from service.findings import Analysis

MANIFEST: Final = "MANIFEST.sha256"
"""Its SHA-256 is the package's digest."""
CARD: Final = "model_card.md"
MODEL_CARD: Final = coding(HUB_CODES, "model-card", "Model card")
CARD_OF: Final = f"{HUB_CODES}:model-card"
"""Extension of a Device: where its model card is. R4's Device has no place for a document."""
LARGEST: Final = 1_000_000

Places = Iterable[Path]
"""Folders of packages."""


def link_cards(resources: Iterable[Resource], places: Places) -> None:
    """Let the Devices among them point to their cards, where the hub has these."""
    devices = [each for each in resources if each["resourceType"] == "Device"]
    known = {digest[:DIGITS]: digest for digest in (_packages(places) if devices else ())}
    for each in devices:
        if digest := known.get(each["id"]):
            card = reference("DocumentReference", card_id(digest))
            each["extension"] = [{"url": CARD_OF, "valueReference": card}]


def wants_card(criteria: Criteria) -> bool:
    """Whether a search of documents asks for cards, which are about devices and about no patient."""
    types = [each.code for each in criteria.tokens.get("type", ())]
    ids = criteria.ids or ()
    about = [each for name in ("subject", "related") for each in criteria.references.get(name, ())]
    return MODEL_CARD["code"] in types or any(map(is_card_id, ids)) or any(map(_is_device, about))


def read_card(session: Session, number: str, places: Places) -> Page:
    """One card by its id.

    Raises:
        NotFound: no analysis was made by such a package, or the hub has it no more.
    """
    made = [each for each in _cards(session, places) if each["id"] == number]
    if not made:
        raise NotFound(f"no DocumentReference {number!r}")
    return Page(made)


def search_cards(session: Session, criteria: Criteria, places: Places) -> Page:
    """Cards of the packages that analysed something here."""
    about = {each for name in ("subject", "related") for each in criteria.references.get(name, ())}
    states = {each.code for each in criteria.tokens.get("status", ())}
    types = {each.code for each in criteria.tokens.get("type", ())}
    if "patient" in criteria.references or criteria.days or (states and "current" not in states):
        return Page([])
    if types and MODEL_CARD["code"] not in types:
        return Page([])
    ids = criteria.ids
    return Page(
        [
            each
            for each in _cards(session, places)
            if (ids is None or each["id"] in ids) and (not about or each["id"][1:] in about)
        ]
    )


def is_card_id(text: str) -> bool:
    """Whether a DocumentReference's id is one of a card."""
    return text[:1] == "m" and _is_device(text[1:])


def _cards(session: Session, places: Places) -> list[Resource]:
    known = _packages(places)
    newest = select(Analysis).where(Analysis.model_digest.in_(known)).order_by(Analysis.id.desc())
    made: dict[str, Resource] = {}
    for digest in known:
        analysis = session.scalars(newest.where(Analysis.model_digest == digest).limit(1)).first()
        if analysis is not None:
            made[digest] = _card(analysis, known[digest])
    return list(made.values())


def _packages(places: Places) -> Mapping[str, Path]:
    """The packages that have a card, by digest."""
    found: dict[str, Path] = {}
    for each in places:
        manifest, card = each / MANIFEST, each / CARD
        if manifest.is_file() and card.is_file() and card.stat().st_size <= LARGEST:
            found[hashlib.sha256(manifest.read_bytes()).hexdigest()] = card
    return found


def _card(analysis: Analysis, path: Path) -> Resource:
    content = path.read_bytes()
    digest = hashlib.sha1(content, usedforsecurity=False).digest()  # as FHIR wants it, R4 Attachment
    return filled(
        {
            "resourceType": "DocumentReference",
            "id": card_id(analysis.model_digest),
            "meta": AI_ASSERTED,
            "status": "current",
            "type": concept(MODEL_CARD),
            "subject": device_reference(analysis),
            "description": f"Model card of {analysis.model_name}",
            "content": [
                {
                    "attachment": {
                        "contentType": "text/markdown; charset=utf-8",
                        "language": "en",
                        "data": base64.b64encode(content).decode(),
                        "size": len(content),
                        "hash": base64.b64encode(digest).decode(),
                        "title": f"Model card of {analysis.model_name}",
                    }
                }
            ],
        }
    )


def _is_device(text: str) -> bool:
    return len(text) == DIGITS and set(text) <= set("0123456789abcdef")
