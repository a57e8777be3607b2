"""`hub models`: take packages in, let them read in shadow and live, and roll them back."""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from service import drift, evaluations, model_arrivals, models, placements, promotions
from service.accounts import OPERATOR
from service.commands import thresholds
from service.commands.opening import open_database, open_settings
from service.db import now, session_scope
from service.models import REGION, Model
from service.placements import Placement
from service.retraining import retraining
from service.shipped import shipped

group = typer.Typer(help="Which model reads where, and how it came to.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="Name of the model, or 8 or more digits of its digest.")]
Hospitals = Annotated[
    list[str] | None, typer.Option("--hospital", help="Code of a hospital; repeatable. Without: the region.")
]
Reason = Annotated[str, typer.Option(help="Why, for the history.")]


def add_to(app: typer.Typer) -> None:
    """Add the group of commands."""
    group.add_typer(thresholds.group, name="thresholds")
    app.add_typer(group, name="models")


@group.command("list")
def list_(
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
    history: Annotated[bool, typer.Option(help="Also everything that was ever done.")] = False,
) -> None:
    """List the models, the newest first, and where each reads."""
    settings = open_settings()
    with session_scope(open_database(settings), write=False) as session:
        rows, places = models.list_models(session), placements.placements(session)
        steps = models.steps_of(session) if history else ()
    if as_json:
        print(json.dumps([_plain(row, places) for row in rows], indent=1))
        return
    if not any(each.state == "live" and each.place == REGION for each in places):
        print(f"{'(HUB_MODEL)':<28} {settings.model.name:<14} live in the region")
    for row in rows:
        print(f"{row.name:<28} {row.digest[:12]:<14} {_standing(row, places)}")
    names = {row.id: row.name for row in rows}
    for step in steps:
        where = step.place or "region"
        why = f" ({step.reason})" if step.reason else ""
        print(f"{step.at:%Y-%m-%d %H:%M} {step.by} {step.verb.value} {names[step.model_id]} {where}{why}")


@group.command()
def register(
    path: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="Folder of the package.")],
) -> None:
    """Take a package in: copied whole, and refused where its golden studies do not reproduce."""
    # not at the top: it loads the engines, which no other of these commands needs
    from service.model_packages import take_in

    settings = open_settings()
    engine = open_database(settings)
    taken = take_in(path, settings.data, threads=os.cpu_count())
    made = model_arrivals.register_taken(engine, OPERATOR, settings.data, asdict(taken))
    print(f"{made.name} {made.digest[:12]}: golden studies within {made.golden_off_by:.4f} ({made.engine})")


@group.command()
def shadow(name: Name, hospital: Hospitals = None, reason: Reason = "") -> None:
    """Let a model read beside the live one; nobody is told what it says."""
    with session_scope(open_database(open_settings())) as session:
        found = placements.shadow_model(session, OPERATOR, name, hospital or (), reason=reason)
    print(f"{found.name} is shadow {_where(hospital)}")


@group.command()
def evaluation(
    report: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="report.json of training.evaluate.")
    ],
) -> None:
    """Keep what a package answered to studies of known truth, for the gates; it names the package itself."""
    found = evaluations.read_report(report.read_bytes())
    with session_scope(open_database(open_settings())) as session:
        made = evaluations.add_evaluation(session, OPERATOR, found)
    print(f"{made.model_name} {made.digest[:12]}: {made.studies} studies, truth {made.truth[:12]}")


@group.command()
def gates(
    name: Name,
    hospital: Hospitals = None,
    thai: Annotated[bool, typer.Option("--thai", help="In Thai.")] = False,
) -> None:
    """Say what the gates say of a model; exit status 1 where one refuses."""
    settings = open_settings()
    with session_scope(open_database(settings), write=False) as session:
        found = promotions.gates_of(session, OPERATOR, name, hospital or (), standard=shipped(settings.model))
    for place, gate in found:
        where = f"{place} " if place else ""
        print(f"{'open  ' if gate.holds else 'CLOSED'} {where}{gate.said.th if thai else gate.said.en}")
    raise typer.Exit(0 if all(gate.holds for _, gate in found) else 1)


@group.command()
def promote(
    name: Name,
    hospital: Hospitals = None,
    reason: Reason = "",
    override: Annotated[bool, typer.Option(help="In spite of the gates; needs a reason.")] = False,
) -> None:
    """Let a model read the studies, from the next one on, if the gates are open; workers need no restart."""
    settings = open_settings()
    with session_scope(open_database(settings)) as session:
        found = promotions.promote(
            session,
            OPERATOR,
            name,
            hospital or (),
            standard=shipped(settings.model),
            reason=reason,
            override=override,
        )
    print(f"{found.name} is live {_where(hospital)}")


@group.command()
def rollback(hospital: Hospitals = None, reason: Reason = "") -> None:
    """Take the live model off; the one before it reads again, from the next study on."""
    settings = open_settings()
    with session_scope(open_database(settings)) as session:
        done = placements.roll_back(session, OPERATOR, hospital or (), reason=reason)
    for place, model, before in done:
        reads = before.name if before else ("the region's model" if place else settings.model.name)
        print(f"{model.name} is retired {_where([place] if place else None)}; {reads} reads again")


@group.command()
def retire(name: Name, hospital: Hospitals = None, reason: Reason = "") -> None:
    """Have a candidate or a shadow read no more."""
    with session_scope(open_database(open_settings())) as session:
        found = placements.retire_model(session, OPERATOR, name, hospital or (), reason=reason)
    print(f"{found.name} is retired {_where(hospital)}")


@group.command("drift")
def show_drift(
    hospital: Annotated[str | None, typer.Option(help="Code of one hospital.")] = None,
) -> None:
    """Say what drifted in the last weeks, hospital by hospital; exit status 1 on any alarm."""
    with session_scope(open_database(open_settings()), write=False) as session:
        found = drift.drift(session, OPERATOR, now(), hcode=hospital)
        commands = retraining(session).commands
    for each in found:
        print(f"{each.hcode}: {each.reference} studies in the {drift.REFERENCE} weeks before")
        for week in each.weeks:
            said = [f"{week.begins} {week.studies:>5} studies"]
            said += [f"PSI {week.psi:.2f}"] if week.psi is not None else ["too few to say"]
            said += [f"flags {week.flags.share:.1%}"] if week.flags else []
            said += [f"scanners {week.scanners.psi:.2f}"] if week.scanners else []
            said += [f"kernels {week.kernels.psi:.2f}"] if week.kernels else []
            said += [f"distance {week.away.median:.2f}"] if week.away else []
            said += [f"agreement {week.agreement.share:.1%}"] if week.agreement else []
            said += [f"ALARM {alarm.value}" for alarm in week.alarms]
            print("  " + ", ".join(said))
    if not any(each.alarms for each in found):
        return
    print("\nNothing retrains by itself. Where the model is at fault (docs/models.md):")
    for line in commands:
        print(f"  {line}")
    raise typer.Exit(1)


def _where(hospitals: Sequence[str] | None) -> str:
    return f"at {' '.join(hospitals)}" if hospitals else "in the region"


def _standing(model: Model, places: Sequence[Placement]) -> str:
    own = [each for each in places if each.model_id == model.id]
    said = [f"{each.state.value} {_where([each.place] if each.place else None)}" for each in own]
    return ", ".join(said) or "candidate"


def _plain(model: Model, places: Sequence[Placement]) -> dict[str, Any]:
    return {
        "name": model.name,
        "digest": model.digest,
        "assessed": model.assessed,
        "places": [
            {"hospital": each.place or None, "state": each.state.value, "since": each.since.isoformat()}
            for each in places
            if each.model_id == model.id
        ],
    }
