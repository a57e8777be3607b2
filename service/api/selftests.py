"""Self-tests: what a vendor's push to the test lane showed and what to change, and the lane's own STOW-RS."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response

from service.api import stow
from service.api.access import Look, ReceiptReader, StudySender, note_read
from service.api.problems import responses
from service.selftests import find_self_test, self_test_columns, self_tests, self_tests_csv

router = APIRouter(tags=["self-tests"], responses=responses(401, 403, 422, 503))

Limit = Annotated[int, Query(ge=1, le=1000)]
Number = Annotated[int, Path(ge=1, le=2**53)]


@router.get("/api/v1/selftests")
def list_self_tests(
    request: Request, viewer: ReceiptReader, session: Look, limit: Limit = 100
) -> dict[str, list[dict[str, Any]]]:
    """Pushes to the test lane of the last 24 hours with every check; newest first."""
    found = self_tests(request.app.state.trials(), viewer, limit=limit)
    note_read(request, session, viewer, "selftests.read", detail={"selftests": len(found)})
    return {"selftests": [self_test_columns(each) for each in found]}


@router.get(
    "/api/v1/selftests.csv",
    response_class=Response,
    responses={200: {"content": {"text/csv": {}}, "description": "A line for each check"}},
)
def list_self_tests_csv(
    request: Request, viewer: ReceiptReader, session: Look, limit: Limit = 100
) -> Response:
    """The same as a table, a line for each check."""
    found = self_tests(request.app.state.trials(), viewer, limit=limit)
    note_read(request, session, viewer, "selftests.read", detail={"selftests": len(found)})
    headers = {"Content-Disposition": 'attachment; filename="selftests.csv"'}
    return Response(self_tests_csv(found), media_type="text/csv; charset=utf-8", headers=headers)


@router.get("/api/v1/selftests/{number}", responses=responses(404))
def show_self_test(request: Request, number: Number, viewer: ReceiptReader, session: Look) -> dict[str, Any]:
    """One push with every check."""
    found = find_self_test(request.app.state.trials(), viewer, number)
    note_read(request, session, viewer, "selftests.read", detail={"selftests": 1})
    return self_test_columns(found)


@router.post(
    "/dicomweb-test/studies", response_class=Response, responses=stow.ANSWER, openapi_extra=stow.BODY
)
async def try_stow(request: Request, viewer: StudySender) -> Response:
    """STOW-RS into the test lane: answered like /dicomweb/studies, shown as a self-test, gone after a day."""
    return await stow.store(request, viewer, "", request.app.state.trials)
