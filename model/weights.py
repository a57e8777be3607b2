"""A model package: a folder with graph, weights, calibration, golden studies and card, sealed by sha256.

configs/metadata.json       MONAI bundle's keys; name, shape of the network, stroke types, what it trained on
configs/train.json          the recipe as it was run
models/weights.safetensors  the weights, once: kernels and matrices in fp16, the rest in fp32
models/model.onnx           hu (1, S, H, W) and z (1, S, 2) to study, slice, attention, mask, embedding;
                            points into weights.safetensors
models/model.pt2            the same as a torch.export program; derived, so it need not be there
calibration.json            temperature and thresholds by stroke type, with the numbers of studies behind them
ood.npz                     mean and precision of the embedding, and the largest usual distance
golden/                     simulated studies and what the network says of them
eval/report.json            figures, simulated and real apart
model_card.md, LICENSE
MANIFEST.sha256             one line per file; the digest of the package is the sha256 of this file

Derived files are named in the metadata with the command that makes them; they are not sealed, and the hub
reads none of them.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from model.calibration import TypeCalibration
from model.stroke import StrokeType

if TYPE_CHECKING:
    from model.network import StrokeNet

FloatArray = npt.NDArray[np.float32]
MANIFEST = "MANIFEST.sha256"
METADATA = Path("configs", "metadata.json")
MODELS = Path("models")
RESEARCH_ONLY = "Research use only. Not a medical device. No warranty of any kind.\n"
SHIPPED = Path(__file__).parent / "artefacts" / "stroke-ct-0.4.0"
"""The package that comes with the hub."""


class BadArtefact(ValueError):
    """A model package is incomplete, was changed, or does not say what it said when it was made."""


@dataclass(frozen=True, slots=True)
class Usual:
    """What embeddings of known studies look like."""

    mean: npt.NDArray[np.float64]
    precision: npt.NDArray[np.float64]
    limit: float
    """99th percentile of the distance of held-out studies."""

    def distance(self, embedding: npt.NDArray[np.floating[Any]]) -> float:
        """Mahalanobis distance."""
        away = np.asarray(embedding, np.float64) - self.mean
        return float(np.sqrt(np.maximum(away @ self.precision @ away, 0.0)))


@dataclass(frozen=True, slots=True)
class GoldenStudy:
    """A simulated study in the network's own input, with the study logits it must give."""

    name: str
    hu: FloatArray
    z: FloatArray
    logits: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Artefact:
    """A checked model package."""

    path: Path
    name: str
    digest: str
    metadata: Mapping[str, Any]
    side: int
    grid_mm: float
    calibrations: Mapping[StrokeType, TypeCalibration]
    usual: Usual

    @property
    def onnx(self) -> Path:
        """The graph."""
        return graph_of(self.path)

    @property
    def assessed(self) -> tuple[StrokeType, ...]:
        """What the package answers for."""
        return tuple(kind for kind in StrokeType if self.calibrations[kind].assessed)

    def golden(self) -> list[GoldenStudy]:
        """The golden studies, read from disk."""
        expected = json.loads((self.path / "golden" / "expected.json").read_text(encoding="utf-8"))
        studies = []
        for name, logits in sorted(expected.items()):
            with np.load(self.path / "golden" / f"{name}.npz", allow_pickle=False) as arrays:
                hu, z = arrays["hu"].astype(np.float32), arrays["z"].astype(np.float32)
            studies.append(GoldenStudy(name, hu, z, tuple(logits)))
        return studies


def graph_of(path: Path) -> Path:
    """The graph of a package."""
    return path / MODELS / "model.onnx"


def read_metadata(path: Path) -> dict[str, Any]:
    """What a package says of itself, unchecked."""
    metadata: dict[str, Any] = json.loads((path / METADATA).read_text(encoding="utf-8"))
    return metadata


def load_artefact(path: Path) -> Artefact:
    """Check and read a model package.

    Raises:
        BadArtefact: a file is missing, unlisted, or its sha256 differs; the text names file and hashes.
    """
    _verify(path)
    metadata = read_metadata(path)
    if metadata["stroke_types"] != list(StrokeType):
        raise BadArtefact(f"{path.name} speaks of {metadata['stroke_types']}, this hub of {list(StrokeType)}")
    rows = json.loads((path / "calibration.json").read_text(encoding="utf-8"))
    with np.load(path / "ood.npz", allow_pickle=False) as arrays:
        mean, precision = (arrays[name].astype(np.float64) for name in ("mean", "precision"))
        usual = Usual(mean, precision, float(arrays["limit"]))
    return Artefact(
        path=path,
        name=metadata["name"],
        digest=digest(path),
        metadata=metadata,
        side=metadata["network"]["side"],
        grid_mm=metadata["network"]["grid_mm"],
        calibrations={kind: TypeCalibration(**rows[kind]) for kind in StrokeType},
        usual=usual,
    )


def digest(path: Path) -> str:
    """The sha256 that names a package: that of its manifest."""
    return _sha256(path / MANIFEST)


def seal(path: Path) -> str:
    """Write the manifest over all files of a package, and return its digest."""
    names = {file.relative_to(path).as_posix() for file in _files(path)}
    sealed = sorted(names - set(read_metadata(path).get("derived", {})))
    lines = [f"{_sha256(path / name)}  {name}" for name in sealed]
    (path / MANIFEST).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return digest(path)


def save_parts(
    path: Path,
    *,
    metadata: Mapping[str, Any],
    calibrations: Mapping[StrokeType, TypeCalibration],
    usual: Usual,
    report: Mapping[str, Any],
    card: str,
    licence: str = "",
) -> None:
    """Write everything of a package that is not the network itself."""
    (path / "eval").mkdir(parents=True, exist_ok=True)
    (path / METADATA).parent.mkdir(exist_ok=True)
    _write_json(path / METADATA, metadata)
    _write_json(path / "calibration.json", {str(kind): asdict(row) for kind, row in calibrations.items()})
    _write_json(path / "eval" / "report.json", report)
    mean, precision = usual.mean.astype(np.float32), usual.precision.astype(np.float32)
    np.savez_compressed(path / "ood.npz", mean=mean, precision=precision, limit=np.float64(usual.limit))
    (path / "model_card.md").write_text(card, encoding="utf-8")
    (path / "LICENSE").write_text(licence or RESEARCH_ONLY, encoding="utf-8")


def save_golden(path: Path, studies: list[GoldenStudy]) -> None:
    """Write golden studies; HU are kept as int16."""
    folder = path / "golden"
    folder.mkdir(parents=True, exist_ok=True)
    for study in studies:
        np.savez_compressed(folder / f"{study.name}.npz", hu=study.hu.astype(np.int16), z=study.z)
    _write_json(folder / "expected.json", {study.name: list(study.logits) for study in studies})


def save_network(path: Path, net: "StrokeNet") -> None:
    """Write weights and graph of a package; the network is rounded to fp16 in place."""
    from model.export import save_network as save

    save(path / MODELS, net)


def load_network(path: Path) -> "StrokeNet":
    """The network of a package in torch, ready to read studies."""
    from model.export import read_weights
    from model.network import NetworkShape

    return read_weights(path / MODELS / "weights.safetensors", NetworkShape(**read_metadata(path)["network"]))


def _verify(path: Path) -> None:
    if not (path / MANIFEST).is_file():
        raise BadArtefact(f"{path} holds no {MANIFEST}")
    listed: dict[str, str] = {}
    for line in (path / MANIFEST).read_text(encoding="utf-8").splitlines():
        expected, _, name = line.partition("  ")
        listed[name] = expected
    for name, expected in listed.items():
        if not (path / name).is_file():
            raise BadArtefact(f"{path.name}/{name} is listed with sha256 {expected} but missing")
        found = _sha256(path / name)
        if found != expected:
            raise BadArtefact(f"{path.name}/{name} has sha256 {found}, the manifest says {expected}")
    derived = set(read_metadata(path).get("derived", {})) if (path / METADATA).is_file() else set()
    extra = {file.relative_to(path).as_posix() for file in _files(path)} - set(listed) - derived
    if extra:
        raise BadArtefact(f"{path.name} holds files that its manifest does not list: {sorted(extra)}")


def _files(path: Path) -> list[Path]:
    return sorted(file for file in path.rglob("*") if file.is_file() and file.name != MANIFEST)


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _write_json(file: Path, value: object) -> None:
    file.write_text(json.dumps(value, indent=1, sort_keys=True) + "\n", encoding="utf-8")
