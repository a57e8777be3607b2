"""What the file system under an inbox promises."""

import os
from pathlib import Path

NAMES_FOLLOW = frozenset({"ext4", "xfs", "btrfs", "f2fs"})
FILLED_IN_PLACE = frozenset({"ext4", "xfs"})


def file_system_of(root: Path) -> str:
    """Kind of the file system that holds a folder, as the kernel names it; empty where it does not tell."""
    try:
        mounts = [line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    except OSError:
        return ""
    kinds = {fields[4]: fields[fields.index("-") + 1] for fields in mounts}
    place = root.resolve()
    mount = next((str(folder) for folder in (place, *place.parents) if str(folder) in kinds), "")
    return kinds.get(mount, "")


def names_follow_files(root: Path) -> bool:
    """Whether fsync of a file that was just linked makes the new name durable too.

    These file systems log the name and the inode together; elsewhere the folder needs a sync of its own,
    which on a busy disk costs as much again.
    """
    return file_system_of(root) in NAMES_FOLLOW


def is_filled_in_place(root: Path) -> bool:
    """Whether new bytes go where the old ones lay, and names become durable in the order they were made.

    Only there a file written beforehand can be filled and synced without a commit of the journal, and its
    working name is still there after a power cut that came before its final one was durable.
    """
    return file_system_of(root) in FILLED_IN_PLACE


def sync_folder(path: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
