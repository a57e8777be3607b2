"""After a crash: close what the dead left open, index what they made durable, drop what never was."""

import logging
import mmap
from pathlib import Path
from sqlite3 import Connection

from pacs_gateway import records
from pacs_gateway.arrivals import Ending
from pacs_gateway.headers import scan_header
from pacs_gateway.incoming import origin_of
from pacs_gateway.index import Index
from pacs_gateway.part10 import read_meta
from pacs_gateway.seal import is_whole
from pacs_gateway.spool import Spool

log = logging.getLogger(__name__)


def bury_the_dead(spool: Spool, index: Index, now: float) -> bool:
    """Close the associations of processes that have ended; whether there were any. Inside `recovering`."""
    dead = spool.dead_owners()
    for owner in dead:
        closed = index.write(lambda db, owner=owner: records.close_associations_of(db, owner, now))  # type: ignore[misc]
        log.warning(
            "a process of this inbox has ended", extra={"owner": owner, "associations_closed": closed}
        )
    return bool(dead)


def index_strays(spool: Spool, index: Index) -> None:
    """Index durable files without a row; drop what is not what its name says. Inside `recovering`."""
    for path in spool.unindexed(index.read(records.indexed)):
        if is_whole(path):
            _index_stray(path, spool, index)
        else:
            path.unlink()
            log.warning("a file that never became durable was removed", extra={"sha256": path.name})


def _index_stray(path: Path, spool: Spool, index: Index) -> None:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        meta = read_meta(data)
        header = scan_header(data, meta.transfer_syntax_uid, start=meta.data_set_offset)
    stat, sender = path.stat(), origin_of(meta)

    def record(db: Connection) -> records.Recorded | None:
        # its own process may have indexed it since the folder was compared with the index
        if records.is_indexed(db, path.name):
            return None
        number = records.open_association(db, spool.owner, sender, stat.st_mtime)
        records.close_association(db, number, Ending.KILLED, stat.st_mtime)
        return records.record_instance(db, number, header, path.name, stat.st_size, stat.st_mtime)

    recorded = index.write(record)
    if recorded is None:
        return
    log.warning("a durable file was indexed again", extra={"sha256": path.name})
    if recorded.discarded:
        path.unlink(missing_ok=True)
