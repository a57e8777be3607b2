"""The door for neighbour hubs: a referral as a transaction, its steps as Tasks. Signed, not by token.

No account can enter here and a neighbour nowhere else, so these routes are not among those of the API.
"""

import json
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Path, Request
from fastapi.responses import JSONResponse
from sqlalchemy.orm import Session

from service import audit
from service.api.access import Work
from service.api.fhir_writing import LONGEST
from service.errors import Malformed
from service.fhir.neighbour import state_task
from service.fhir.versions import FHIR_JSON
from service.neighbour_moves import find_linked, take_request, take_step
from service.neighbours import Neighbour, recognise
from service.referrals import audit_detail

router = APIRouter(prefix="/neighbour/fhir", include_in_schema=False)

Number = Annotated[str, Path(pattern=r"^r[1-9][0-9]{0,17}$")]
Short = Annotated[str, Header(max_length=100)]


@dataclass(frozen=True, slots=True)
class Letter:
    """A request as it was signed."""

    name: str
    timestamp: str
    signature: str
    method: str
    path: str
    body: bytes

    def sender(self, session: Session) -> Neighbour:
        """Who signed it.

        Raises:
            NotSignedIn: nobody that is listed here.
        """
        return recognise(
            session,
            name=self.name,
            timestamp=self.timestamp,
            signature=self.signature,
            method=self.method,
            path=self.path,
            body=self.body,
        )

    def resource(self) -> Any:
        """What it holds.

        Raises:
            Malformed: it is no JSON.
        """
        try:
            return json.loads(self.body)
        except ValueError:
            raise Malformed("the body is no JSON") from None


async def open_letter(
    request: Request,
    x_hub_neighbour: Short = "",
    x_hub_timestamp: Short = "",
    x_hub_signature: Short = "",
) -> Letter:
    """The request with its body.

    Raises:
        Malformed: it is too long.
    """
    body = await request.body()
    if len(body) > LONGEST:
        raise Malformed(f"a body of {len(body)} bytes; {LONGEST} are taken")
    return Letter(x_hub_neighbour, x_hub_timestamp, x_hub_signature, request.method, request.url.path, body)


Sealed = Annotated[Letter, Depends(open_letter, scope="function")]


@router.post("")
def take_transaction(letter: Sealed, session: Work) -> JSONResponse:
    """A referral to a hospital that lives here; the same again answers with the same Task."""
    referral, new = take_request(session, letter.sender(session), letter.resource())
    status = "201 Created" if new else "200 OK"
    place = f"Task/r{referral.id}/_history/{referral.version}"
    content = {
        "resourceType": "Bundle",
        "type": "transaction-response",
        "entry": [{"response": {"status": status, "location": place}}],
    }
    return JSONResponse(content, media_type=FHIR_JSON)


@router.put("/Task/{number}")
def take_task(number: Number, letter: Sealed, session: Work) -> JSONResponse:
    """A step that was taken there."""
    referral = take_step(session, letter.sender(session), number, letter.resource())
    return JSONResponse(state_task(referral), media_type=FHIR_JSON)


@router.get("/Task/{number}")
def tell_task(number: Number, letter: Sealed, session: Work) -> JSONResponse:
    """How a referral stands here."""
    neighbour = letter.sender(session)
    referral, _ = find_linked(session, neighbour, number)
    detail = audit_detail(referral)
    audit.record(session, f"{neighbour.name}/hub", "referral.read", study_id=referral.study_id, detail=detail)
    return JSONResponse(state_task(referral), media_type=FHIR_JSON)
