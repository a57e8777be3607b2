"""How the hub's processes log: one JSON object a line, the sentence and its ids, never a patient."""

import json
import logging
import sys
import warnings
from datetime import UTC, datetime

STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """A record as one line of JSON; what was passed as `extra` becomes fields of its own."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "said": record.getMessage(),
        }
        line |= {key: value for key, value in vars(record).items() if key not in STANDARD}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


def configure(level: str) -> None:
    """Send everything from `level` up to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for noisy in ("dbos", "alembic", "httpx", "uvicorn.access", "openjpeg"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    # pynetdicom warns of each odd UID twice; what goes wrong is in our own results and receipts
    logging.getLogger("pynetdicom").setLevel(logging.ERROR)
    # both speak of odd values by quoting them, and a value may be a patient's name
    for quoting in ("pydicom", "highdicom"):
        logging.getLogger(quoting).disabled = True
        logging.getLogger(quoting).setLevel(logging.CRITICAL + 1)  # what its children inherit
        warnings.filterwarnings("ignore", module=rf"{quoting}(\..*)?")
