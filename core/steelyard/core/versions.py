"""Which behaviour is in force: switched on by a command in the log, never by a deploy.

A change of what the exchange does with the same log comes as a new version. A build that brings it
raises ``KNOWN_MAX`` and goes on doing what the version in force says; once every member runs that build,
an operator's ``ActivateVersion`` switches all of them over at one log index. An old log never contains
that command, so it replays to the old digests for ever.

Rules for whoever writes version *n*:

* Code that differs asks ``state.version >= n``.
* A command that comes with it is, below it, what it is to a build that does not know it: ``UNREADABLE``.
* Entries are stamped with the version in force, so that an older build stops before it applies one.
"""

from typing import Final

#: The spot exchange complete: orders on terms, lists, amends, batches, countdowns, auctions, tiers, families.
SPOT_COMPLETE: Final = 2

#: Perpetual contracts: indices, marks, positions, margin, funding, liquidation.
DERIVATIVES: Final = 3

#: The newest version that this build can carry out.  (Not ``Final``: tests play builds of other ages.)
KNOWN_MAX: int = 3

#: In force from the founding on.
FIRST: int = 1


class UnknownVersion(Exception):
    """The log goes on in a version that this build does not know: nothing more may be applied."""
