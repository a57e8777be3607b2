"""Every module that has tables, imported so that `Base.metadata` is whole for the migrations."""

from service import (
    accounts,
    audit,
    callers,
    circuits,
    deliveries,
    descriptions,
    disagreements,
    findings,
    flags,
    hospital_modes,
    hospitals,
    metrics,
    peers,
    reports,
    result_objects,
    reviews,
    series,
    studies,
)

TABLE_MODULES = (
    accounts,
    audit,
    callers,
    circuits,
    deliveries,
    descriptions,
    disagreements,
    findings,
    flags,
    hospital_modes,
    hospitals,
    metrics,
    peers,
    reports,
    result_objects,
    reviews,
    series,
    studies,
)
"""In alphabetical order; a module with tables that is not here fails the test of the migrations."""
