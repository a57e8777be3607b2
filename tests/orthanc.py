"""Orthanc as somebody else's PACS: started on free ports, killed, and started again on what it had stored."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.hub import free_port
from tests.pacs import await_condition


class Orthanc:
    """One Orthanc in a folder of its own.

    Args:
        folder: Its data, kept over restarts.
        settings: Added to its configuration.
    """

    def __init__(self, folder: Path, **settings: Any) -> None:
        if shutil.which("Orthanc") is None:
            pytest.skip("Orthanc is not on this machine")
        self.port, http = free_port(), free_port()
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        configuration = {
            "StorageDirectory": str(folder / "data"),
            "IndexDirectory": str(folder / "data"),
            "Plugins": [],
            "HttpPort": http,
            "DicomPort": self.port,
            "DicomAet": "ORTHANC",
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": False,
            "DicomCheckCalledAet": False,
        }
        (folder / "orthanc.json").write_text(json.dumps(configuration | settings))
        self.rest = httpx.Client(base_url=f"http://127.0.0.1:{http}", timeout=30)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        self._process = subprocess.Popen(
            ["Orthanc", str(self._folder / "orthanc.json")],
            env={**os.environ, "TCP_NODELAY": "1"}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

        def up() -> bool:
            try:
                return self.rest.get("/system").status_code == 200
            except httpx.TransportError:
                return False

        await_condition(up, "Orthanc answers")

    def kill(self) -> None:
        """End it as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def instances(self) -> set[str]:
        """SOP Instance UIDs of what it holds."""
        found = self.rest.get("/instances?expand").json()
        return {each["MainDicomTags"]["SOPInstanceUID"] for each in found}

    def close(self) -> None:
        """End it for good."""
        self.kill()
        self.rest.close()
