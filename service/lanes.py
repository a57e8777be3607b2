"""The lines that jobs wait in, the queue behind each, and how many of a queue run at once."""

from collections.abc import Mapping
from enum import IntEnum, StrEnum
from typing import Final


class Lane(StrEnum):
    """The line a job waits in."""

    LIVE = "live"
    """Studies of patients who are in a scanner or an emergency room now."""
    BATCH = "batch"
    """Retrospective uploads: the same slots as `LIVE`, and only when no live job waits."""
    DELIVERY = "delivery"
    """Waits on other people's machines (an alert), so it must not hold an analysis slot."""
    OUTBOUND = "outbound"
    """Sends to a PACS: every destination has a line of its own, so one that is dead delays no other."""
    MINISTRY = "ministry"
    """Tells the ministry's MOPH Refer of referrals: a line for each hospital, and nobody's patient waits."""
    CALLING = "calling"
    """Calls those who subscribe: a line for each, apart from alerts and PACS, as any may be slow."""
    TRAINING = "training"
    """Takes hours; best served by a worker of its own."""


class Priority(IntEnum):
    """Order within a lane."""

    STAT = 1
    ROUTINE = 2
    RETROSPECTIVE = 3
    RETRAINING = 4


# Two lanes on one queue: the engine takes the lowest number first, so batch work never goes before live work.
QUEUES: Final[Mapping[Lane, str]] = {
    Lane.LIVE: "analysis",
    Lane.BATCH: "analysis",
    Lane.DELIVERY: "delivery",
    Lane.OUTBOUND: "outbound",
    Lane.MINISTRY: "ministry",
    Lane.CALLING: "calling",
    Lane.TRAINING: "training",
}
# Jobs at once in one worker process. The engine keeps this in the database: one figure for all workers.
SLOTS: Final[Mapping[str, int]] = {
    "analysis": 1,
    "delivery": 4,
    "outbound": 16,
    "ministry": 2,
    "calling": 8,
    "training": 1,
}
# Queues split by a key, such as the destination: within one key, one job at a time over all workers.
PARTITIONED: Final = frozenset({"outbound", "ministry", "calling"})
