"""The files of one folder behind a Protocol, so that a simulation can lose, tear and fail them."""

import os
from pathlib import Path
from typing import Protocol


class Files(Protocol):
    """One folder, its files by name; every method raises ``OSError`` as the operating system would.

    What is written is safe only after ``sync``, a name only after ``sync_names``.
    """

    def create(self, name: str) -> None:
        """Make an empty file, or empty the one that is there."""
        ...

    def append(self, name: str, content: bytes) -> None:
        """Write ``content`` behind what the file holds."""
        ...

    def read(self, name: str, offset: int = 0, size: int = -1) -> bytes:
        """Return ``size`` bytes from ``offset`` on, or all that follow."""
        ...

    def size(self, name: str) -> int:
        """Return how many bytes a file holds."""
        ...

    def sync(self, name: str) -> None:
        """Return when the device has the file's content."""
        ...

    def rename(self, old: str, new: str) -> None:
        """Give a file another name, in place of whatever had it."""
        ...

    def remove(self, name: str) -> None:
        """Remove a file."""
        ...

    def sync_names(self) -> None:
        """Return when the device has the folder: what was made, renamed and removed."""
        ...

    def names(self) -> list[str]:
        """Return the names of all files, sorted."""
        ...


class FolderFiles:
    """``Files`` of the operating system."""

    def __init__(self, directory: Path) -> None:
        """Use ``directory``, made if missing."""
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)

    def create(self, name: str) -> None:
        """Make an empty file, or empty the one that is there."""
        with open(self._directory / name, "wb"):
            pass

    def append(self, name: str, content: bytes) -> None:
        """Write ``content`` behind what the file holds."""
        with open(self._directory / name, "ab") as file:
            file.write(content)

    def read(self, name: str, offset: int = 0, size: int = -1) -> bytes:
        """Return ``size`` bytes from ``offset`` on, or all that follow."""
        with open(self._directory / name, "rb") as file:
            file.seek(offset)
            return file.read(size)

    def size(self, name: str) -> int:
        """Return how many bytes a file holds."""
        return (self._directory / name).stat().st_size

    def sync(self, name: str) -> None:
        """Return when the device has the file's content."""
        _sync(self._directory / name, os.O_RDWR)

    def rename(self, old: str, new: str) -> None:
        """Give a file another name, in place of whatever had it."""
        (self._directory / old).replace(self._directory / new)

    def remove(self, name: str) -> None:
        """Remove a file."""
        (self._directory / name).unlink()

    def sync_names(self) -> None:
        """Return when the device has the folder."""
        _sync(self._directory, os.O_RDONLY | os.O_DIRECTORY)

    def names(self) -> list[str]:
        """Return the names of all files, sorted."""
        return sorted(path.name for path in self._directory.iterdir())


def _sync(path: Path, flags: int) -> None:
    fd = os.open(path, flags)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
