"""Registered models without their files, for tests of the rows."""

from collections.abc import Sequence

from sqlalchemy.orm import Session

from model.stroke import StrokeType
from service.accounts import Role, Viewer
from service.models import Model, register_model

ML = Viewer("ml", Role.ML, None)
ADMIN = Viewer("admin", Role.ADMIN, None)
INTENDED = (StrokeType.ANY_ICH, StrokeType.IPH)


def digest_of(name: str) -> str:
    """A digest of its own for each name."""
    return name.encode().hex().ljust(64, "0")[-64:]


def registered_model(
    session: Session, name: str = "stroke-ct-0.5.0", *, assessed: Sequence[StrokeType] = INTENDED
) -> Model:
    """A model whose golden studies reproduced."""
    return register_model(
        session,
        ML,
        name=name,
        digest=digest_of(name),
        folder=f"models/{name}",
        assessed=assessed,
        engine="openvino-fp32",
        golden_off_by=0.0001,
    )
