"""Storage: kept once, found by content, never changed."""

import hashlib
import os
from pathlib import Path

import pytest

from service.durable import sync
from service.storage import BadKey, DamagedFile, FolderStorage, NotStored, StorageError, open_storage


@pytest.fixture
def storage(tmp_path: Path) -> FolderStorage:
    return FolderStorage(tmp_path / "storage")


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


class TestKeep:
    def test_the_key_is_the_hash_of_the_content(self, storage: FolderStorage, tmp_path: Path) -> None:
        key = storage.keep(write(tmp_path / "a", b"slice"))
        assert key == hashlib.sha256(b"slice").hexdigest()
        with storage.open(key) as file:
            assert file.read() == b"slice"

    def test_a_file_of_the_same_file_system_is_linked(self, storage: FolderStorage, tmp_path: Path) -> None:
        source = write(tmp_path / "a", b"slice")
        assert os.path.samefile(storage.path(storage.keep(source)), source)

    def test_it_survives_the_source(self, storage: FolderStorage, tmp_path: Path) -> None:
        source = write(tmp_path / "a", b"slice")
        key = storage.keep(source)
        source.unlink()
        assert storage.path(key).read_bytes() == b"slice"

    def test_keeping_again_changes_nothing(self, storage: FolderStorage, tmp_path: Path) -> None:
        key = storage.keep(write(tmp_path / "a", b"slice"))
        inode = storage.path(key).stat().st_ino
        assert storage.keep(write(tmp_path / "b", b"slice")) == key
        assert storage.path(key).stat().st_ino == inode

    def test_a_folders_name_is_synced_by_each_process_that_first_uses_it(
        self, storage: FolderStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        synced: list[Path] = []

        def note(path: Path) -> None:
            sync(path)
            synced.append(path)

        monkeypatch.setattr("service.storage.sync", note)
        assert [each.name for each in storage.root.iterdir()] == ["incoming"]
        another = FolderStorage(
            storage.root
        )  # of another process: it finds the folder made, perhaps not synced
        for each, times in ((storage, 1), (another, 2), (storage, 2)):
            folder = each.path(each.keep(write(tmp_path / "a", b"slice"))).parent
            assert synced.count(storage.root) == times
            assert folder in synced[-2:]

    def test_a_file_that_cannot_be_linked_is_copied(
        self, storage: FolderStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*_: object) -> None:
            raise OSError(18, "Invalid cross-device link")

        monkeypatch.setattr(os, "link", refuse)
        source = write(tmp_path / "a", b"slice" * 1000)
        key = storage.keep(source)
        assert not os.path.samefile(storage.path(key), source)
        assert storage.path(key).read_bytes() == b"slice" * 1000
        assert list((storage.root / "incoming").iterdir()) == []

    def test_a_file_that_changes_while_it_is_copied_is_refused(
        self, storage: FolderStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        source = write(tmp_path / "a", b"slice")

        def change(*_: object) -> None:
            source.write_bytes(b"other")
            raise OSError(18, "Invalid cross-device link")

        monkeypatch.setattr(os, "link", change)
        with pytest.raises(DamagedFile, match="a was"):
            storage.keep(source)
        assert not storage.exists(hashlib.sha256(b"slice").hexdigest())
        assert list((storage.root / "incoming").iterdir()) == []

    def test_bytes_are_kept_as_a_file_is(self, storage: FolderStorage) -> None:
        with storage.open(storage.keep_bytes(b"webp")) as file:
            assert file.read() == b"webp"
        assert list((storage.root / "incoming").iterdir()) == []


class TestPath:
    def test_an_unknown_key_is_named(self, storage: FolderStorage) -> None:
        with pytest.raises(NotStored, match="0" * 64):
            storage.path("0" * 64)

    @pytest.mark.parametrize("key", ["", "../../etc/passwd", "A" * 64, "0" * 63, "0" * 64 + "\n"])
    def test_what_is_no_key_is_refused(self, storage: FolderStorage, key: str) -> None:
        with pytest.raises(BadKey):
            storage.path(key)


def test_deleting_twice_is_as_deleting_once(storage: FolderStorage) -> None:
    key = storage.keep_bytes(b"x")
    storage.delete(key)
    storage.delete(key)
    assert not storage.exists(key)


class TestOpenStorage:
    def test_empty_is_the_default_folder(self, tmp_path: Path) -> None:
        storage = open_storage("", tmp_path / "storage")
        assert isinstance(storage, FolderStorage)
        assert storage.root == tmp_path / "storage"

    def test_a_path_is_that_folder(self, tmp_path: Path) -> None:
        storage = open_storage(str(tmp_path / "other"), tmp_path / "storage")
        assert isinstance(storage, FolderStorage)
        assert storage.root == tmp_path / "other"

    def test_s3_is_refused_by_name(self, tmp_path: Path) -> None:
        with pytest.raises(StorageError, match=r"HUB_STORAGE is s3://"):
            open_storage("s3://bucket", tmp_path)
