"""Figures on disk: one dated JSON file a run, with the machine it ran on."""

import datetime
import subprocess
from pathlib import Path
from typing import Any, Final

import msgspec

from steelyard.ops.errors import OpsError

FOLDER: Final = Path("loadtests") / "results"


def write_results(name: str, result: dict[str, Any], *, folder: Path = FOLDER) -> Path:
    """Write ``result`` to ``<folder>/<date>-<time>-<name>.json`` and return the path.

    Raises:
        OpsError: The folder cannot be written.

    """
    now = datetime.datetime.now(datetime.UTC)
    path = folder / f"{now:%Y%m%d-%H%M%S}-{name}.json"
    dated = {"name": name, "date": f"{now:%Y-%m-%dT%H:%M:%SZ}", **result}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_bytes(msgspec.json.format(msgspec.json.encode(dated)) + b"\n")
    except OSError as error:
        raise OpsError(f"cannot write {path}: {error.strerror}") from error
    return path


def commit() -> str:
    """Return the commit this runs from, with a mark if files differ from it; empty outside a checkout."""
    here = Path(__file__).parent
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12"],
            cwd=here,
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        return ""
    return done.stdout.strip()
