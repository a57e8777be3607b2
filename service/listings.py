"""Lists that the listener reads as files, because it runs without the database: callers and peers."""

import json
import os
import tempfile
from pathlib import Path
from typing import Any


def write_listing(path: Path, content: dict[str, Any]) -> None:
    """Write a list durably; a reader sees the old one or the new one, never half."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, scratch = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(content, file, ensure_ascii=False, indent=1)
        file.flush()
        os.fsync(file.fileno())
    os.replace(scratch, path)
