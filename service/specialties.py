"""Specialty: whose advice is asked for, and who on a roster gives it."""

from enum import StrEnum


class Specialty(StrEnum):
    """A field of medicine that answers for stroke."""

    NEUROLOGY = "neurology"
    NEUROSURGERY = "neurosurgery"
    RADIOLOGY = "radiology"
    EMERGENCY = "emergency"
