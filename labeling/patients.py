"""Who is one patient: cases joined over hospitals and numbers, so that no patient lies in two splits.

Everything here is an opaque key (an HMAC made by the hub): no name, HN or citizen id comes this far.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise
from types import MappingProxyType

Decisions = Mapping[frozenset[str], bool]
"""What a person has said of two patient keys: the same patient, or not."""


class Why(StrEnum):
    """What joins two cases."""

    SAME_NUMBER = "same_number"
    """One HN at one hospital."""
    SAME_CITIZEN = "same_citizen"
    SAME_IMAGES = "same_images"
    """One image came under both: a study sent twice, or through two PACS."""
    LIKENESS = "likeness"
    """One name, birth date and sex; offered to a person."""
    PERSON = "person"


@dataclass(frozen=True, slots=True)
class Identity:
    """The keys of one case's patient."""

    case: str
    patient: str
    """Of hospital and HN."""
    citizen: str = ""
    """Of the citizen id; empty where unknown."""
    likeness: str = ""
    """Of name, birth date and sex together; empty unless all three are known."""
    images: frozenset[str] = field(default_factory=frozenset)
    """Hashes of the pixels."""


@dataclass(frozen=True, slots=True, order=True)
class Link:
    """Two patient keys, and what joins them; the smaller key first."""

    first: str
    second: str
    why: Why


@dataclass(frozen=True, slots=True)
class Patients:
    """Cases by patient."""

    group_of: Mapping[str, str]
    """By case, the smallest patient key of the group."""
    links: tuple[Link, ...]
    """What joined different keys."""
    suspects: tuple[Link, ...]
    """Likenesses that nobody has decided: joined, to be safe, and offered to a person."""


def group_patients(identities: Sequence[Identity], decisions: Decisions = MappingProxyType({})) -> Patients:
    """Join cases that are, or may be, of one patient.

    A likeness joins until a person says that they are two. A person's word does not part what a citizen id
    or an image joins.
    """
    keys = {each.patient for each in identities}
    hard = {
        *_links(_shared((each.citizen, each.patient) for each in identities), Why.SAME_CITIZEN),
        *_links(
            _shared((image, each.patient) for each in identities for image in each.images), Why.SAME_IMAGES
        ),
        *_links(
            ((min(pair), max(pair)) for pair, same in decisions.items() if same and pair <= keys), Why.PERSON
        ),
    }
    alike = _links(
        _shared(((each.likeness, each.patient) for each in identities), every_pair=True), Why.LIKENESS
    )
    joined = {frozenset((link.first, link.second)) for link in hard}
    soft = [link for link in alike if decisions.get(frozenset((link.first, link.second)), True)]
    undecided = [link for link in soft if frozenset((link.first, link.second)) not in joined | set(decisions)]
    root = _roots(keys, [*hard, *soft])
    return Patients(
        MappingProxyType({each.case: root[each.patient] for each in identities}),
        tuple(sorted([*hard, *soft])),
        tuple(sorted(undecided)),
    )


def _shared(marks: Iterable[tuple[str, str]], *, every_pair: bool = False) -> Iterator[tuple[str, str]]:
    """Pairs of patients under one mark; a chain through them, or every pair where each is to be decided."""
    under: dict[str, set[str]] = defaultdict(set)
    for mark, patient in marks:
        if mark:
            under[mark].add(patient)
    for patients in under.values():
        order = sorted(patients)
        if every_pair:
            yield from ((one, other) for at, one in enumerate(order) for other in order[at + 1 :])
        else:
            yield from pairwise(order)


def _links(pairs: Iterable[tuple[str, str]], why: Why) -> set[Link]:
    return {Link(first, second, why) for first, second in pairs}


def _roots(keys: Iterable[str], links: Iterable[Link]) -> dict[str, str]:
    """Union-find; the smallest key of a group is its root."""
    root = {key: key for key in keys}

    def find(key: str) -> str:
        while root[key] != key:
            root[key] = root[root[key]]
            key = root[key]
        return key

    for link in links:
        low, high = sorted((find(link.first), find(link.second)))
        root[high] = low
    return {key: find(key) for key in root}
