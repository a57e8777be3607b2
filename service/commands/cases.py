"""`hub cases`: the study of 1,000 cases: its roster, who reads what, how far it is, agreement, data sets."""

import sys
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from labeling.assignment import Design, Reader
from labeling.export import labels_csv, zipped
from labeling.flow import flow_svg, flow_text
from labeling.manifest import read_data_set
from labeling.roster import BadRoster, flaws, read_roster
from labeling.splits import Shares
from service import assignments, cases, next_cases
from service.accounts import OPERATOR
from service.case_keys import open_research_key
from service.commands.opening import open_database, open_settings
from service.data_sets import find_data_set, freeze_cases
from service.db import session_scope
from service.errors import BadRequest
from service.reader_agreement import figures, pairs, questions
from service.storage import open_storage

group = typer.Typer(help="The study of 1,000 cases.", no_args_is_help=True)
TOLD_EVERY = 50
"""Cases between two lines of how far a freeze is."""


class Form(StrEnum):
    """How a data set is written."""

    FOLDERS = "folders"
    DICOM = "dicom"
    CSV = "csv"


Hospitals = Annotated[list[str] | None, typer.Option("--hold-out", help="Hospital code, held out whole.")]
Months = Annotated[int, typer.Option(help="The last so many months are held out.", min=0)]


def add_to(app: typer.Typer) -> None:
    """Add the group of commands."""
    app.add_typer(group, name="cases")


@group.command()
def roster(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="reader,hcode,case_from,case_to")],
    thai: Annotated[bool, typer.Option("--thai", help="In Thai.")] = False,
    give_out: Annotated[
        bool, typer.Option("--give-out", help="Give out the eligible cases so, flaws and all.")
    ] = False,
    adjudicator: Annotated[list[str] | None, typer.Option(help="Who decides where readers differ.")] = None,
) -> None:
    """Say what is wrong with a roster of ranges of case numbers; exit status 1 when anything is.

    With --give-out its readers, who have accounts of these names, get the eligible cases of their ranges.
    """
    try:
        spans = read_roster(file)
    except BadRoster as error:
        raise BadRequest(str(error)) from None
    found = flaws(spans)
    print(f"{len(spans)} ranges, {len({span.reader for span in spans})} readers, {len(found)} flaws")
    for flaw in found:
        print(f"- {flaw.th if thai else flaw.en}")
    if not give_out:
        raise typer.Exit(1 if found else 0)
    with session_scope(open_database(open_settings())) as session:
        shares = assignments.shares_of(assignments.last_round(session))
        made = assignments.assign_roster(session, OPERATOR, spans, shares, adjudicators=adjudicator or ())
        rows = assignments.progress(session)
    print(f"round {made.id}")
    for row in rows:
        print(f"{row.reader:<20} {row.total - row.done:>5} to read")


@group.command()
def assign(
    readers: Annotated[list[str], typer.Argument(help="USERNAME, or USERNAME=0.5 for half a load.")],
    adjudicator: Annotated[list[str] | None, typer.Option(help="Who decides where readers differ.")] = None,
    common: Annotated[int, typer.Option(help="Cases that all read.", min=0)] = 20,
    test_reads: Annotated[int, typer.Option(help="Readers of every test case.", min=1)] = 3,
    double_share: Annotated[
        float, typer.Option(help="Share of the others that two read.", min=0, max=1)
    ] = 0.1,
    rereads: Annotated[int, typer.Option(help="Own cases that each reads again.", min=0)] = 2,
    seed: Annotated[int, typer.Option(help="The same seed gives the same plan.")] = 0,
    hold_out: Hospitals = None,
    months: Months = 0,
) -> None:
    """Give out every eligible case: balanced at random, with hidden overlap and blind re-reads."""
    design = Design(common, test_reads, double_share, rereads, seed=seed)
    with session_scope(open_database(open_settings())) as session:
        made = assignments.assign_cases(
            session,
            OPERATOR,
            [_reader(text) for text in readers],
            design,
            Shares(tuple(hold_out or ()), months),
            adjudicators=adjudicator or (),
        )
        rows = assignments.progress(session)
    print(f"round {made.id}")
    for row in rows:
        print(f"{row.reader:<20} {row.total - row.done:>5} to read")


@group.command()
def leave(
    reader: Annotated[str, typer.Argument(help="Who leaves.")],
    to: Annotated[list[str] | None, typer.Option(help="Who takes over; all others when left out.")] = None,
) -> None:
    """Pass on what a reader has not read yet."""
    with session_scope(open_database(open_settings())) as session:
        moved, dropped, unplaced = assignments.hand_over_reads(session, OPERATOR, reader, to=to)
    print(f"{moved} moved, {dropped} not needed, {unplaced} that nobody else can read")


@group.command()
def flow(
    svg: Annotated[Path | None, typer.Option(help="Also as a picture, into this file.")] = None,
    thai: Annotated[bool, typer.Option("--thai", help="In Thai.")] = False,
) -> None:
    """How many cases got how far."""
    language = "th" if thai else "en"
    with session_scope(open_database(open_settings()), write=False) as session:
        found = cases.flow_of(session, OPERATOR)
    print(flow_text(found, language))
    if svg is not None:
        svg.write_text(flow_svg(found, language), encoding="utf-8")


@group.command()
def agreement(
    question: Annotated[str, typer.Argument(help="One question: every pair of readers, and re-reads.")] = "",
) -> None:
    """How far the readers agree, with intervals and prevalence."""
    if question and question not in questions():
        raise BadRequest(f"{question!r} is not asked; {', '.join(questions())} are")
    with session_scope(open_database(open_settings()), write=False) as session:
        if not question:
            for asked, found in figures(session):
                shares = ", ".join(f"{word} {part:.1%}" for word, part in found.prevalence.items() if part)
                print(f"{asked:<18} {found}  {shares}")
            return
        for pair in pairs(session, question):
            who = pair.first if pair.first == pair.second else f"{pair.first} - {pair.second}"
            print(f"{who:<40} {pair.kappa}; {pair.ac1}")


@group.command("next")
def next_(
    limit: Annotated[int, typer.Option(help="At most so many.", min=1, max=200)] = 20,
    why: Annotated[next_cases.Why | None, typer.Option(help="Only those offered for this.")] = None,
    take: Annotated[bool, typer.Option(help="Make cases of them; the ML team screens each.")] = False,
) -> None:
    """List the studies that the model would learn most from, the most telling first."""
    settings = open_settings()
    engine = open_database(settings)
    with session_scope(engine, write=False) as session:
        found = next_cases.next_cases(session, OPERATOR, limit=limit, why=why)
    for each in found:
        score = f" {each.score:.2f}" if each.score is not None else ""
        print(f"{each.study.study_instance_uid} {each.study.hcode or '-'} {each.why.value}{score}")
    if take and found:
        key = open_research_key(settings)
        with session_scope(engine) as session:
            uids = [each.study.study_instance_uid for each in found]
            made = next_cases.take_next(session, OPERATOR, key, uids)
        print(f"{len(made)} cases, {made[0].id} to {made[-1].id}")


@group.command("take")
def take_(
    studies: Annotated[list[str], typer.Argument(help="Study Instance UID; one on offer, or any other.")],
) -> None:
    """Make cases of studies; the ML team screens each, as no hospital has answered for it."""
    settings = open_settings()
    key = open_research_key(settings)
    with session_scope(open_database(settings)) as session:
        made = next_cases.take_next(session, OPERATOR, key, studies)
        numbers = [case.id for case in made]
    for uid, number in zip(dict.fromkeys(studies), numbers, strict=True):
        print(f"{uid} is case {number}")


@group.command()
def freeze(
    name: Annotated[str, typer.Argument(help="Of the data set: lower-case letters, digits, hyphens.")],
    place: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="Folder that gets NAME-vN.")],
    licence: Annotated[str, typer.Option(help="Under which it may be used, in words.")],
    hold_out: Hospitals = None,
    months: Months = 0,
    simulated: Annotated[bool, typer.Option(help="The set says of itself that it is simulated.")] = False,
) -> None:
    """Freeze every settled case, de-identified, as the next version; parted as the last round unless said."""
    settings = open_settings()
    engine = open_database(settings)
    shares = Shares(tuple(hold_out or ()), months)
    if not hold_out and not months:
        with session_scope(engine, write=False) as session:
            shares = assignments.shares_of(assignments.last_round(session))
    storage = open_storage(settings.storage, settings.storage_folder)
    made = freeze_cases(
        engine,
        OPERATOR,
        storage,
        open_research_key(settings),
        place,
        name,
        shares,
        licence=licence,
        simulated=simulated,
        told=_tell_made,
    )
    print(f"{made.name} v{made.version}: {made.studies} studies in {made.folder}")
    print(f"digest {made.digest}")


@group.command()
def export(
    number: Annotated[int, typer.Argument(help="Of the data set.", min=1)],
    out: Annotated[Path, typer.Argument(help="labels.csv, or the zip to be written.", dir_okay=False)],
    form: Annotated[Form, typer.Option("--as", help="What to write.")] = Form.FOLDERS,
) -> None:
    """Write a frozen data set as a zip of its folders, or its labels as DICOM SR and SEG, or as CSV."""
    with session_scope(open_database(open_settings()), write=False) as session:
        found = find_data_set(session, number)
        folder, at = Path(found.folder), found.at
    text = labels_csv(read_data_set(folder).rows)
    if form is Form.CSV:
        out.write_text(text, encoding="utf-8", newline="")
    elif form is Form.FOLDERS:
        _write(out, zipped(folder, more=[("labels.csv", text.encode())]))
    else:
        from service.data_set_objects import write_objects  # highdicom is slow to import

        _write(out, zipped(write_objects(folder, at=at)))
    print(out)


def _tell_made(done: int, total: int) -> None:
    if done % TOLD_EVERY == 0 or done == total:
        print(f"{done} of {total} cases made anonymous", file=sys.stderr, flush=True)


def _write(out: Path, pieces: Iterable[bytes]) -> None:
    with out.open("wb") as file:
        file.writelines(pieces)


def _reader(text: str) -> Reader:
    name, _, share = text.partition("=")
    try:
        return Reader(name, float(share or 1))
    except ValueError:
        raise BadRequest(f"{text!r} is no reader; write USERNAME or USERNAME=0.5") from None
