"""Promotion through the gates: refused in words, or overridden by an administrator who says why."""

from collections.abc import Sequence

from sqlalchemy.orm import Session

from service.accounts import Permission, Viewer
from service.errors import BadRequest, GatesRefuse
from service.model_gates import Gate, look_at_gates
from service.models import Model, find_model, lock_registry
from service.placements import check_places, promote_model
from service.shipped import Standard


def gates_of(
    session: Session, viewer: Viewer, name: str, hospitals: Sequence[str], *, standard: Standard
) -> list[tuple[str, Gate]]:
    """The gates of a model by place, the region's as the empty one.

    Raises:
        NotFound: no such model or hospital. NotAllowed: the viewer has no say there.
    """
    model = find_model(session, name)
    return [
        (place, gate)
        for place in check_places(session, viewer, hospitals)
        for gate in look_at_gates(session, model, place, standard=standard)
    ]


def promote(
    session: Session,
    viewer: Viewer,
    name: str,
    hospitals: Sequence[str] = (),
    *,
    standard: Standard,
    reason: str = "",
    seen: str | None = None,
    override: bool = False,
) -> Model:
    """Promote a model where every gate is open, or where an administrator overrides and says why.

    Raises:
        GatesRefuse: a gate is closed; `members` has all of them.
        BadRequest: an override without a reason. NotAllowed: by who is no administrator.
        And what `placements.promote_model` raises.
    """
    lock_registry(session)
    gates = gates_of(session, viewer, name, hospitals, standard=standard)
    closed = [gate for _, gate in gates if not gate.holds]
    if closed and not override:
        refusal = GatesRefuse(f"{name} is not promoted. " + " ".join(gate.said.en for gate in closed))
        refusal.members["gates"] = [plain(place, gate) for place, gate in gates]
        raise refusal
    if closed:
        viewer.must(Permission.ADMINISTER)
        if not reason.strip():
            raise BadRequest("an override needs a reason: it is kept in the history")
    words = [gate.said.en for gate in closed]
    return promote_model(session, viewer, name, hospitals, reason=reason, seen=seen, gates=words)


def plain(place: str, gate: Gate) -> dict[str, str | bool | None]:
    """A gate for JSON."""
    return {
        "hospital": place or None,
        "gate": gate.name.value,
        "holds": gate.holds,
        "th": gate.said.th,
        "en": gate.said.en,
    }
