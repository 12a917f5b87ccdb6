"""What a feed listens to, as a person writes it, in TOML."""

import tomllib
from enum import Enum
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec

from steelyard.ops.errors import OpsError

#: As many sources as an index takes.
SOURCES_MAX: Final = 64
_SCHEMES: Final = ("http", "https", "ws", "wss")


class Smoothing(Enum):
    """What a source's prices become before they are proposed."""

    NONE = "none"
    """The last one."""
    MEDIAN = "median"
    """The median of those in the window."""
    EXPONENTIAL = "exponential"
    """Their mean, each weighing less the older it is; the window is the time constant."""


class SourcePlan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One source: a file, or a URL of HTTP (asked again and again) or WebSocket (listened to).

    * ``price``: where the price stands in each message, such as ``data.p`` or ``result.0.last``; two such
      places: the mean of both, as of bid and ask.
    * ``only``: places and what must stand there (``*`` stands for anything); other messages are passed over.
    * ``say``: what a WebSocket is told first.
    * ``number``: its number in the index; zero: its place in the list.
    """

    name: str
    price: str | tuple[str, str]
    file: str = ""
    url: str = ""
    only: dict[str, str] = {}
    say: list[str] = []
    weight: int = 1
    number: int = 0
    poll_s: float = 1.0


class FeedPlan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to listen to, and how to smooth it; a source is silent after ``silent_s`` without a price."""

    sources: list[SourcePlan]
    smoothing: Smoothing = Smoothing.MEDIAN
    window_s: float = 2.0
    every_s: float = 0.25
    silent_s: float = 5.0


def read_plan(path: Path) -> FeedPlan:
    """Return the plan in a file; files of sources that are named in it stand beside it.

    Raises:
        OpsError: The file is no such plan; it says what is wrong.

    """
    try:
        table = tomllib.loads(path.read_text("utf-8"))
        plan = msgspec.convert(table, FeedPlan)
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise OpsError(f"{path}: {error}") from error
    sources = [
        msgspec.structs.replace(
            source,
            number=source.number or place,
            file=str(path.parent / source.file) if source.file else "",
        )
        for place, source in enumerate(plan.sources, 1)
    ]
    return checked(msgspec.structs.replace(plan, sources=sources), str(path))


def captures_plan(paths: list[Path]) -> FeedPlan:
    """Return the plan for recorded captures: of each the middle of the recorded best bid and ask."""
    sources = [
        SourcePlan(
            name=path.name,
            price=("data.b", "data.a"),
            only={"stream": "*@bookTicker"},
            file=str(path),
            number=place,
        )
        for place, path in enumerate(paths, 1)
    ]
    return checked(FeedPlan(sources=sources), "the captures")


def checked(plan: FeedPlan, where: str) -> FeedPlan:
    """Return a plan that can be followed.

    Raises:
        OpsError: It cannot.

    """
    sources = plan.sources
    if not 0 < len(sources) <= SOURCES_MAX:
        raise OpsError(f"{where}: a feed has 1 to {SOURCES_MAX} sources")
    for what in ("name", "number"):
        if len({getattr(source, what) for source in sources}) < len(sources):
            raise OpsError(f"{where}: two sources have one {what}")
    if plan.window_s <= 0 or plan.every_s <= 0 or plan.silent_s <= 0:
        raise OpsError(f"{where}: times are above zero")
    for source in sources:
        if bool(source.file) == bool(source.url):
            raise OpsError(f"{where}: source {source.name} has a file or a url, one of them")
        if source.url and urlsplit(source.url).scheme not in _SCHEMES:
            raise OpsError(f"{where}: the url of {source.name} begins with {', '.join(_SCHEMES)}")
        if source.number < 1 or source.weight < 0 or source.poll_s <= 0:
            raise OpsError(f"{where}: number, weight or time of {source.name} is too small")
    if not any(source.weight for source in sources):
        raise OpsError(f"{where}: no source has a weight")
    return plan
