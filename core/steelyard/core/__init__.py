"""The exchange: what others may import from it."""

from steelyard.core import commands, events, limits, queries, rejects, snapshot, units, wire
from steelyard.core.entry import (
    ENTRY_VERSION,
    Accepted,
    AnyReply,
    Applied,
    Cancelled,
    Entry,
    Outcome,
    Placed,
    Refused,
    Request,
    SessionReady,
)
from steelyard.core.exchange import Exchange
from steelyard.core.rejects import Reject

__all__ = [
    "ENTRY_VERSION",
    "Accepted",
    "AnyReply",
    "Applied",
    "Cancelled",
    "Entry",
    "Exchange",
    "Outcome",
    "Placed",
    "Refused",
    "Reject",
    "Request",
    "SessionReady",
    "commands",
    "events",
    "limits",
    "queries",
    "rejects",
    "snapshot",
    "units",
    "wire",
]
