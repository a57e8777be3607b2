"""The page for an error, in the reader's words; who is not signed in is led to the door and back."""

from urllib.parse import quote

from fastapi import Request, Response

from service.web.page import drop_session, render, see_other, words_of

FOR_MACHINES = ("/api/", "/dicomweb", "/fhir", "/static/", "/openapi.json", "/healthz", "/readyz", "/metrics")


def show(request: Request, status: int, kind: str, detail: str) -> Response | None:
    """The page for a person; None where a machine is asking."""
    path = request.url.path
    if path.startswith(FOR_MACHINES) or "text/html" not in request.headers.get("accept", ""):
        return None
    if status == 401 or kind == "HospitalNotChosen":
        return _to_the_door(request, "/hospital" if kind == "HospitalNotChosen" else "/login")
    key = kind if words_of(request).has(f"error.{kind}") else str(status)
    key = key if words_of(request).has(f"error.{key}") else "other"
    entry = getattr(request.state, "entry", None)
    viewer = entry.viewer if entry else None
    return render(request, "error.html", viewer, status=status, status_code=status, key=key, detail=detail)


def _to_the_door(request: Request, door: str) -> Response:
    back = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    where = door if request.method != "GET" or back == "/" else f"{door}?next={quote(back, safe='')}"
    if "hx-request" in request.headers:
        return Response(status_code=401, headers={"HX-Redirect": door})
    response = see_other(request, where)
    if door == "/login":
        drop_session(response)
    return response
