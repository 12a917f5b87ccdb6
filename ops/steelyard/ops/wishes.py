"""What one command asks of the supervisor of a running group: a file that it looks for, and answers in."""

from pathlib import Path
from typing import Final

import msgspec

from steelyard.ops.errors import GroupError

WISH_FILE: Final = "replace.json"


class Wish(msgspec.Struct):
    """Replace ``member``; once ``done``, ``error`` says why not, or nothing."""

    member: int
    done: bool = False
    error: str = ""


def read_wish(directory: Path) -> Wish | None:
    """Return what is wished for, if anything is."""
    path = directory / WISH_FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=Wish)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as error:
        raise GroupError(f"{path} cannot be read ({error}); remove it") from error


def write_wish(directory: Path, wish: Wish) -> None:
    """Wish, or answer, in one step, so that no reader sees half of it."""
    path = directory / WISH_FILE
    temporary = path.with_name(WISH_FILE + ".new")
    temporary.write_bytes(msgspec.json.encode(wish))
    temporary.replace(path)


def remove_wish(directory: Path) -> None:
    """Forget what was wished for."""
    (directory / WISH_FILE).unlink(missing_ok=True)
