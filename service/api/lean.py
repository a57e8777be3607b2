"""Lean routes: what a viewer asks hundreds of times for one study, answered in one thread.

FastAPI resolves each dependency of a route by itself, most in a thread of their own; for one image that takes
longer than the image. A lean route asks the same questions of the same functions in the same order, in the
one thread that also reads the file. What its endpoint declares stays true: its permission is read from there.
What is out of the ordinary goes FastAPI's way: a path that does not fit, a token whose use is to be noted.
"""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool

from service.accounts import Permission, enter_by_token
from service.api.access import BEARER, enter_browser
from service.api.csrf import SAFE
from service.db import session_scope

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class LeanRoute(APIRoute):
    """A route whose endpoint takes path parameters, `request`, `viewer` and a reading `session`, no more."""

    def get_route_handler(self) -> Handler:
        """The short way, and behind it FastAPI's own."""
        whole, endpoint, fields = super().get_route_handler(), self.endpoint, self.dependant.path_params
        permission = _permission(self)

        def answer(request: Request, key: str | None, place: dict[str, str]) -> Response | None:
            viewer = None if key else enter_browser(request, "").chosen()
            with session_scope(request.app.state.engine, write=False) as session:
                if key:
                    viewer, use_is_due = enter_by_token(session, key)
                    if use_is_due:
                        return None
                assert viewer is not None
                response: Response = endpoint(
                    **place, request=request, viewer=viewer.must(permission), session=session
                )
                return response

        async def handle(request: Request) -> Response:
            place: dict[str, str] = {}
            for field in fields:
                value, wrong = field.validate(request.path_params[field.alias], loc=("path",))
                if wrong:
                    return await whole(request)
                place[field.name] = value
            sent = await BEARER(request)
            key = sent.credentials if sent else None
            response = await run_in_threadpool(answer, request, key, place)
            return response or await whole(request)

        return handle


def _permission(route: APIRoute) -> Permission:
    """The permission that the endpoint's `viewer` needs.

    Raises:
        TypeError: the endpoint takes what the short way would not give it.
    """
    dependant: Dependant = route.dependant
    needed = {each.name: getattr(each.call, "permission", None) for each in dependant.dependencies}
    permission = needed.get("viewer")
    more = [
        *dependant.query_params,
        *dependant.header_params,
        *dependant.cookie_params,
        *dependant.body_params,
    ]
    if more or needed.keys() != {"viewer", "session"} or not (route.methods or set()) <= SAFE:
        msg = f"{route.path} takes more than its path, or changes something: it can be no lean route"
        raise TypeError(msg)
    if not isinstance(permission, Permission):
        msg = f"{route.path} does not say which permission its viewer needs"
        raise TypeError(msg)
    return permission
