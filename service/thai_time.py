"""Thailand's one time, UTC+7 all year, and its calendar."""

from datetime import timedelta, timezone
from typing import Final

THAILAND: Final = timezone(timedelta(hours=7), "ICT")
BUDDHIST_ERA: Final = 543
"""Years that the Thai calendar is ahead."""
