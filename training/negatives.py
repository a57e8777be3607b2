"""Make training positives of the hub's own negatives: `python -m training.negatives MANIFEST OUT --each 2`

MANIFEST is manifest.jsonl of a frozen data set. Heads that readers found free of blood and of acute
ischaemia get lesions put in (`training.insert`), and each a twin with the same paste and no blood, so that
pasting is no cue. OUT holds training cases for a recipe's `cases`, marked as made (source inserted, decoy).

Only heads of the part that is trained on are used, and what is made of one keeps its patient, hospital and
part: the splits of a recipe never put it elsewhere than its patient.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from model.network import NetworkShape
from model.stroke import StrokeType
from model.volume import UnreadableStudy
from training.cases import Case, save_case
from training.ground import survey
from training.importers.frozen import frozen_studies
from training.importers.studies import KnownOf, import_study
from training.insert import insert_case, twin_case

FREE_OF = (StrokeType.ANY_ICH, StrokeType.ACUTE_ISCHAEMIA)
"""What readers must have said is absent; what nobody said is no negative."""
TRAINED_ON = ("train", "")
"""Parts of a frozen data set whose heads may be used; a head without a part is the recipe's to place."""
MADE = "made.jsonl"
"""No card: cards of cases end in .json."""


@dataclass(slots=True)
class Told:
    """What became of the studies of a data set."""

    negatives: int = 0
    positives: int = 0
    twins: int = 0
    held_out: int = 0
    """Negatives that are kept for tests or calibration."""
    not_negative: int = 0
    refused: int = 0
    """That the hub would refuse, or without a slice with a closed skull."""


def negatives(manifest: Path, shape: NetworkShape, told: Told) -> Iterator[Case]:
    """The usable negatives of a frozen data set as cases on the network's grid."""
    for paths, known in frozen_studies(manifest):
        if not is_negative(known):
            told.not_negative += 1
        elif known.part not in TRAINED_ON:
            told.held_out += 1
        else:
            try:
                yield import_study(paths, known, shape)
            except UnreadableStudy:
                told.refused += 1


def is_negative(known: KnownOf) -> bool:
    """Whether readers said that there is no blood and no acute ischaemia."""
    return all(known.labels.get(str(kind)) == 0 for kind in FREE_OF)


def make_positives(
    manifest: Path, out: Path, *, each: int, seed: int, shape: NetworkShape, twins: bool = True
) -> Told:
    """Write `each` positives, and as many twins, of every usable negative; the same seed makes the same.

    Raises:
        BadLabels: a row of the manifest cannot be used. BadDataSet: a file is not what was frozen.
    """
    told = Told()
    out.mkdir(parents=True, exist_ok=True)
    for number, head in enumerate(negatives(manifest, shape, told)):
        ground = survey(head, grid_mm=shape.grid_mm)
        if ground is None:
            told.refused += 1
            continue
        told.negatives += 1
        for at in range(each):
            drawn = (seed * 100_003 + number) * 101 + at
            made = insert_case(head, ground, seed=drawn, grid_mm=shape.grid_mm)
            if made is None:
                continue
            save_case(_of(made, head), out)
            told.positives += 1
            if twins:
                save_case(_of(twin_case(head, ground, seed=drawn, grid_mm=shape.grid_mm), head), out)
                told.twins += 1
    return told


def _of(made: Case, head: Case) -> Case:
    """What was made of a head, where the head is: its patient, hospital and part."""
    card = replace(
        made.card,
        patient=head.card.patient,
        hospital=head.card.hospital,
        month=head.card.month,
        part=head.card.part,
    )
    return replace(made, card=card)


def main(arguments: Sequence[str] | None = None) -> int:
    """Make them; exit status 1 where nothing could be made, 2 where the data set cannot be used."""
    parser = argparse.ArgumentParser(prog="python -m training.negatives", description=__doc__.splitlines()[0])
    parser.add_argument("manifest", type=Path, help="manifest.jsonl of a frozen data set")
    parser.add_argument("out", type=Path, help="folder of cases, for a recipe's `cases`")
    parser.add_argument("--each", type=int, default=2, help="positives of every negative")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--side", type=int, default=256, help="pixels of the grid; as in the recipe")
    parser.add_argument("--grid-mm", type=float, default=0.9, help="likewise")
    parser.add_argument("--no-twins", action="store_true", help="without pasted negatives beside them")
    options = parser.parse_args(arguments)
    try:
        told = make_positives(
            options.manifest,
            options.out,
            each=options.each,
            seed=options.seed,
            shape=NetworkShape(side=options.side, grid_mm=options.grid_mm),
            twins=not options.no_twins,
        )
    except (OSError, ValueError) as error:
        print(f"cannot be used: {error}", file=sys.stderr)
        return 2
    rows = {name: getattr(told, name) for name in Told.__slots__}
    (options.out / MADE).write_text(
        json.dumps({"manifest": options.manifest.name, "seed": options.seed, **rows}) + "\n", encoding="utf-8"
    )
    print(
        f"{told.positives} positives and {told.twins} twins of {told.negatives} negatives; "
        f"{told.held_out} held out, {told.not_negative} not negative, {told.refused} refused"
    )
    return 0 if told.positives else 1


if __name__ == "__main__":
    sys.exit(main())
