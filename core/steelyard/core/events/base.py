"""The base of all events."""

import msgspec


class Event(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """What happened, with the amounts that moved.  Tags are never reused; new fields go last."""
