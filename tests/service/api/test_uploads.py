"""The tus protocol on a real socket: a line that is cut, a hub that goes down, and bytes that are wrong."""

import hashlib
import socket
import threading
from base64 import b64encode
from collections.abc import Iterator

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from sqlalchemy import Engine

from service.accounts import Role, add_account, issue_token
from service.db import session_scope
from service.settings import Settings
from service.upload_files import UploadFiles
from service.uploads import waiting_uploads
from tests.pacs import await_condition
from tests.service.factories import LOEI, UDON

PLACE = "/api/v1/uploads"
OCTETS = {"Content-Type": "application/offset+octet-stream", "Tus-Resumable": "1.0.0"}


def named(name: str) -> str:
    return f"filename {b64encode(name.encode()).decode()}"


@pytest.fixture
def address(app: FastAPI) -> Iterator[tuple[str, int]]:
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    yield listener.getsockname()[:2]
    server.should_exit = True
    thread.join()


@pytest.fixture
def client(address: tuple[str, int], engine: Engine) -> Iterator[httpx.Client]:
    with session_scope(engine) as session:
        token = issue_token(session, add_account(session, "tech", Role.TECHNICIAN, hcode=UDON))
    headers = {"Authorization": f"Bearer {token}"}
    with httpx.Client(base_url=f"http://{address[0]}:{address[1]}", headers=headers) as client:
        yield client


def begin(client: httpx.Client, size: int, name: str = "ผู้ป่วย.zip") -> str:
    answer = client.post(PLACE, headers={"Upload-Length": str(size), "Upload-Metadata": named(name)})
    assert (answer.status_code, answer.headers["tus-resumable"]) == (201, "1.0.0"), answer.text
    return str(answer.headers["location"])


def offset(client: httpx.Client, place: str) -> int:
    return int(client.head(place).headers["upload-offset"])


def send(client: httpx.Client, place: str, at: int, content: bytes, **more: str) -> httpx.Response:
    return client.patch(place, content=content, headers=OCTETS | {"Upload-Offset": str(at)} | more)


def test_the_protocol_is_told(client: httpx.Client) -> None:
    told = client.options(PLACE).headers
    assert told["tus-version"] == "1.0.0"
    assert set(told["tus-extension"].split(",")) >= {"creation", "checksum", "termination"}


def test_a_file_arrives_whole_though_the_line_is_cut_three_times(
    client: httpx.Client, address: tuple[str, int], engine: Engine, settings: Settings
) -> None:
    content = bytes(range(256)) * 16 * 1024  # 4 MB
    place = begin(client, len(content))
    here = 0
    for _ in range(3):
        request = (
            f"PATCH {place} HTTP/1.1\r\nHost: hub\r\nAuthorization: {client.headers['authorization']}\r\n"
            f"Content-Type: {OCTETS['Content-Type']}\r\nUpload-Offset: {here}\r\n"
            f"Content-Length: {len(content) - here}\r\n\r\n"
        )
        with socket.create_connection(address) as line:
            line.sendall(request.encode() + content[here : here + 1_000_000])
            # the hub has some of it before the line breaks
            await_condition(lambda at=here: offset(client, place) > at, "bytes arrive")  # type: ignore[misc]
        await_condition(lambda: _free(client, place), "the hub has let go")
        here = offset(client, place)
        assert 0 < here < len(content)
    assert send(client, place, here, content[here:]).status_code == 204
    assert offset(client, place) == len(content)
    [upload] = client.get(PLACE).json()
    assert (upload["name"], upload["size"], upload["state"]) == ("ผู้ป่วย.zip", len(content), "waiting")
    stored = UploadFiles(settings.data, reserve_bytes=0).path(upload["token"]).read_bytes()
    assert hashlib.sha256(stored).digest() == hashlib.sha256(content).digest()
    with session_scope(engine, write=False) as session:
        assert waiting_uploads(session) == [upload["id"]]
    assert client.get(f"{place}/files").json() == []


def _free(client: httpx.Client, place: str) -> bool:
    """Whether nobody sends to it: an impossible offset is refused for what it is, and not as busy."""
    return send(client, place, 2**40, b"x").status_code == 409


def test_what_makes_no_sense_is_refused_with_its_reason(client: httpx.Client) -> None:
    metadata = {"Upload-Metadata": named("a")}
    assert client.post(PLACE, headers=metadata).status_code == 422
    assert client.post(PLACE, headers={"Upload-Length": "5"}).status_code == 422
    assert (
        client.post(PLACE, headers={"Upload-Length": "5", "Upload-Metadata": "filename !"}).status_code == 400
    )
    huge = client.post(PLACE, headers=metadata | {"Upload-Length": str(10**14)})
    assert huge.status_code == 413
    place = begin(client, 4)
    assert client.patch(place, content=b"1", headers={"Upload-Offset": "0"}).status_code == 415
    assert client.patch(place, content=b"1", headers=OCTETS).status_code == 422
    assert send(client, place, 2, b"1").status_code == 409
    assert send(client, place, 0, b"12345").status_code == 413
    wrong = {"Upload-Checksum": f"sha256 {b64encode(hashlib.sha256(b'other').digest()).decode()}"}
    assert send(client, place, 0, b"1234", **wrong).status_code == 460
    assert send(client, place, 0, b"1234", **{"Upload-Checksum": "md5 x"}).status_code == 400
    assert offset(client, place) == 0
    right = {"Upload-Checksum": f"sha256 {b64encode(hashlib.sha256(b'1234').digest()).decode()}"}
    assert send(client, place, 0, b"1234", **right).status_code == 204
    assert send(client, place, 4, b"5").status_code == 422  # it is whole


def test_bytes_may_come_with_the_announcement(client: httpx.Client) -> None:
    headers = OCTETS | {"Upload-Length": "8", "Upload-Metadata": named("a")}
    answer = client.post(PLACE, content=b"1234", headers=headers)
    assert (answer.status_code, answer.headers["upload-offset"]) == (201, "4")
    assert send(client, answer.headers["location"], 4, b"5678").headers["upload-offset"] == "8"


def test_a_hub_that_went_down_after_the_last_byte_hears_of_it_at_the_next_question(
    client: httpx.Client, settings: Settings, engine: Engine
) -> None:
    place = begin(client, 4)
    files = UploadFiles(settings.data, reserve_bytes=0)
    with files.appending(place.rpartition("/")[2], 0, 4) as taken:  # and nobody noted it
        taken.write(b"1234")
    assert offset(client, place) == 4
    with session_scope(engine, write=False) as session:
        assert len(waiting_uploads(session)) == 1


def test_given_up_and_gone_and_never_anothers(
    client: httpx.Client, settings: Settings, engine: Engine
) -> None:
    place = begin(client, 4)
    with session_scope(engine) as session:
        other = issue_token(session, add_account(session, "other", Role.TECHNICIAN, hcode=LOEI))
    theirs = {"Authorization": f"Bearer {other}"}
    assert client.head(place, headers=theirs).status_code == 404
    assert client.delete(place, headers=theirs).status_code == 404
    assert client.delete(place).status_code == 204
    assert client.head(place).status_code == 404
    assert list((settings.data / "uploads").iterdir()) == []
