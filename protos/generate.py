"""Write the Python of every ``.proto`` file beside it, or with ``--check`` compare it with what is there."""

import shutil
import sys
import tempfile
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).parent


def generate(into: Path) -> None:
    """Generate modules and stubs for all protos under ``into``; end the process if the compiler refuses."""
    sources = sorted(str(path) for path in ROOT.glob("steelyard/v1/*.proto"))
    plugins = {name: shutil.which(name, path=str(Path(sys.executable).parent)) for name in PLUGINS}
    missing = [name for name, path in plugins.items() if path is None]
    if missing:
        raise SystemExit(f"{', '.join(missing)} not found beside {sys.executable}; run: make setup")
    status = protoc.main(
        [
            "protoc",
            f"--proto_path={ROOT}",
            *(f"--plugin={name}={path}" for name, path in plugins.items()),
            f"--python_out={into}",
            f"--grpc_python_out={into}",
            f"--mypy_out=quiet:{into}",
            f"--mypy_grpc_out=quiet:{into}",
            *sources,
        ]
    )
    if status != 0:
        raise SystemExit(f"protoc failed with status {status}")


def stale() -> list[str]:
    """Return the generated files that differ from what the protos give now."""
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder))
        fresh = {path.relative_to(folder): path.read_bytes() for path in Path(folder).rglob("*.py*")}
    here = {path.relative_to(ROOT): path.read_bytes() for path in ROOT.glob("steelyard/v1/*_pb2*.py*")}
    return sorted(str(name) for name in fresh.keys() | here.keys() if fresh.get(name) != here.get(name))


PLUGINS = ("protoc-gen-mypy", "protoc-gen-mypy_grpc")

if __name__ == "__main__":
    if sys.argv[1:] == ["--check"]:
        if names := stale():
            raise SystemExit(f"not what the protos give: {', '.join(names)}; run: python protos/generate.py")
    else:
        generate(ROOT)
