"""A guard taken out of the code that runs, for the length of a child process: its test must notice."""

import inspect
import os
import re
import signal
import sys
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, fields
from types import FunctionType
from typing import Any, Final, TypeVar

from tests.helpers.raft import exit_of

from steelyard.replication.guards import Guards

PATIENCE_S: Final = 20
FAIL_STOPS: Final = (70, 74, 78)
STALE: Final = 99
"""How a child ends whose cut does not fit the code any more."""

Cut = Callable[[], None]
"""Takes a guard out of this process, for good."""


def line(function: Callable[..., Any], *changes: str) -> Cut:
    """Return the cut that changes a function; ``changes`` are pieces of its source, old and new in turn."""

    def cut() -> None:
        source = textwrap.dedent(inspect.getsource(function))
        for old, new in zip(changes[::2], changes[1::2], strict=True):
            assert source.count(old) == 1, f"{function.__qualname__} has not {old!r} once: renew the cut"
            source = source.replace(old, new)
        made: dict[str, Any] = {}
        exec(compile(source, "<cut>", "exec"), function.__globals__, made)
        changed = made[function.__name__]
        assert isinstance(function, FunctionType)
        function.__code__ = getattr(changed, "__func__", changed).__code__

    return cut


def instead(owner: object, name: str, other: object) -> Cut:
    """Return the cut that puts something else in the place of an attribute."""

    def cut() -> None:
        assert hasattr(owner, name), f"there is no {name}: renew the cut"
        setattr(owner, name, other)

    return cut


def guard(**neutral: Callable[..., Any]) -> Cut:
    """Return the cut that lets every full set of guards have neutral ones in some places."""

    def cut() -> None:
        whole = Guards()
        Guards.__init__.__defaults__ = tuple(
            neutral.get(field.name, getattr(whole, field.name)) for field in fields(Guards)
        )

    return cut


def both(*cuts: Cut) -> Cut:
    """Return the cut that makes several, where one alone has a second behind it."""

    def cut() -> None:
        for each in cuts:
            each()

    return cut


@dataclass(frozen=True)
class Closed:
    """A row of the table of defects, a guard that closes it, and the test that fails once it is gone."""

    defect: str
    gone: str
    cut: Cut
    test: Callable[..., None]
    arguments: dict[str, object]
    says: str


CLOSED: Final[list[Closed]] = []
"""What the imported tests close."""

Test = TypeVar("Test", bound=Callable[..., None])


def closed_by(
    gone: str, cut: Cut, *, defect: str = "", says: str = "", **arguments: object
) -> Callable[[Test], Test]:
    """Say that a test must fail once ``cut`` has taken the guard called ``gone`` away.

    Args:
        gone: The guard, in words.
        cut: Takes it away.
        defect: The row of the table, if the test's name does not tell it.
        says: What the failing test says, if it is no assertion that fails.
        arguments: The test's own, except ``tmp_path``.

    """

    def note(test: Test) -> Test:
        row = defect or re.findall(r"d\d+", test.__name__)[0].upper()
        CLOSED.append(Closed(row, gone, cut, test, arguments, says))
        return test

    return note


def notices(closed: Closed, **fixtures: object) -> tuple[bool, str]:
    """Return whether a test fails for what it claims once its guard is gone, and what it said.

    It does if one of its assertions does, if the process stops itself, if it would go on for ever,
    or if it says what was expected; not if the cut merely made the code senseless.
    """

    def script() -> None:
        signal.alarm(PATIENCE_S)
        try:
            closed.cut()
        except AssertionError as error:
            sys.stderr.write(str(error))
            sys.stderr.flush()
            os._exit(STALE)
        closed.test(**closed.arguments, **fixtures)

    code, said = exit_of(script)
    raised = re.findall(r"^([A-Za-z_][\w.]*)(?::.*)?$", said, re.MULTILINE)
    noticed = (
        code in FAIL_STOPS
        or code == -signal.SIGALRM
        or (
            code == 1
            and (raised[-1] in ("AssertionError", "Failed") if not closed.says else closed.says in said)
        )
    )
    return noticed, f"exit {code}: {said[-2000:]}"
