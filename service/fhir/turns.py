"""Turns: one search over resources that come from several tables, one table after the other."""

from collections.abc import Callable, Sequence
from typing import Final

from service.fhir.page import Page

Source = Callable[[int | None, int], Page]
"""Gives at most so many resources after a row's number; None begins at its newest."""

PLACES: Final = 8
DIGITS: Final = 17
"""Of a row's number at most; with the place behind it, still a 64-bit one."""


def in_turn(sources: Sequence[Source], *, count: int, after: int | None) -> Page:
    """One page: what is left of a source, then of the next.

    Args:
        sources: At most eight.
        count: Resources of a page.
        after: `next` of the page before; it holds the source's place and the row's number.
    """
    assert len(sources) <= PLACES, len(sources)
    number, place = (0, 0) if after is None else divmod(after, PLACES)
    made: list[Page] = []
    following: int | None = None
    for at in range(place, len(sources)):
        left = count - sum(len(page.resources) for page in made)
        if not left:
            following = at
            break
        page = sources[at](number or None, left)
        made.append(page)
        number = 0
        if page.next is not None:
            following = page.next * PLACES + at
            break
    return Page(
        [each for page in made for each in page.resources],
        [each for page in made for each in page.studies],
        following,
    )


def row_numbers(letter: str, ids: Sequence[str]) -> list[int]:
    """The rows' numbers in ids such as `c12`; an id that begins otherwise has none."""
    bare = [each.removeprefix(letter) for each in ids if each.startswith(letter)]
    return [int(each) for each in bare if each.isascii() and each.isdecimal() and len(each) <= DIGITS]
