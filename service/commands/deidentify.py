"""`hub deidentify`: copies of CT images that may leave care."""

from pathlib import Path
from typing import Annotated

import typer

from pacs_gateway.deidentify import deidentify as deidentify_files
from pacs_gateway.pseudonyms import BadKey, make_key, read_key


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(deidentify)


def deidentify(
    source: Annotated[Path, typer.Argument(exists=True, help="A DICOM file or a folder of them.")],
    out: Annotated[Path, typer.Argument(file_okay=False, help="Folder for the copies.")],
    key_file: Annotated[
        Path, typer.Option(help="The secret behind the pseudonyms; kept apart from SOURCE and OUT.")
    ],
    new_key: Annotated[bool, typer.Option("--new-key", help="Make the key file first.")] = False,
    hospital: Annotated[str, typer.Option(help="Hospital code whose HN the PatientID is.")] = "",
) -> None:
    """Copy CT images without the patient (PS3.15 annex E); exit status 1 when any was refused.

    With the same key a patient keeps one pseudonym and one shift of dates. Reports, captures, documents,
    localizers and anything derived or with text in its pixels is refused.
    """
    for folder, name in ((source, "SOURCE"), (out, "OUT")):
        if key_file.resolve().is_relative_to(folder.resolve()):
            raise BadKey(f"key file {key_file} lies in {name}; keep it apart from the data")
    key = make_key(key_file) if new_key else read_key(key_file)
    paths = [source] if source.is_file() else sorted(each for each in source.rglob("*") if each.is_file())
    report = deidentify_files(paths, out, key=key, hcode=hospital)
    print(f"written {len(report.written)}")
    for reason, count in sorted(report.refused.items()):
        print(f"refused {count}  {reason.value}: {reason.meaning}")
    raise typer.Exit(1 if report.refused else 0)
