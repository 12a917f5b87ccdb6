"""What the node's archive knows, read in a thread of its own; named errors where there is none."""

from steelyard.core.units import InstrumentId
from steelyard.replication.intervals import Interval
from steelyard.rpc.errors import DoorError, Reason
from steelyard.rpc.market.tape import Tape


class History:
    """Reads of the archive."""

    async def tape(
        self, instrument: InstrumentId, intervals: list[Interval], min_index: int
    ) -> tuple[int, Tape]:
        """Return what the trades up to an index, at least ``min_index``, have come to."""
        raise DoorError(Reason.NO_ARCHIVE, "this node keeps no archive")
