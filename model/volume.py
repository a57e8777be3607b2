"""Stack the CT series of a study that shows the head into Hounsfield units, or say why that cannot be done.

Nothing else reads DICOM pixels: training, detection and tests all come through `load_head_ct`.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.geometry import (
    MISSING_FRACTION,
    Stack,
    affine_lps,
    geometry_notes,
    missing_slices,
    sort_stack,
    tilt_degrees,
    upright,
)
from model.header_notes import header_notes
from model.headers import SliceHeader, Triple, read_headers
from model.part10 import BadPart10
from model.pixels import THREADS, DecodedSlice, decode_slices
from model.quality import check_pixels
from model.series import FEWEST_IMAGES, SeriesChoice, rank_series
from model.stroke import Note, Refusal

ADULT_YEARS = 18
SERIES_TRIED = 3
"""When the pixels speak against the series chosen by its header, so many are tried in all."""
ENOUGH_OF_IT = 0.9
"""A quieter series must cover this part of what the noisy one covers."""

REPAIR_TEXTS = {
    "sign_repaired": "Signed pixels were declared unsigned",
    "twelve_bit_repaired": "Air had wrapped round in unsigned 12-bit pixels",
}


class UnreadableStudy(ValueError):
    """A study that is not assessed; the text names every value seen and the limit it broke."""

    def __init__(self, refusals: Iterable[Refusal], notes: Iterable[Note], text: str) -> None:
        super().__init__(text)
        self.refusals = tuple(dict.fromkeys(refusals))
        self.notes = tuple(notes)


@dataclass(frozen=True, slots=True)
class Volume:
    """One head CT in HU, slices as the scanner made them, slice 0 most inferior."""

    hu: NDArray[np.int16]
    """Shape (slices, rows, columns), HU in [-1024, 3071]."""
    spacing_mm: tuple[float, float, float]
    """Slice (the usual distance along the normal), row, column."""
    affine: NDArray[np.float64]
    """4 x 4, (slice, row, column, 1) to LPS mm; sheared when the gantry was tilted."""
    sop_instance_uids: tuple[str, ...]
    positions_mm: NDArray[np.float64]
    """Where each slice lies along the normal."""
    tilt_deg: float
    series_instance_uid: str
    study_instance_uid: str
    age_years: float | None
    notes: tuple[Note, ...]
    runner_up: str | None = None
    """The series that would have been read next; `#2` marks a second stack within one."""
    origins: tuple[Triple, ...] = ()
    """ImagePositionPatient of each slice."""
    frames: tuple[int, ...] = ()
    """Number of each slice in its multi-frame file, from 1; none where every slice is a file."""
    frame_count: int = 1
    """Frames of that file, also those that were not read."""


@dataclass(frozen=True, slots=True)
class _Finding:
    """One reason not to assess, in words."""

    refusal: Refusal
    text: str


def load_head_ct(paths: Sequence[Path]) -> Volume:
    """Choose the plain head series among the files of a study and stack it.

    Args:
        paths: All files of one study in any order, whatever else lies among them.

    Returns:
        The volume, with notes on everything unusual that did not forbid reading it.

    Raises:
        UnreadableStudy: with all the refusals that apply.

    DICOM PS3.3 C.7.6.2 (image plane), C.7.6.3 (pixels), C.11.1 (modality LUT).
    """
    headers, notes = _read_all(paths)
    if not headers:
        raise UnreadableStudy([Refusal.NO_IMAGES], notes, f"None of {len(paths)} files is a DICOM image.")
    first: Volume | UnreadableStudy | None = None
    for choice in rank_series(headers)[:SERIES_TRIED]:
        outcome = _try_series(choice, headers, notes)
        if first is None or _better(outcome, first):
            first = outcome
        if isinstance(first, Volume) and not _is_noisy(first):
            break
    if isinstance(first, Volume):
        return first
    assert first is not None
    raise first


def _try_series(
    choice: SeriesChoice, headers: Sequence[SliceHeader], notes: Sequence[Note]
) -> Volume | UnreadableStudy:
    try:
        return _load_series(choice, headers, notes)
    except UnreadableStudy as refused:
        return refused


def _better(outcome: Volume | UnreadableStudy, first: Volume | UnreadableStudy) -> bool:
    """A volume against a refusal; a quiet one against a noisy one, as sharp kernels of unknown name are."""
    if isinstance(outcome, UnreadableStudy) or isinstance(first, UnreadableStudy):
        return isinstance(first, UnreadableStudy) and isinstance(outcome, Volume)
    as_much = np.ptp(outcome.positions_mm) > ENOUGH_OF_IT * np.ptp(first.positions_mm)
    return bool(as_much and not _is_noisy(outcome))


def _is_noisy(volume: Volume) -> bool:
    return any(note.code == "noise" for note in volume.notes)


def _read_all(paths: Sequence[Path]) -> tuple[list[SliceHeader], list[Note]]:
    """Headers in an order of their own, each instance once, and notes on the files that gave none."""
    with ThreadPoolExecutor(THREADS) as pool:
        read = list(pool.map(_read_or_none, paths))
    unread = [path.name for path, found in zip(paths, read, strict=True) if found is None]
    headers = sorted((header for found in read for header in found or ()), key=_age_order)
    once = list({(header.sop_instance_uid, header.frame): header for header in headers}.values())
    notes: list[Note] = []
    if unread:
        notes.append(
            Note("unreadable_files", f"{len(unread)} files are not readable DICOM, first {unread[0]!r}.")
        )
    if len(once) < len(headers):
        text = f"{len(headers) - len(once)} of {len(headers)} files repeat an instance already there."
        notes.append(Note("duplicate_instances", text))
    return once, notes


def _read_or_none(path: Path) -> list[SliceHeader] | None:
    try:
        return read_headers(path)
    except (BadPart10, OSError):
        return None


def _age_order(header: SliceHeader) -> tuple[str, int, str, int, str]:
    """Oldest first, so that `keep the last` does not hang on the order of the files."""
    instance = header.instance_number if header.instance_number is not None else -1
    return header.acquired, instance, header.sop_instance_uid, header.frame, str(header.path)


def _load_series(choice: SeriesChoice, headers: Sequence[SliceHeader], study_notes: Sequence[Note]) -> Volume:
    age, age_notes, findings = _judge_age(choice.headers or headers)
    notes = [*study_notes, *age_notes, *_choice_notes(choice)]
    findings += _choice_findings(choice)
    if not choice.headers:
        raise _unreadable(findings, notes)
    whole = sort_stack(choice.headers)
    stack, hu, pixel_findings, pixel_notes = _decode(whole)
    findings += pixel_findings
    if stack is None:
        raise _unreadable(findings, [*notes, *pixel_notes])
    lost = len(whole.headers) - len(stack.headers)
    gap_findings, gap_notes = _judge_gaps(stack, lost)
    findings += gap_findings
    notes += [*pixel_notes, *geometry_notes(stack), *gap_notes, *header_notes(stack)]
    spacing = _spacing(stack)
    report = check_pixels(*upright(hu, stack, spacing), stack.positions_mm)
    findings += [_Finding(refusal, text) for refusal, text in report.refusals]
    notes += report.notes
    if findings:
        raise _unreadable(findings, notes)
    return Volume(
        hu=hu,
        spacing_mm=spacing,
        affine=affine_lps(stack),
        sop_instance_uids=tuple(header.sop_instance_uid for header in stack.headers),
        positions_mm=stack.positions_mm,
        tilt_deg=tilt_degrees(stack),
        series_instance_uid=stack.headers[0].series_instance_uid,
        study_instance_uid=stack.headers[0].study_instance_uid,
        age_years=age,
        notes=tuple(notes),
        runner_up=choice.runner_up,
        origins=stack.origins,
        frames=stack.frames,
        frame_count=stack.frame_count,
    )


def _unreadable(findings: Sequence[_Finding], notes: Sequence[Note]) -> UnreadableStudy:
    return UnreadableStudy(
        [finding.refusal for finding in findings], notes, " ".join(dict.fromkeys(f.text for f in findings))
    )


def _spacing(stack: Stack) -> tuple[float, float, float]:
    row, column = stack.headers[0].pixel_spacing or (0.0, 0.0)
    return stack.spacing_mm, row, column


def _choice_findings(choice: SeriesChoice) -> list[_Finding]:
    if choice.chosen is not None and not choice.refusals:
        return []
    said = " ".join(f"Series {uid}: {text}" for uid, text in choice.rejected.items())
    return [_Finding(refusal, said or choice.reason) for refusal in choice.refusals]


def _choice_notes(choice: SeriesChoice) -> list[Note]:
    if choice.refusals or (choice.runner_up is None and not choice.rejected):
        return []
    passed = "".join(f" Not read: {uid} ({text.rstrip('.')})." for uid, text in choice.rejected.items())
    return [Note("series_chosen", f"Read series {choice.chosen}: {choice.reason}{passed}")]


def _judge_age(headers: Sequence[SliceHeader]) -> tuple[float | None, list[Note], list[_Finding]]:
    stated = next((header.age_years for header in headers if header.age_years is not None), None)
    counted = next((header.birth_age_years for header in headers if header.birth_age_years is not None), None)
    age = stated if stated is not None else counted
    if age is None:
        return None, [Note("age_unknown", "Neither PatientAge nor PatientBirthDate gives an age.")], []
    if stated is not None and counted is not None and (stated < ADULT_YEARS) != (counted < ADULT_YEARS):
        text = (
            f"PatientAge says {stated:.0f} years, PatientBirthDate {counted:.0f}; the limit is {ADULT_YEARS}."
        )
        return age, [Note("age_conflict", text)], []
    if age < ADULT_YEARS:
        text = f"The patient is {age:.1f} years old, under {ADULT_YEARS}."
        return age, [], [_Finding(Refusal.UNDER_18, text)]
    return age, [], []


def _decode(whole: Stack) -> tuple[Stack | None, NDArray[np.int16], list[_Finding], list[Note]]:
    """Decode a stack; slices that fail are left out, and too many of them refuse the study."""
    decoded = decode_slices(whole.headers)
    good = [index for index, item in enumerate(decoded) if item.hu is not None]
    findings, notes = _judge_decoding(decoded, len(good))
    if len(good) < min(FEWEST_IMAGES, len(decoded)):
        return None, np.empty((0, 0, 0), np.int16), findings, notes
    stack = whole if len(good) == len(decoded) else sort_stack([whole.headers[index] for index in good])
    hu = np.stack([item.hu for item in decoded if item.hu is not None])
    return stack, hu, findings, notes


def _judge_decoding(decoded: Sequence[DecodedSlice], good: int) -> tuple[list[_Finding], list[Note]]:
    notes: list[Note] = []
    for code, count in Counter(repair for item in decoded for repair in item.repairs).items():
        notes.append(Note(code, f"{REPAIR_TEXTS[code]} in {count} of {len(decoded)} slices; mended."))
    failed = len(decoded) - good
    if not failed:
        return [], notes
    error = next(item.error for item in decoded if item.error)
    text = f"{failed} of {len(decoded)} slices do not decode, at most {MISSING_FRACTION:.0%} may: {error}."
    if failed > MISSING_FRACTION * len(decoded):
        return [_Finding(Refusal.UNDECODABLE, text)], notes
    return [], [*notes, Note("undecodable_slices", text)]


def _judge_gaps(stack: Stack, lost_in_decoding: int) -> tuple[list[_Finding], list[Note]]:
    missing = missing_slices(stack)
    if not missing:
        return [], []
    due = missing + len(stack.headers)
    text = (
        f"{missing} of {due} slices are missing (widest gap {stack.gaps_mm.max():.2f} mm, usual "
        f"{stack.spacing_mm:.2f} mm), at most {MISSING_FRACTION:.0%} may."
    )
    if missing > MISSING_FRACTION * due and missing > lost_in_decoding:
        return [_Finding(Refusal.MISSING_SLICES, text)], []
    return [], [Note("missing_slices", text)]
