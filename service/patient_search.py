"""Find a person's studies by HN or by a part of the name, in any of its component groups.

A name is looked up by three letters at a time, so that a million studies are not read through: SQLite keeps a
full-text table (`patient_names`), PostgreSQL an index over `name_grams`; migration 0008 makes both. What they
find is checked against the name itself.
"""

from collections.abc import Iterable, Iterator, Sequence

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Integer,
    Select,
    String,
    Text,
    and_,
    cast,
    column,
    func,
    or_,
    select,
    table,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session

from service.accounts import Viewer, visible_to
from service.arrivals import clean
from service.blindness import not_blind
from service.grants import granted_studies
from service.sight import visible_studies
from service.studies import Study

SHORTEST = 2
"""Characters; a single letter would find nearly everybody."""

BEGIN = "^"
"""Stands before and after every part of a name; a word of two letters is looked for where a part begins."""

LAST = "\U0010ffff"

NAMES = table("patient_names", column("rowid", Integer), column("patient_names", String))


def find_patients(session: Session, viewer: Viewer, text: str, *, limit: int = 50) -> Sequence[Study]:
    """Studies whose HN begins with `text`, by HN; then those whose name holds every word of it, newest first.

    A word of two letters must begin a part of the name, because those that hold it anywhere are too many; a
    word of one letter only narrows what another word has found.
    """
    words = clean(text).translate({ord(sign): " " for sign in "^="}).split()
    if sum(map(len, words)) < SHORTEST:
        return ()
    found = {each.id: each for each in _among_shown(session, viewer, words, limit)}
    if len(words) == 1:
        found |= {each.id: each for each in _by_number(session, viewer, words[0], limit)}
    if len(found) < limit:
        found |= {each.id: each for each in _by_name(session, viewer, words, limit)}
    return list(found.values())[:limit]


def other_studies(session: Session, viewer: Viewer, study: Study, *, limit: int = 20) -> Sequence[Study]:
    """Further studies of the same person that `viewer` may see, newest first.

    In one hospital the HN tells who it is. Elsewhere name, sex and day of birth must all agree, and it is for
    the reader to judge whether it is the same person.
    """
    ways: list[list[ColumnElement[bool]]] = []
    if study.patient_id:
        ways.append([Study.hcode == study.hcode, Study.patient_id == study.patient_id])
    if study.patient_name and study.birth_date:
        person = (Study.birth_date == study.birth_date, Study.sex == study.sex)
        ways.append([*person, Study.patient_name == study.patient_name])
    found: dict[int, Study] = {}
    for way in ways:  # one query each: with OR between them a database may give up on both indexes
        query = select(Study).where(visible_studies(viewer), Study.id != study.id, *way)
        found |= {each.id: each for each in session.scalars(query.order_by(Study.id.desc()).limit(limit))}
    return [found[each] for each in sorted(found, reverse=True)[:limit]]


def holding(session: Session, fragments: Iterable[str]) -> list[ColumnElement[bool]]:
    """What an index can say of names that hold each of `fragments`; the name itself is still to be compared.

    Empty where every fragment is shorter than three letters, and only reading the names can tell.
    """
    grams = grams_of(fragments)
    if not grams:
        return []
    return [in_full_text(full_text_of(grams)) if is_full_text(session) else among_grams(grams)]


def is_full_text(session: Session) -> bool:
    """Whether the index of names is SQLite's full-text table."""
    return session.get_bind().dialect.name == "sqlite"


def grams_of(fragments: Iterable[str]) -> list[str]:
    """What stands in the index for names that hold each of `fragments` of three letters or more."""
    words = [word for each in fragments for word in clean(each).lower().split() if len(word) > SHORTEST]
    return list(dict.fromkeys(gram for word in words for gram in _grams(word)))


def full_text_of(grams: Iterable[str]) -> str:
    """The full-text table's expression for names that hold all of `grams`."""
    return f"name : ({_all(grams)})"


def in_full_text(wanted: str | BindParameter[str]) -> ColumnElement[bool]:
    """The condition on `Study` that the full-text table finds its name."""
    return Study.id.in_(select(NAMES.c.rowid).where(_matches(wanted)))


def among_grams(grams: Sequence[str] | BindParameter[Sequence[str]]) -> ColumnElement[bool]:
    """The condition on `Study` that PostgreSQL's index finds its name (or its hospital) by all of `grams`."""
    indexed = func.name_grams(Study.patient_name, Study.hcode, type_=ARRAY(Text))
    return indexed.contains(cast(grams, ARRAY(Text)))


def _among_shown(session: Session, viewer: Viewer, words: Sequence[str], limit: int) -> Sequence[Study]:
    """Those that other hospitals show to the viewer's: few, and therefore read one by one."""
    if viewer.hcode is None or viewer.sees_region:
        return ()
    fits = and_(*_holds(words))
    if len(words) == 1:
        fits = or_(fits, Study.patient_id.startswith(words[0], autoescape=True))
    query = select(Study).where(Study.id.in_(granted_studies(viewer.hcode)), fits)
    return session.scalars(query.order_by(Study.id.desc()).limit(limit)).all()


def _by_number(session: Session, viewer: Viewer, begin: str, limit: int) -> Sequence[Study]:
    if session.get_bind().dialect.name == "sqlite":
        # SQLite's LIKE takes letters of either case for equal, and therefore no index
        begins = Study.patient_id.between(begin, begin + LAST)
    else:
        begins = Study.patient_id.like(f"{_literal(begin)}%", escape="\\")
    query = select(Study).where(visible_to(viewer, Study.hcode), not_blind(viewer), begins)
    return session.scalars(query.order_by(Study.patient_id, Study.id.desc()).limit(limit)).all()


def _by_name(session: Session, viewer: Viewer, words: Sequence[str], limit: int) -> Sequence[Study]:
    grams = list(dict.fromkeys(gram for word in words for gram in _grams(word.lower())))
    if not grams:
        return ()
    query = (
        select(Study).where(visible_to(viewer, Study.hcode), not_blind(viewer), *_holds(words)).limit(limit)
    )
    if session.get_bind().dialect.name == "sqlite":
        return session.scalars(_led_by_full_text(query, grams, viewer)).all()
    hospital = [] if viewer.sees_region else [f"#{viewer.hcode or ''}"]
    return session.scalars(query.where(among_grams([*grams, *hospital])).order_by(Study.id.desc())).all()


def _holds(words: Sequence[str]) -> list[ColumnElement[bool]]:
    name = func.lower(Study.patient_name)
    return [name.like(f"%{_literal(word.lower())}%", escape="\\") for word in words]


def _led_by_full_text(query: Select[Study], grams: Sequence[str], viewer: Viewer) -> Select[Study]:
    """The query led by the full-text table, which gives its rows newest first and stops at the limit."""
    wanted = full_text_of(grams)
    if not viewer.sees_region:
        hcode = viewer.hcode or "none"
        wanted += f" AND hospital : ({_all(hcode[at : at + 3] for at in range(len(hcode) - 2))})"
    joined = query.select_from(NAMES.join(Study, Study.id == NAMES.c.rowid))
    return joined.where(_matches(wanted)).order_by(NAMES.c.rowid.desc())


def _matches(wanted: str | BindParameter[str]) -> ColumnElement[bool]:
    return NAMES.c.patient_names.op("MATCH", is_comparison=True)(wanted)


def _grams(word: str) -> Iterator[str]:
    """Every second three letters and the last: they find as few as all would, for half the reading."""
    if len(word) == SHORTEST:
        yield BEGIN + word
    last = len(word) - 3
    for at in range(0, last, 2):
        yield word[at : at + 3]
    if last >= 0:
        yield word[last:]


def _all(grams: Iterable[str]) -> str:
    return " AND ".join('"' + gram.replace('"', '""') + '"' for gram in grams)


def _literal(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
