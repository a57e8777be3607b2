"""Retraining: which commands make the next model of what was labelled. The hub runs none of them by itself.

A model changes what people are told of patients, so a person decides that it is time, and on which data. What
drift calls for is often no new model: a scanner was set otherwise, or an old one left.
"""

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.orm import Session

from labeling.manifest import ROWS
from service.data_sets import SIMULATED, DataSet, data_sets


@dataclass(frozen=True, slots=True)
class Retraining:
    """How the next model is made."""

    data_set: DataSet | None
    """The newest frozen data set of real studies; None where there is none yet."""
    commands: tuple[str, ...]
    """In the order in which they are run, on the machine that trains."""


def retraining(session: Session) -> Retraining:
    """The commands, with the newest data set in them."""
    newest = next((each for each in data_sets(session) if not each.about.get(SIMULATED)), None)
    rows = f"{Path(newest.folder) / ROWS}" if newest else f"DATASET/{ROWS}"
    return Retraining(
        newest,
        (
            f"python -m training.importers frozen {rows} CASES",
            "python -m training.train RECIPE.toml",
            f"python -m training.evaluate PACKAGE {rows} --out FOLDER",
            "hub models register PACKAGE",
            "hub models evaluation FOLDER/report.json",
            "hub models shadow NAME",
            "hub models promote NAME",
        ),
    )
