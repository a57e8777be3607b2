"""`hub` commands in processes of their own that need not import everything anew.

A server imports the hub once and forks for each command: what a command does, prints and leaves behind, and
its exit status, are those of `python -m service`, without the seconds of its start. That start stays
under test where a test runs `python -m service`.
"""

import atexit
import gc
import json
import os
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).resolve().parent.parent


def run_hub(*words: str, environment: Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
    """Run a `hub` command as a shell would, with this environment and nothing on standard input."""
    with tempfile.TemporaryDirectory() as scratch:
        out, err = Path(scratch) / "out", Path(scratch) / "err"
        asked = {"words": words, "environment": dict(environment), "out": str(out), "err": str(err)}
        server = _server()
        assert server.stdin is not None
        assert server.stdout is not None
        server.stdin.write(json.dumps(asked) + "\n")
        server.stdin.flush()
        status = int(server.stdout.readline())
        return subprocess.CompletedProcess(["hub", *words], status, out.read_text(), err.read_text())


@cache
def _server() -> "subprocess.Popen[str]":
    environment = {key: value for key, value in os.environ.items() if not key.startswith("HUB_")}
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.shell"],
        env=environment, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    atexit.register(server.communicate)  # the end of its standard input ends it
    return server


def _serve() -> None:
    from sqlalchemy.orm import configure_mappers

    from service import __main__, tables  # noqa: F401
    from service.commands import accounts, audit, callers, deliver, peers, studies, tls  # noqa: F401

    configure_mappers()
    gc.freeze()  # a collection in a child would copy every page
    for line in sys.stdin:
        asked = json.loads(line)
        child = os.fork()
        if not child:
            _command(__main__.main, asked)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}\n")
        sys.stdout.flush()


def _command(main: Callable[[], None], asked: dict[str, Any]) -> NoReturn:
    """Become the command; ends as the interpreter does, but for the taking apart of every module."""
    os.environ.clear()
    os.environ.update(asked["environment"])
    for number, path in ((0, os.devnull), (1, asked["out"]), (2, asked["err"])):
        os.dup2(os.open(path, os.O_RDWR | os.O_CREAT), number)
    sys.argv = ["hub", *asked["words"]]
    status = 0
    try:
        main()
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        status = 1
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    _serve()
