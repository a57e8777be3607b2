"""OHIF, the viewer: fetched once from npm, checked, fitted to /viewer, and configured for this hub alone."""

import base64
import gzip
import hashlib
import json
import re
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from service.errors import BadRequest, Unavailable

PACKAGE = "@ohif/app"
VERSION = "3.13.2"
INTEGRITY = "WZdxmpmG7rqFgW9ZJLcbgr3XCtLi1KDNPoMaeY5PPe6j4G4fjEjjkycZM6C6Zk2F87BKxFfpq+jd5xXZB9E8EA=="
"""SHA-512 of the package: what is served to a hospital's browsers is what was tried here."""
PREFIX = "/viewer"
SECONDS = 600
INSIDE = "package/dist/"
LEFT_OUT = re.compile(r"(ort/.*|.*\.map|app-config\.js|init-service-worker\.js|sw\.js|_headers|_redirects)")
"""Models for the browser, source maps, the configuration of a demo, offline caching of images."""
PACKED = frozenset({".js", ".css", ".wasm", ".html", ".json", ".svg"})

WINDOWS = (("Brain", 80, 40), ("Subdural", 200, 80), ("Stroke", 40, 40), ("Bone", 2800, 600))
"""Name, width, level in HU; on the keys 1 to 4 in this order."""
NOTICE = (
    "งานวิจัย ไม่ใช่เพื่อการวินิจฉัย ผลจาก AI ต้องให้รังสีแพทย์ยืนยัน · "
    "Research use only, not for diagnosis: a radiologist confirms what the AI marks"
)
BLIND_NOTICE = (
    "อ่านเพื่อการวิจัย ภาพไม่ระบุตัวตน ไม่ใช่เพื่อการวินิจฉัย · "
    "Read for research: the images name nobody and are not for diagnosis"
)


def install_viewer(folder: Path, *, package: Path | None = None) -> int:
    """Put the viewer into `folder`, in the place of one that may be there; what is served changes at the end.

    Args:
        folder: where it is served from.
        package: its npm package as a file, where this machine has no npm or no network.

    Returns:
        How many files it has.

    Raises:
        Unavailable: npm is not there, or could not fetch it.
        BadRequest: the package is not the one that was tried with this hub.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".viewer-") as scratch:
        packed = package or fetch_package(Path(scratch))
        _check(packed)
        fresh = Path(scratch) / "dist"
        count = _unpack(packed, fresh)
        if folder.exists():
            folder.rename(Path(scratch) / "before")
        fresh.rename(folder)
    return count


def fetch_package(scratch: Path) -> Path:
    """Fetch the package with npm into a folder, unchecked.

    Raises:
        Unavailable: npm is not there, or could not fetch it.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise Unavailable(
            f"npm is not on this machine; install Node.js, or fetch {PACKAGE}@{VERSION} elsewhere"
            " (`npm pack`) and give the file with --package"
        )
    command = [npm, "pack", f"{PACKAGE}@{VERSION}", "--silent", "--pack-destination", str(scratch)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise Unavailable(f"npm did not fetch {PACKAGE}@{VERSION} within {SECONDS} s") from None
    found = list(scratch.glob("*.tgz"))
    if done.returncode or not found:
        raise Unavailable(f"npm could not fetch {PACKAGE}@{VERSION}: {done.stderr.strip()[-300:]}")
    return found[0]


def _check(package: Path) -> None:
    try:
        with package.open("rb") as file:
            found = base64.b64encode(hashlib.file_digest(file, "sha512").digest()).decode()
    except OSError as error:
        raise BadRequest(f"the package cannot be read: {error}") from None
    if found != INTEGRITY:
        raise BadRequest(
            f"{package.name} is not {PACKAGE}@{VERSION}: its SHA-512 is {found}, not {INTEGRITY}"
        )


def _unpack(package: Path, folder: Path) -> int:
    count = 0
    with tarfile.open(package) as archive:
        for member in archive:
            name = member.name.removeprefix(INSIDE)
            if not member.isfile() or name == member.name or LEFT_OUT.fullmatch(name):
                continue
            source = archive.extractfile(member)
            assert source is not None
            path = folder / name
            if not path.resolve().is_relative_to(folder.resolve()):
                raise BadRequest(f"the package would write outside its folder: {name}")
            path.parent.mkdir(parents=True, exist_ok=True)
            content = _fitted(path, source.read())
            path.write_bytes(content)
            if path.suffix in PACKED:
                # the main bundle is 5 MB for a slow line instead of 20
                path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(content, 6, mtime=0))
            count += 1
    return count


def _fitted(path: Path, content: bytes) -> bytes:
    """The build expects to lie at the root of its server; make it lie under `PREFIX`."""
    if path.suffix == ".js":
        return content.replace(
            b'__webpack_require__.p = "/"', f'__webpack_require__.p = "{PREFIX}/"'.encode()
        )
    if path.suffix == ".css":
        return content.replace(b"url(/", f"url({PREFIX}/".encode())
    if path.name == "manifest.json":
        return content.replace(b'"/assets/', f'"{PREFIX}/assets/'.encode())
    if path.name != "index.html":
        return content
    text = content.decode("utf-8")
    text = re.sub(r"<script[^>]*init-service-worker\.js[^>]*></script>", "", text)
    text = re.sub(r'((?:href|src|content)=")/(?!/)', rf"\1{PREFIX}/", text)
    return text.replace('window.PUBLIC_URL="/"', f'window.PUBLIC_URL="{PREFIX}/"').encode("utf-8")


def reading_index(index: str, prefix: str) -> str:
    """The viewer's page with the configuration that lies under `prefix`."""
    return index.replace(f'"{PREFIX}/app-config.js"', f'"{prefix}/app-config.js"')


def viewer_config(dicomweb: str, *, prefix: str = PREFIX, blind: bool = False) -> str:
    """The script that configures the viewer: one source, this hub; no tour, no demo server.

    Args:
        dicomweb: the path of the hub's DICOMweb, such as /dicomweb.
        prefix: where its pages lie.
        blind: for who reads a case: that one study and no list of any.
    """
    source = {
        "friendlyName": "Imaging Hub",
        "name": "hub",
        "qidoRoot": dicomweb,
        "wadoRoot": dicomweb,
        "wadoUriRoot": dicomweb,
        "qidoSupportsIncludeField": True,
        "imageRendering": "wadors",
        "thumbnailRendering": "wadors",
        "enableStudyLazyLoad": True,
        "supportsFuzzyMatching": False,
        "supportsWildcard": True,
        "omitQuotationForMultipartRequest": True,
        "bulkDataURI": {"enabled": not blind},
    }
    presets = [
        {"id": f"ct-{name.lower()}", "description": name, "window": str(width), "level": str(level)}
        for name, width, level in WINDOWS
    ]
    fitted = {"cornerstone.windowLevelPresets": {"$set": {"CT": presets}}, "ohif.tours": {"$set": []}}
    if blind:  # beside the form there is room for the picture alone
        fitted |= {"leftPanels": {"$set": []}, "rightPanels": {"$set": []}}
    config = {
        "name": "imaging-hub",
        "routerBasename": prefix,
        "extensions": [],
        "modes": [],
        "showStudyList": not blind,
        "showPatientInfo": "disabled" if blind else "visibleCollapsed",
        "maxNumberOfWebWorkers": 3,
        "showLoadingIndicator": True,
        "showWarningMessageForCrossOrigin": True,
        "showCPUFallbackMessage": True,
        "strictZSpacingForVolumeViewport": True,
        "investigationalUseDialog": {"option": "never"},
        "disableConfirmationPrompts": True,
        "maxNumRequests": {"interaction": 100, "thumbnail": 5, "prefetch": 25},
        "customizationService": [fitted],
        "defaultDataSourceName": "hub",
        "dataSources": [
            {
                "namespace": "@ohif/extension-default.dataSourcesModule.dicomweb",
                "sourceName": "hub",
                "configuration": source,
            }
        ],
    }
    style = (
        "position:fixed;bottom:0;left:0;right:0;z-index:9999;pointer-events:none;padding:2px 8px;"
        "font:12px sans-serif;text-align:center;color:#fff;background:#7a1f1fcc"
    )
    return (
        f"window.config = {json.dumps(config, ensure_ascii=False)};\n"
        "document.addEventListener('DOMContentLoaded', function () {\n"
        "  var strip = document.createElement('div');\n"
        "  strip.setAttribute('role', 'note');\n"
        f"  strip.style.cssText = {json.dumps(style)};\n"
        f"  strip.textContent = {json.dumps(BLIND_NOTICE if blind else NOTICE, ensure_ascii=False)};\n"
        "  document.body.appendChild(strip);\n"
        "});\n"
    )
