"""ReferralSerial: the running number of a hospital's referrals in one Buddhist year, such as 69-000123."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Mapped, Session, mapped_column

from service.db import Base
from service.thai_time import BUDDHIST_ERA, THAILAND


class ReferralSerial(Base):
    """The last number that a hospital has given in a year."""

    __tablename__ = "referral_serials"

    hcode: Mapped[str] = mapped_column(ForeignKey("hospitals.hcode"), primary_key=True)
    year: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    """Of the Buddhist era, by Thailand's clock."""
    last: Mapped[int]


def next_serial(session: Session, hcode: str, at: datetime) -> str:
    """The hospital's next number; two at once get two, and one given back by a rollback is given again."""
    year = at.astimezone(THAILAND).year + BUDDHIST_ERA
    dialect: Any = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    row = dialect.insert(ReferralSerial).values(hcode=hcode, year=year, last=1)
    counted = row.on_conflict_do_update(
        index_elements=[ReferralSerial.hcode, ReferralSerial.year], set_={"last": ReferralSerial.last + 1}
    )
    number = int(session.execute(counted.returning(ReferralSerial.last)).scalar_one())
    return f"{year % 100:02d}-{number:06d}"
