"""Parts made smaller or worse for the time of a run, and put back."""

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
