"""CaseQuota: how many cases a hospital is to bring, and how far each hospital and each province is."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ForeignKey, String, func, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from service import audit
from service.accounts import Viewer, visible_to
from service.case_states import SETTLED, CaseState
from service.cases import Case
from service.db import Base, UtcDateTime, now
from service.errors import BadRequest
from service.hospitals import Hospital, find_hospital

MOST = 100_000
"""Cases that one hospital may be asked for."""


class CaseQuota(Base):
    """What one hospital is asked for; a hospital without a row is asked for none."""

    __tablename__ = "case_quotas"

    hcode: Mapped[str] = mapped_column(ForeignKey("hospitals.hcode"), primary_key=True)
    cases: Mapped[int]
    set_by: Mapped[str] = mapped_column(String(100))
    at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a hospital, a province or the region is."""

    name_th: str
    name_en: str
    quota: int
    offered: int
    waiting: int
    excluded: int
    taken: int
    """Eligible, or further; what counts against the quota."""
    settled: int
    """Read, and agreed or adjudicated."""
    hcode: str = ""
    """Empty for a province and for the region."""

    @property
    def share(self) -> float:
        """Taken of the quota, 0 to 1; 1 where nothing was asked for and something came."""
        if not self.quota:
            return 1.0 if self.taken else 0.0
        return min(1.0, self.taken / self.quota)


def set_quotas(session: Session, viewer: Viewer, quotas: Mapping[str, int]) -> None:
    """Ask hospitals for so many cases; those not named keep what they have.

    Raises:
        BadRequest: a number under 0 or over 100,000. NotFound: no such hospital.
    """
    for hcode, cases in quotas.items():
        if not 0 <= cases <= MOST:
            raise BadRequest(f"a quota of {cases} cases; it must be 0 to {MOST}")
        find_hospital(session, hcode)
        row = session.get(CaseQuota, hcode)
        if row is None:
            session.add(CaseQuota(hcode=hcode, cases=cases, set_by=viewer.username))
        elif row.cases != cases:
            row.cases, row.set_by, row.at = cases, viewer.username, now()
    detail: audit.Detail = {"hospitals": len(quotas), "cases": sum(quotas.values())}
    audit.record(session, viewer.username, "case.quota", detail=detail)


def propose_quotas(session: Session, total: int) -> dict[str, int]:
    """So many cases over the hospitals with a scanner, by their CT patients a month (largest remainder).

    Raises:
        BadRequest: a total under 1 or over 100,000, or no hospital says how many CT patients it has.
    """
    if not 1 <= total <= MOST:
        raise BadRequest(f"{total} cases in all; it must be 1 to {MOST}")
    rows = session.execute(
        select(Hospital.hcode, Hospital.ct_patients_per_month).where(
            Hospital.ct_scanners > 0, Hospital.ct_patients_per_month > 0
        )
    )
    weights = {hcode: patients for hcode, patients in rows if patients}
    if not weights:
        raise BadRequest("no hospital says how many CT patients a month it has")
    whole = sum(weights.values())
    exact = {hcode: total * weight / whole for hcode, weight in weights.items()}
    quotas = {hcode: int(share) for hcode, share in exact.items()}
    by_rest = sorted(exact, key=lambda hcode: (quotas[hcode] - exact[hcode], hcode))
    for hcode in by_rest[: total - sum(quotas.values())]:
        quotas[hcode] += 1
    return quotas


def standings(session: Session, viewer: Viewer) -> Sequence[Standing]:
    """Every hospital that was asked for cases or has offered some, by code, as far as the viewer sees it."""
    counts: dict[str, Counter[CaseState]] = defaultdict(Counter)
    query = select(Case.hcode, Case.state, func.count()).where(visible_to(viewer, Case.hcode))
    for hcode, state, count in session.execute(query.group_by(Case.hcode, Case.state)):
        counts[hcode or ""][state] = count
    asked = {hcode: cases for hcode, cases in session.execute(select(CaseQuota.hcode, CaseQuota.cases))}
    hospitals = session.scalars(
        select(Hospital).where(visible_to(viewer, Hospital.hcode)).order_by(Hospital.hcode)
    )
    return [
        _standing(each.name_th, each.name_en, asked.get(each.hcode, 0), counts[each.hcode], each.hcode)
        for each in hospitals
        if asked.get(each.hcode) or counts[each.hcode]
    ]


def by_province(session: Session, standings: Iterable[Standing]) -> Sequence[Standing]:
    """The same by province, in the order of their names."""
    rows = session.execute(select(Hospital.hcode, Hospital.province_th, Hospital.province_en))
    province = {hcode: (thai, english) for hcode, thai, english in rows}
    groups: dict[tuple[str, str], list[Standing]] = defaultdict(list)
    for each in standings:
        groups[province[each.hcode]].append(each)
    return [in_all(group, *names) for names, group in sorted(groups.items(), key=lambda item: item[0][1])]


def in_all(standings: Iterable[Standing], name_th: str, name_en: str) -> Standing:
    """Several as one."""
    rows = list(standings)
    return Standing(
        name_th,
        name_en,
        quota=sum(each.quota for each in rows),
        offered=sum(each.offered for each in rows),
        waiting=sum(each.waiting for each in rows),
        excluded=sum(each.excluded for each in rows),
        taken=sum(each.taken for each in rows),
        settled=sum(each.settled for each in rows),
    )


def _standing(
    name_th: str, name_en: str, quota: int, counts: Counter[CaseState], hcode: str = ""
) -> Standing:
    offered = sum(counts.values())
    waiting, excluded = counts[CaseState.UPLOADED], counts[CaseState.EXCLUDED]
    return Standing(
        name_th,
        name_en,
        quota=quota,
        offered=offered,
        waiting=waiting,
        excluded=excluded,
        taken=offered - waiting - excluded,
        settled=sum(counts[state] for state in SETTLED),
        hcode=hcode,
    )
