"""Simulated head CT studies for the benchmarks."""

from pathlib import Path

from pydicom.uid import generate_uid

from model.phantom import simulate_head
from model.phantom_dicom import DIALECTS, draw_patient, write_series

DISTINCT = 4
"""Heads that are really simulated; the rest are the same under new UIDs, which costs the hub the same."""
SIMULATED_SIDE = 256
SIDE = 512


def simulated_studies(folder: Path, count: int, *, slices: int = 32) -> list[tuple[str, list[Path]]]:
    """Write studies of `slices` images of 512 x 512, every second one with a bleed.

    Returns:
        Study Instance UID and files of each.
    """
    heads = [
        simulate_head(seed, lesions=("iph",) if seed % 2 else (), side=SIMULATED_SIDE, slices=slices)
        for seed in range(min(DISTINCT, count))
    ]
    studies = []
    for number in range(count):
        uid = generate_uid(entropy_srcs=["benchmark", str(number)])
        paths = write_series(
            heads[number % len(heads)],
            folder / f"study-{number:04d}",
            dialect=DIALECTS[0],
            patient=draw_patient(number),
            study_uid=uid,
            side=SIDE,
        )
        studies.append((str(uid), paths))
    return studies
