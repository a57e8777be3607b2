"""Typesetting: a typst template and its files as a PDF; the hub's own here, an administrator's in a cage.

A template is a program. One that somebody typed is set by a process of its own with a limit on time, memory
and file size; it reads nothing outside its folder (typst's root) and reaches no server (a dead proxy).
"""

import os
import re
import resource
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import typst

MAIN: Final = "main.typ"
RESULT: Final = "main.pdf"
WALL_SECONDS: Final = 20.0
CPU_SECONDS: Final = 10
MEMORY_BYTES: Final = 2 << 30
FILE_BYTES: Final = 32 << 20
BROKEN: Final = 3
"""Exit status of the child for a template that does not compile."""
PACKAGE: Final = re.compile(r"@[A-Za-z][\w-]*/[\w-]+:\d")
FEW_THREADS: Final = {"RAYON_NUM_THREADS": "2", "MALLOC_ARENA_MAX": "2"}
"""Each thread takes address space, which the limit counts: 64 cores would leave nothing for the letter."""
NOWHERE: Final = "http://127.0.0.1:1"
PROXIES: Final = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")


class BrokenTemplate(Exception):
    """A template cannot be set; the text is typst's, or says which limit it met."""


def typeset(template: Path, folder: Path, fonts: Path, at: datetime) -> bytes:
    """Set a template with the files in `folder` as a PDF; the same at the same time gives the same bytes.

    Raises:
        BrokenTemplate: it does not compile.
    """
    (folder / MAIN).write_bytes(template.read_bytes())
    return _compile(folder, fonts, at.replace(microsecond=0))


def typeset_apart(source: str, folder: Path, fonts: Path, at: datetime) -> bytes:
    """The same with a template that somebody typed, in a process of its own.

    Raises:
        BrokenTemplate: it does not compile, asks for a package, or takes too long or too much.
    """
    if found := PACKAGE.search(source):
        raise BrokenTemplate(f"packages from the net are not taken: {found[0]}...")
    (folder / MAIN).write_text(source, encoding="utf-8")
    command = [sys.executable, "-m", __name__, str(folder), str(fonts), at.replace(microsecond=0).isoformat()]
    quiet = {name: value for name, value in os.environ.items() if name.lower() != "no_proxy"} | FEW_THREADS
    try:
        done = subprocess.run(
            command,
            env=quiet | dict.fromkeys(PROXIES, NOWHERE),
            capture_output=True,
            text=True,
            timeout=WALL_SECONDS,
            cwd=Path(__file__).parent.parent,
        )
    except subprocess.TimeoutExpired:
        raise BrokenTemplate(f"not set within {WALL_SECONDS:.0f} s") from None
    if done.returncode == BROKEN:
        raise BrokenTemplate(done.stderr.strip())
    if done.returncode != 0:
        limits = (
            f"{CPU_SECONDS} s of computing, {MEMORY_BYTES >> 30} GiB of memory, {FILE_BYTES >> 20} MiB of PDF"
        )
        raise BrokenTemplate(f"stopped at a limit ({limits})")
    return (folder / RESULT).read_bytes()


def _compile(folder: Path, fonts: Path, at: datetime) -> bytes:
    import typst  # 7 MB of an API that may never set a letter

    try:
        made = typst.compile(
            str(folder / MAIN),
            root=str(folder),
            font_paths=[str(fonts)],
            ignore_system_fonts=True,
            format="pdf",
            pdf_standards="a-2b",
            timestamp=at,
        )
    except typst.TypstError as error:
        raise BrokenTemplate(_told(error)) from error
    assert isinstance(made, bytes)
    return made


def _told(error: "typst.TypstError") -> str:
    """What is wrong, and in which line of the template."""
    place = re.search(rf"{MAIN}:(\d+)", error.diagnostic)
    return f"line {place[1]}: {error.message}" if place else error.message


def main(folder: str, fonts: str, at: str) -> int:
    """The child: set `folder`'s template within the limits."""
    for what, limit in (
        (resource.RLIMIT_CPU, CPU_SECONDS),
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_FSIZE, FILE_BYTES),
        (resource.RLIMIT_CORE, 0),
    ):
        ceiling = resource.getrlimit(what)[1]
        mine = limit if ceiling == resource.RLIM_INFINITY else min(limit, ceiling)
        resource.setrlimit(what, (mine, mine))
    try:
        made = _compile(Path(folder), Path(fonts), datetime.fromisoformat(at))
    except BrokenTemplate as error:
        sys.stderr.write(str(error))
        return BROKEN
    (Path(folder) / RESULT).write_bytes(made)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
