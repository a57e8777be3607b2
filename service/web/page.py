"""What every page has in common: layout, navigation by role, language, theme, and a word after a redirect."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from fastapi import Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from service.accounts import Permission, Viewer
from service.api.csrf import FORM_COOKIE, SESSION_COOKIE, mark_of
from service.db import now
from service.web.assets import address_of
from service.web.words import Language, Words

TEMPLATES = Path(__file__).parent / "templates"
LANGUAGE_COOKIE, THEME_COOKIE, FLASH_COOKIE = "hub_language", "hub_theme", "hub_flash"
THEMES = ("dark", "light", "auto")
"""Dark comes first, as a reading room is dark; auto follows the browser."""
A_YEAR_S = 365 * 24 * 3600


@dataclass(frozen=True, slots=True)
class NavigationEntry:
    """One place of the navigation; its word is `nav.KEY` of the text files."""

    key: str
    path: str
    icon: str
    permission: Permission | None
    """Who sees it; None: whoever is signed in."""


NAVIGATION = (
    NavigationEntry("worklist", "/", "list", Permission.READ_STUDIES),
    NavigationEntry("consults", "/consults", "stethoscope", Permission.ASK),
    NavigationEntry("on_call", "/on-call", "bell", Permission.ON_CALL),
    NavigationEntry("referrals", "/referrals", "ambulance", Permission.READ_IDENTITY),
    NavigationEntry("clock", "/clock", "clock", Permission.READ_STUDIES),
    NavigationEntry("discordant", "/discordant", "file-text", Permission.REVIEW),
    NavigationEntry("disagreements", "/disagreements", "triangle-alert", Permission.SETTLE),
    NavigationEntry("reading", "/label", "eye", Permission.LABEL),
    NavigationEntry("cases", "/cases", "bookmark", Permission.CURATE),
    NavigationEntry("models", "/console/models", "activity", Permission.MODELS),
    NavigationEntry("receipts", "/receipts", "receipt", Permission.READ_RECEIPTS),
    NavigationEntry("upload", "/upload", "upload", Permission.BRING),
    NavigationEntry("selftest", "/selftest", "activity", Permission.READ_RECEIPTS),
    NavigationEntry("console", "/console", "settings", Permission.ADMINISTER),
    NavigationEntry("account", "/account", "user", None),
)
"""The navigation in order. Whom a page lets in is said by its route; this only spares people dead ends."""


def navigation_of(viewer: Viewer) -> list[NavigationEntry]:
    """The places that the viewer may go to."""
    return [each for each in NAVIGATION if each.permission is None or viewer.may(each.permission)]


def home_of(viewer: Viewer) -> str:
    """Where the viewer begins."""
    return navigation_of(viewer)[0].path


def words_of(request: Request) -> Words:
    """The reader's language; Thai until they choose."""
    try:
        return Words(Language(request.cookies.get(LANGUAGE_COOKIE, "")))
    except ValueError:
        return Words(Language.TH)


def theme_of(request: Request) -> str:
    """The reader's theme; dark until they choose."""
    chosen = request.cookies.get(THEME_COOKIE, "")
    return chosen if chosen in THEMES else THEMES[0]


def render(
    request: Request, template: str, viewer: Viewer | None = None, *, status: int = 200, **values: Any
) -> HTMLResponse:
    """A page, or a part of one: `template` of the templates folder with `values`.

    Every template also has: `t` (the reader's words), `viewer`, `navigation`, `theme`, `csrf_token`, `flash`,
    `here` (the path), `opened` (this moment), `doors` (identity providers), `asset` (the address of a static
    file), `entry` (the browser session, if any).
    """
    words, (mark, fresh) = words_of(request), mark_of(request)
    flash = f"flash.{request.cookies.get(FLASH_COOKIE, '')}"
    content = (
        environment()
        .get_template(template)
        .render(
            t=words,
            viewer=viewer,
            navigation=navigation_of(viewer) if viewer else (),
            theme=theme_of(request),
            csrf_token=mark,
            flash=words(flash) if words.has(flash) else None,
            here=request.url.path,
            opened=now(),
            asset=address_of,
            entry=getattr(request.state, "entry", None),
            doors=request.app.state.doors.values(),
            **values,
        )
    )
    response = HTMLResponse(content, status_code=status, headers={"Content-Language": words.language.value})
    if fresh is not None:
        set_cookie(request, response, FORM_COOKIE, fresh)
    if FLASH_COOKIE in request.cookies:
        response.delete_cookie(FLASH_COOKIE)
    return response


def see_other(request: Request, path: str, *, flash: str | None = None) -> RedirectResponse:
    """303 to a page of this hub, with a word (`flash.KEY` of the text files) to be shown there once."""
    response = RedirectResponse(local(path), status_code=303)
    if flash is not None:
        set_cookie(request, response, FLASH_COOKIE, flash)
    return response


def local(path: str) -> str:
    """The path if it leads to a page of this hub, else the home page: no form may lead people elsewhere."""
    safe = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return quote(path, safe="/?&=%.,:-_~+") if safe and "\\" not in path else "/"


def set_cookie(
    request: Request, response: Response, name: str, value: str, *, max_age: int | None = None
) -> None:
    """Set a cookie that no script and no other site can read; without `max_age` until the browser closes."""
    secure = request.url.scheme == "https" or request.app.state.settings.public_url.startswith("https:")
    response.set_cookie(name, value, max_age=max_age, httponly=True, secure=secure, samesite="lax", path="/")


def address_of_client(request: Request) -> str:
    """The address the request came from, for limits and the audit."""
    return request.client.host if request.client else ""


def drop_session(response: Response) -> None:
    """Take the session's cookie away."""
    response.delete_cookie(SESSION_COOKIE)


@cache
def environment() -> Environment:
    """The templates; what they print is escaped, and a name they do not know is an error."""
    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
