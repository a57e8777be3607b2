"""`hub models thresholds`: what each hospital's reviews propose, what is in force, and the verbs."""

from typing import Annotated

import typer

from model.stroke import StrokeType
from service.accounts import OPERATOR
from service.commands.opening import open_database, open_settings
from service.db import session_scope
from service.hospital_thresholds import apply_threshold, thresholds_in_force, undo_threshold
from service.hospitals import find_hospital
from service.own_thresholds import own_at, own_of
from service.thresholds import LEAST, propose_thresholds

group = typer.Typer(help="From which score each hospital has a finding flagged.")

Hospital = Annotated[str, typer.Argument(help="Code of the hospital.")]
Finding = Annotated[StrokeType, typer.Option(help="The finding.")]
Model = Annotated[
    str | None, typer.Option("--model", help="Name or digest of the package; without: what reads there now.")
]
Reason = Annotated[str, typer.Option(help="Why; it is kept in the history.")]


@group.callback(invoke_without_command=True)
def show(
    context: typer.Context,
    hospital: Annotated[str | None, typer.Option(help="Code of one hospital.")] = None,
    finding: Finding = StrokeType.ANY_ICH,
) -> None:
    """Propose flag thresholds from each hospital's reviews of what reads there, beside those in force."""
    if context.invoked_subcommand is not None:
        return
    settings = open_settings()
    with session_scope(open_database(settings), write=False) as session:
        if hospital is not None:
            find_hospital(session, hospital)
        own = own_at(session, settings, hospital)
        found = propose_thresholds(session, OPERATOR, own.digest, finding, hcode=hospital)
        rows = {each.hcode: thresholds_in_force(session, own.digest, each.hcode) for each in found}
    print(f"{own.name}, {finding.value}, reviews by radiologists; {LEAST} with and without are asked")
    for each in found:
        row = rows[each.hcode].get(finding)
        flag = own.calibrations[finding].flag if row is None else row.flag
        whose = "the package's" if row is None else "its own"
        counts = f"{each.positive} with, {each.negative} without; in force {flag:.3f}, {whose}"
        if each.flag is None:
            print(f"{each.hcode}: too few ({counts})")
        else:
            print(f"{each.hcode}: flag {each.flag:.3f} ({each.low:.3f} to {each.high:.3f}), {counts}")


@group.command()
def apply(
    hospital: Hospital,
    reason: Reason,
    finding: Finding = StrokeType.ANY_ICH,
    flag: Annotated[float | None, typer.Option(help="From this score on; without: as proposed.")] = None,
    model: Model = None,
    override: Annotated[bool, typer.Option(help="Even if sensitivity falls under the floor.")] = False,
) -> None:
    """Set a hospital's own threshold, from the next study on; workers need no restart."""
    settings = open_settings()
    with session_scope(open_database(settings)) as session:
        own = own_of(session, settings, model) if model else own_at(session, settings, hospital)
        made = apply_threshold(
            session, OPERATOR, own, hospital, finding, flag=flag, reason=reason, override=override
        )
        said = f"{made.before:.3f} to {made.flag:.3f}, sensitivity {made.sensitivity:.1%}"
    print(f"{own.name} flags {finding.value} at {hospital}: {said} on {made.positive} reviewed")


@group.command()
def undo(
    hospital: Hospital, reason: Reason, finding: Finding = StrokeType.ANY_ICH, model: Model = None
) -> None:
    """Go back to the package's own threshold, from the next study on."""
    settings = open_settings()
    with session_scope(open_database(settings)) as session:
        own = own_of(session, settings, model) if model else own_at(session, settings, hospital)
        made = undo_threshold(session, OPERATOR, own, hospital, finding, reason=reason)
    print(f"{own.name} flags {finding.value} at {hospital}: {made.before:.3f} to {made.package_flag:.3f}")
