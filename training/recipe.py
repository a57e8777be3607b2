"""What to train, from a TOML file; it is written next to the weights."""

import tomllib
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from model.network import NetworkShape
from model.stroke import StrokeType

SOURCES = ("sich", "clean", "painted", "decoy", "phantom", "template", "inserted", "infarct", "real")
"""Where cases come from; `training.cases.CaseCard` says what each is."""
DEVICES = ("auto", "cpu", "cuda")


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that decides the weights, besides the code."""

    name: str
    """Of the package, e.g. stroke-ct-0.4.0."""
    cache: Path
    """Folder that holds the prepared cases, made on first use."""
    out: Path
    """Folder for checkpoints, log and the recipe as run."""
    start: Path | None = None
    """Model package, or weights.safetensors of a run, to go on from; None starts from random weights."""
    history: str = ""
    """What the other fields do not tell of how the weights came about; it is printed on the card."""
    seed: int = 1
    """Of every random draw; equal seeds and equal thread counts give equal weights."""
    device: str = "auto"
    """cpu, cuda, or auto: cuda where torch finds one."""
    threads: int = 1
    """Torch threads."""
    workers: int = 1
    """Processes that prepare cases."""
    precision: str = "bf16"
    """bf16 (autocast of the encoder; fp32 all the same on a processor without bf16) or fp32."""
    network: NetworkShape = field(default_factory=NetworkShape)
    """Size of the network and its grid."""
    num_phantoms: int = 400
    """Simulated heads; each holds what its seed draws, from nothing to several findings."""
    sich: Path | None = None
    """Folder of the PHE-SICH-CT-IDS slices; None trains on phantoms alone."""
    num_painted: int = 4
    """Simulated bleeds of several kinds painted into each clean SICH head."""
    num_decoys: int = 3
    """Clean SICH heads with what looks like blood and is none, for each clean head."""
    num_twins: int = 2
    """Clean SICH heads with pastes as those of bleeds, but of brain or fluid, for each clean head."""
    num_ischaemic: int = 2
    """Clean SICH heads with simulated acute ischaemia, for each clean head."""
    templates: Path | None = None
    """Folder of the CT templates; heads are warped from them."""
    num_templates: int = 0
    """Heads made from the templates, with findings as the phantoms have."""
    infarct: Path | None = None
    """Folder of the AISD slices with acute infarcts; they teach slices, not studies."""
    cases: tuple[Path, ...] = ()
    """Folders of imported cases (`training.importers`)."""
    held_out_hospitals: tuple[str, ...] = ()
    """Hospitals kept for the external test: never trained on, calibrated on or looked at."""
    held_out_months: int = 0
    """Last months, by acquisition, kept for the temporal test."""
    folds: int = 5
    """Parts of the patients for out-of-fold predictions (`training.folds`)."""
    share: dict[str, float] = field(default_factory=lambda: {"phantom": 1.0})
    """Part of each batch by source, of SOURCES; sums to 1."""
    held_out: tuple[float, float] = (0.2, 0.2)
    """Parts of the patients kept for calibration and for the report; never trained on."""
    positive: float = 0.6
    """Part of the slices of a batch that show a lesion, drawn evenly over the kinds."""
    paired: float = 0.5
    """How often a slice brings its twin, the same one with or without the lesion, into its batch."""
    stage1_steps: int = 3000
    """Steps on 2-D slices with masks."""
    stage1_seconds: float = 0.0
    """Above 0: the number of steps is what fits, by the speed of the first ones, in place of stage1_steps."""
    stage1_batch: int = 32
    """Slices per step."""
    stage2_steps: int = 300
    """Steps on whole studies."""
    stage2_seconds: float = 0.0
    """Likewise, of stage 2."""
    stage2_batch: int = 4
    """Studies per step."""
    learning_rate: float = 2e-3
    """Highest, of stage 1; warm-up, then cosine."""
    stage2_learning_rate: float = 1e-3
    """Likewise, of stage 2."""
    encoder_rate: float = 0.0
    """Part of the learning rate that the encoder gets in stage 2; at 0 it rests, which is cheap on CPU."""
    warm_up: float = 0.05
    """Part of the steps in which the learning rate rises."""
    weight_decay: float = 0.05
    """AdamW's, of matrices and kernels."""
    clip_norm: float = 2.0
    """Longest gradient."""
    ema: float = 0.998
    """Decay of the running mean of weights, which is what is shipped."""
    mask_weight: float = 1.0
    """Of the mask loss beside the slice loss."""
    label_smoothing: float = 0.02
    """Labels become 0.01 and 0.99, say."""
    checkpoint_every: int = 250
    """Steps between checkpoints."""
    assessed: tuple[str, ...] = (StrokeType.ANY_ICH, StrokeType.IPH)
    """Stroke types that the package answers for; the others are shown as not assessed."""
    specificity: float = 0.95
    """Aimed at when the flag threshold is set on the calibration patients."""
    sensitivity: float = 0.99
    """Aimed at when the clear threshold is set; between the two thresholds a study is for review."""

    def __post_init__(self) -> None:
        if self.device not in DEVICES:
            raise ValueError(f"device {self.device!r} is not one of {', '.join(DEVICES)}")
        unknown = set(self.share) - set(SOURCES)
        if unknown:
            raise ValueError(f"share names {sorted(unknown)}, the sources are {list(SOURCES)}")
        if abs(sum(self.share.values()) - 1.0) > 1e-6:
            raise ValueError(f"share sums to {sum(self.share.values()):g}, not to 1")
        if self.sich is None and set(self.share) & {"sich", "clean", "painted", "decoy", "inserted"}:
            raise ValueError("share names SICH sources but sich, their folder, is not given")
        if self.infarct is None and "infarct" in self.share:
            raise ValueError("share names infarct but infarct, its folder, is not given")
        if self.templates is None and "template" in self.share:
            raise ValueError("share names template but templates, their folder, is not given")
        if not self.cases and "real" in self.share:
            raise ValueError("share names real but cases, folders of imported studies, are not given")
        if self.precision not in ("bf16", "fp32"):
            raise ValueError(f"precision {self.precision!r} is neither 'bf16' nor 'fp32'")
        if sum(self.held_out) >= 0.9:
            raise ValueError(f"held_out {self.held_out} leaves too few patients to train on")
        if not set(self.assessed) <= set(StrokeType):
            raise ValueError(f"assessed {self.assessed} names more than the stroke types {list(StrokeType)}")

    def to_json(self) -> dict[str, Any]:
        """The recipe as plain values for the log and the model card; folders by their last name only."""
        plain = asdict(self)
        for name, value in plain.items():
            if isinstance(value, Path):
                plain[name] = value.name
        plain["cases"] = [folder.name for folder in self.cases]
        return plain


def load_recipe(path: Path) -> Recipe:
    """Read a recipe; relative folders in it are relative to the file.

    Raises:
        ValueError: a field is unknown, or its value makes no sense; the text names it.
    """
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    known = {f.name for f in fields(Recipe)}
    unknown = set(table) - known
    if unknown:
        raise ValueError(f"{path.name} has the unknown fields {sorted(unknown)}")
    for name in ("cache", "out", "sich", "infarct", "templates", "start"):
        if name in table:
            table[name] = (path.parent / table[name]).resolve()
    if "cases" in table:
        table["cases"] = tuple((path.parent / folder).resolve() for folder in table["cases"])
    for name in ("held_out", "held_out_hospitals", "assessed"):
        if name in table:
            table[name] = tuple(table[name])
    if "network" in table:
        table["network"] = NetworkShape(**table["network"])
    return Recipe(**table)
