"""What the job layer costs: put in line, drain, come back after a kill, and sit idle.

`python -m benchmarks.jobs [--json] [--url postgresql://...]`; a SQLite file in a temporary folder by default.
"""

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from service.jobs import JobClient, JobState, Lane

JOBS = 300
IDLE_SECONDS = 10.0


def do_nothing(_argument: object) -> None:
    pass


def wait_for_gate(argument: str) -> None:
    while not Path(argument).exists():
        time.sleep(0.01)


def work(url: str, slot: str) -> None:
    """The worker process of this benchmark, with the settings of `hub work`."""
    from service.steps import Step
    from service.workers import Worker

    worker = Worker(url, slot=slot)
    worker.register("nothing", [Step(do_nothing)], on_failure=print)
    worker.register("gate", [Step(wait_for_gate)], on_failure=print)
    worker.launch()
    worker.run()


def start(url: str, slot: str = "bench") -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "benchmarks.jobs", "--work", slot, "--url", url])


def until(condition: Callable[[], object]) -> float:
    """Seconds until the condition holds."""
    begun = time.perf_counter()
    while not condition():
        if time.perf_counter() - begun > 120:
            raise TimeoutError("the job layer did not get there in 120 s")
        time.sleep(0.01)
    return time.perf_counter() - begun


def is_done(client: JobClient, key: str) -> bool:
    status = client.status(key)
    return status is not None and status.state is JobState.DONE


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text("utf-8").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def measure(url: str, folder: Path) -> dict[str, float]:
    client, rows = JobClient(url), {}
    worker = start(url)
    try:
        client.enqueue("nothing", "warm", None)
        rows["start of a worker to its first job done, s"] = until(lambda: is_done(client, "warm"))
        rows["resident memory at rest, MB"] = resident_mb(worker.pid)
        before = cpu_seconds(worker.pid)
        time.sleep(IDLE_SECONDS)
        rows["idle processor use, % of a core"] = 100 * (cpu_seconds(worker.pid) - before) / IDLE_SECONDS

        begun = time.perf_counter()
        client.enqueue("nothing", "single", None)
        until(lambda: is_done(client, "single"))
        rows["one job in line to done, s"] = time.perf_counter() - begun

        os.kill(worker.pid, signal.SIGSTOP)
        begun = time.perf_counter()
        for number in range(JOBS):
            client.enqueue("nothing", f"drain:{number}", None, lane=Lane.DELIVERY)
        rows["put in line, jobs/s"] = JOBS / (time.perf_counter() - begun)
        begun = time.perf_counter()
        client.depth()
        rows["depth of all lanes, ms"] = 1000 * (time.perf_counter() - begun)
        os.kill(worker.pid, signal.SIGCONT)
        waited = until(lambda: client.depth()[Lane.DELIVERY].waiting == 0)
        rows["drained on 4 slots, jobs/s"] = JOBS / waited

        client.enqueue("gate", "gate", str(folder / "gate"))
        until(lambda: client.depth()[Lane.LIVE].running == 1)
        worker.kill()
        worker.wait()
        (folder / "gate").touch()
        begun = time.perf_counter()
        worker = start(url)
        until(lambda: is_done(client, "gate"))
        rows["killed job done again after restart, s"] = time.perf_counter() - begun

        client.enqueue("gate", "gate:2", str(folder / "gate2"))
        until(lambda: client.depth()[Lane.LIVE].running == 1)
        second = start(url, "bench-2")
        until(lambda: len(client.workers()) == 2)
        worker.kill()
        (folder / "gate2").touch()
        begun = time.perf_counter()
        until(lambda: is_done(client, "gate:2"))
        rows["killed job done by another worker, s"] = time.perf_counter() - begun
        second.terminate()
        second.wait(timeout=60)
    finally:
        worker.kill()
        worker.wait()
        client.close()
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--url")
    parser.add_argument("--work", metavar="SLOT", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.work:
        work(asked.url, asked.work)
        return
    with tempfile.TemporaryDirectory() as name:
        url = asked.url or f"sqlite:///{name}/jobs.sqlite"
        rows = measure(url, Path(name))
    report(rows, url.partition(":")[0], as_json=asked.json)


def report(rows: dict[str, float], engine: str, *, as_json: bool) -> None:
    limits = {"idle processor use, % of a core": 5, "killed job done by another worker, s": 20}
    bars: list[dict[str, Any]] = [
        {"what": what, "value": rows[what], "goal": f"under {limit}", "holds": rows[what] < limit}
        for what, limit in limits.items()
    ]
    machine = f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {engine}"
    if as_json:
        table = [{"what": what, "value": value} for what, value in rows.items()]
        print(json.dumps({"name": "jobs", "machine": machine, "rows": table, "bars": bars}))
        return
    print(f"jobs on {machine}")
    for what, value in rows.items():
        print(f"  {what:<46}{value:>10.2f}")
    for bar in bars:
        verdict = "holds" if bar["holds"] else "FAILS"
        print(f"  {verdict}: {bar['what']} {bar['value']:.2f}, goal {bar['goal']}")


if __name__ == "__main__":
    main()
