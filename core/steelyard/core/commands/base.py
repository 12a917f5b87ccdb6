"""The base of all commands."""

import msgspec


class Command(
    msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False, forbid_unknown_fields=True
):
    """A wish, in the log.

    A command is never mutated, its ``tag`` is never reused, and a new field goes last and carries a default.
    """
