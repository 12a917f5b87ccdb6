"""Pre-vote: ask whether an election could be won before raising the term."""

from steelyard.replication.group import MemberId


class PreVotes:
    """Who would vote for us in the term we asked about."""

    def __init__(self, peers_needed: int) -> None:
        """``peers_needed`` others make a majority with us."""
        self._peers_needed = peers_needed
        self._term = 0
        self._granted: set[MemberId] = set()

    def ask(self, term: int) -> None:
        """Begin a new round for ``term``."""
        self._term = term
        self._granted = set()

    def grant(self, peer: MemberId, term: int) -> bool:
        """Count a peer's yes; return whether the round is won."""
        if term != self._term:
            return False
        self._granted.add(peer)
        return len(self._granted) >= self._peers_needed
