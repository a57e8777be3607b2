"""Page: what a read or a search gives."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from service.fhir.elements import Resource


@dataclass(frozen=True, slots=True)
class Page:
    """Resources, the numbers of the studies that they tell of, and where the next page starts."""

    resources: Sequence[Resource]
    studies: Sequence[int] = field(default=())
    next: int | None = None
