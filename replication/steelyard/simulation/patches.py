"""Parts made smaller, worse or quiet for the time of a run, and put back."""

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any


@contextmanager
def patched(*changes: tuple[Any, str, object]) -> Iterator[None]:
    """Replace attributes, given as (owner, name, value), for a while."""
    with ExitStack() as stack:
        for owner, name, value in changes:
            stack.callback(setattr, owner, name, owner.__dict__[name])
            setattr(owner, name, value)
        yield


@contextmanager
def quiet(name: str) -> Iterator[None]:
    """Let a logger, and those below it, say nothing for a while."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(level)
