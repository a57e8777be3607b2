"""The region's whole labelling campaign, simulated against a real hub, from the upload to the model.

    python -m benchmarks.campaign [--json] [--n 1000] [--seed 8] [--folder F] [--quick] [--until STAGE]

88 hospitals upload simulated studies of known truth and answer for them, some against what their own images
say; the ML team screens, 37 readers of differing skill label (three of them on the pages, in Chromium), the
hub's figures must recover that skill; what readers differ in is adjudicated, all is frozen, and a network is
trained on it, measured on the parts that were held out, registered, run in shadow, promoted and rolled back,
while a worse one is refused. Everything goes through `hub serve` on loopback.

A run that was killed goes on from its folder and does nothing twice. No figure is a performance of a model.
"""

import argparse
import csv
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import service
from benchmarks import campaign_loop as loop
from benchmarks import campaign_models as models
from benchmarks import campaign_pages as pages
from benchmarks import campaign_portal as portal
from benchmarks import campaign_screening as screening
from benchmarks import campaign_sets as sets
from benchmarks.campaign_bars import bars, rows
from benchmarks.campaign_hub import JUDGES, TEAM, Hub
from benchmarks.campaign_journal import Figures, Journal
from benchmarks.campaign_readers import SimulatedReader, adjudicate, draw_readers, read_all
from benchmarks.campaign_truth import Plan, Truth, draw_plans, read_truths
from benchmarks.table import report
from pacs_gateway.pseudonyms import read_key

READERS = 37
ON_PAGES = 3
CASES_ON_PAGES = 3
Stage = Callable[[Callable[[str], None]], Figures]


@dataclass(slots=True)
class Campaign:
    """One run, and what it knows."""

    folder: Path
    journal: Journal
    hub: Hub
    plans: list[Plan]
    readers: list[SimulatedReader]
    seed: int
    quick: bool
    roster: Path | None
    workers: int
    given: Path | None
    """A package to begin with."""
    truths: Mapping[int, Truth]

    @property
    def studies(self) -> Path:
        """Where the simulated studies are."""
        return self.folder / "studies"

    @property
    def data_set(self) -> Path:
        """The frozen set."""
        return self.folder / "sets" / f"{sets.NAME}-v1"

    def stages(self) -> dict[str, Stage]:
        """Every stage, in order."""
        return {
            "simulate": self.simulate,
            "first model": self.first_model,
            "enrol": self.enrol,
            "upload": lambda told: portal.bring(self.hub, sorted(self.studies.glob("*.zip")), told),
            "answer": lambda told: portal.offer(self.hub, self.plans, self.truths, told),
            "analyse": lambda told: portal.wait_for_analysis(self.hub, self.plans),
            "screen": lambda told: screening.screen(
                self.hub, self.cases(), self.folder / "doubts.jsonl", told
            ),
            "patients": lambda told: screening.decide_patients(self.hub, self.cases(), told),
            "roster": self.import_roster,
            "assign": lambda told: sets.assign(
                self.hub, self.cases(), [r.name for r in self.readers], self.seed
            ),
            "pages": self.read_on_pages,
            "read": lambda told: {
                **read_all(self.hub, self.readers, self.slices(), told),
                **sets.all_read(self.hub),
            },
            "agreement": self.measure_skill,
            "adjudicate": lambda told: adjudicate(self.hub, self.slices(), told),
            "freeze": lambda told: sets.freeze(self.hub),
            "guard": lambda told: sets.guard(self.hub, self.cases()),
            "import": lambda told: models.import_set(self.folder, self.data_set),
            "train": lambda told: models.train_on_set(self.folder, quick=self.quick),
            "evaluate": lambda told: self.evaluate(models.TRAINED),
            "evaluate first": lambda told: self.evaluate(models.FIRST),
            "train worse": lambda told: models.train_worse(self.folder),
            "evaluate worse": lambda told: self.evaluate(models.WORSE),
            "register": lambda told: loop.register(self.hub, told),
            "shadow": lambda told: loop.shadow(self.hub, told),
            "refuse": lambda told: loop.refuse(self.hub, told, live=models.FIRST, number=loop.REFUSED),
            "promote": lambda told: loop.promote(self.hub, told),
            "refuse again": lambda told: loop.refuse(
                self.hub, told, live=models.TRAINED, number=loop.REFUSED_AGAIN
            ),
            "roll back": lambda told: loop.roll_back(self.hub, told),
        }

    def run(self, until: str | None, without: Collection[str] = ()) -> None:
        """Run what is not over."""
        stages = self.stages()
        wanted = list(stages)[: list(stages).index(until) + 1] if until else list(stages)
        try:
            for name in wanted:
                if name in without or self.journal.figures(name) is not None:
                    continue
                if name not in ("simulate", "first model") and not self.truths:
                    self.truths = read_truths(self.studies)
                    self.hub.start()
                self.journal.note(name, "begin")
                print(f"{name} ...", file=sys.stderr, flush=True)
                figures = stages[name](lambda what, name=name: self.journal.note(name, "step", what=what))  # type: ignore[misc]
                self.journal.note(name, "end", figures=figures, load=_load())
        finally:
            self.hub.close()
            self.hub.stop()

    def simulate(self, _: Callable[[str], None]) -> Figures:
        """Simulate the studies."""
        from benchmarks.campaign_studies import (
            write_all,  # a second of imports that a later run has no use for
        )

        made = write_all(self.plans, self.studies, workers=self.workers)
        return {
            "hospitals": len(made),
            "megabytes": round(sum(path.stat().st_size for path in made) / 1e6, 1),
        }

    def first_model(self, _: Callable[[str], None]) -> Figures:
        """The model that the hub begins with."""
        if self.given is not None:
            return {"package": self.given.name}
        return models.train_first(self.folder, quick=self.quick)

    def enrol(self, _: Callable[[str], None]) -> Figures:
        """Accounts of hospitals, readers, adjudicators and the ML team."""
        self.hub.enrol(TEAM, "ml")
        for hcode in sorted({plan.hcode for plan in self.plans}):
            self.hub.enrol(portal.technician(hcode), "technician", hcode)
        for name in (*(each.name for each in self.readers), *JUDGES):
            self.hub.enrol(name, "radiologist", password=name in self.on_pages())
        return {"hospitals": len({plan.hcode for plan in self.plans}), "readers": len(self.readers)}

    def on_pages(self) -> list[str]:
        """The readers who begin on the pages: the best, one in the middle, the worst."""
        order = sorted(self.readers, key=lambda each: each.miss)
        return [order[place].name for place in sorted({0, len(order) // 2, len(order) - 1})][:ON_PAGES]

    def cases(self) -> screening.Cases:
        """Plans by the hub's numbers."""
        return screening.cases_of(self.hub, self.plans, self.truths)

    def slices(self) -> dict[str, Truth]:
        """What is true of a study, by the pseudonym of any of its slices, which is all that a reader sees."""
        key = read_key(self.hub.data / "research.key")
        return {key.uid(uid): truth for truth in self.truths.values() for uid in truth.sop_uids}

    def import_roster(self, _: Callable[[str], None]) -> Figures:
        """Have the hub judge the roster."""
        hospitals = sorted({plan.hcode for plan in self.plans})
        names = [(each.name, hospitals[place % len(hospitals)]) for place, each in enumerate(self.readers)]
        return sets.import_roster(self.hub, self.roster, names, len(self.plans))

    def read_on_pages(self, told: Callable[[str], None]) -> Figures:
        """The first cases of three readers, in a browser."""
        chosen = [each for each in self.readers if each.name in self.on_pages()]
        count = CASES_ON_PAGES if len(self.plans) > 100 else 1
        return pages.read_on_pages(self.hub, chosen, self.slices(), count, told)

    def evaluate(self, name: str) -> Figures:
        """Figures on the held-out parts, told as what they are: of simulated heads."""
        return models.evaluate(self.folder, self.data_set, name, "phantom")

    def measure_skill(self, _: Callable[[str], None]) -> Figures:
        """Agreement as the hub measures it, against the skill that was seeded."""
        from benchmarks.campaign_skill import agreement, confusion, recovered  # likewise

        measured = agreement(self.hub, self.readers)
        by_reader = measured.pop("by reader")
        rank = recovered(by_reader, self.readers, self.truths)
        return {**measured, "rank correlation": rank, **confusion(self.hub, self.readers)}


def main() -> None:
    """Run it and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--n", type=int, default=1000, help="cases")
    parser.add_argument("--seed", type=int, default=8)
    parser.add_argument("--readers", type=int, default=READERS)
    parser.add_argument("--folder", type=Path, help="kept, and gone on with; a temporary one when left out")
    parser.add_argument("--roster", type=Path, help="reader,hcode,case_from,case_to as published")
    parser.add_argument(
        "--model", type=Path, help="package to begin with; trained on simulated heads when left out"
    )
    parser.add_argument("--quick", action="store_true", help="fewer steps of training")
    parser.add_argument("--workers", type=int, default=1, help="processes that simulate")
    parser.add_argument("--until", help="the last stage")
    parser.add_argument("--without", action="append", default=[], help="a stage to leave out")
    parser.add_argument(
        "--kill-at", default="", help="STAGE:begin, STAGE:end or STAGE:STEP: kill -9 itself there"
    )
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="campaign-"))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        campaign = make(options, folder)
        campaign.run(options.until, set(options.without))
        names = list(campaign.stages())
        report(
            "campaign", rows(campaign.journal, names), bars(campaign.journal, options.n), as_json=options.json
        )
    finally:
        if options.folder is None:
            shutil.rmtree(folder)


def make(options: argparse.Namespace, folder: Path) -> Campaign:
    """The campaign of some options."""
    journal = Journal(folder / "journal.jsonl", dies_at=options.kill_at)
    asked = {"n": options.n, "seed": options.seed, "readers": options.readers}
    begun = next((row for row in journal.rows if row["stage"] == "campaign"), None)
    if begun is None:
        journal.note("campaign", "asked", **asked)
    elif {name: begun[name] for name in asked} != asked:
        raise SystemExit(f"{folder} holds a campaign of {begun}; go on with the same, or take another folder")
    readers = draw_readers([f"reader-{number:02d}" for number in range(1, options.readers + 1)], options.seed)
    model = options.model or models.package(folder, models.FIRST)
    return Campaign(
        folder,
        journal,
        Hub(folder, model),
        draw_plans(options.n, options.seed, _hcodes(options.n)),
        readers,
        options.seed,
        options.quick,
        options.roster,
        options.workers,
        options.model,
        {},
    )


def _hcodes(count: int) -> list[str]:
    """The region's hospitals; fewer where there are so few cases that each would have but one or two."""
    region = Path(service.__file__).parent / "data" / "hospitals.csv"
    with region.open(encoding="utf-8", newline="") as file:
        found = sorted(row["hcode"] for row in csv.DictReader(file))
    return found[: max(2, count // 4)]


def _load() -> float:
    return round(os.getloadavg()[0], 1)


if __name__ == "__main__":
    main()
