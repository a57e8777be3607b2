"""A model package on its way into the hub: copied whole, safe on disk, and proven by its golden studies."""

import json
import shutil
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from model.detect import Detector
from model.stroke import StrokeType
from model.weights import BadArtefact, load_artefact
from service.durable import sync, sync_tree
from service.errors import BadRequest
from service.model_arrivals import REFUSED

MODELS = "models"
"""In HUB_DATA."""


@dataclass(frozen=True, slots=True)
class TakenIn:
    """A package that lies safe in the hub's data, as `models.register_model` writes it down."""

    name: str
    digest: str
    folder: str
    """In HUB_DATA."""
    assessed: tuple[StrokeType, ...]
    engine: str
    golden_off_by: float


def take_in(path: Path, data: Path, *, threads: int | None = None) -> TakenIn:
    """Copy a package into the hub's data and prove the copy; a package that is there is proven again.

    Args:
        path: Folder of the package.
        data: HUB_DATA.
        threads: Of the engine that proves it.

    Raises:
        BadRequest: files are missing, changed or too many, or no engine reproduces the golden studies;
        nothing of it stays.
    """
    try:
        artefact = load_artefact(path)
        folder = Path(MODELS) / f"{artefact.name}+{artefact.digest[:8]}"
        if folder.parent != Path(MODELS):
            raise BadArtefact(f"{artefact.name!r} is no name of a package: it must be one part of a path")
        if (data / folder).is_dir():
            return _proven(data / folder, folder, threads)
        return _copied(path, data, folder, threads)
    except (BadArtefact, OSError, KeyError, ValueError) as refusal:
        raise BadRequest(f"the package is refused: {refusal}") from refusal


def _proven(place: Path, folder: Path, threads: int | None) -> TakenIn:
    detector = Detector(place, threads=threads)
    artefact = detector.artefact
    return TakenIn(
        name=artefact.name,
        digest=artefact.digest,
        folder=folder.as_posix(),
        assessed=artefact.assessed,
        engine=detector.engine,
        golden_off_by=detector.golden_off_by,
    )


def _copied(path: Path, data: Path, folder: Path, threads: int | None) -> TakenIn:
    """All files, each on disk, and proven, before the folder has its name."""
    target = data / folder
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".arriving-") as scratch:
        copy = Path(scratch) / target.name
        shutil.copytree(path, copy)
        sync_tree(copy)
        taken = _proven(copy, folder, threads)
        copy.rename(target)
    sync(target.parent)
    sync(data)
    return taken


def main() -> int:
    """`python -m service.model_packages FOLDER DATA`: `take_in` for who must not load the engines itself."""
    try:
        taken = take_in(Path(sys.argv[1]), Path(sys.argv[2]))
    except BadRequest as refusal:
        sys.stderr.write(refusal.message)
        return REFUSED
    sys.stdout.write(json.dumps(asdict(taken)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
