"""An adversary for liquidations: leaders die while their engine closes positions, again and again."""

import random
from collections.abc import Callable

from steelyard.simulation.cluster import Cluster

_LOOK_S = 0.002


def cascade(cluster: Cluster, rng: random.Random, over: Callable[[], bool]) -> None:
    """End the leader a few entries into whatever is being liquidated: killed, without power, or at a seam."""
    entries = [0]

    def look() -> None:
        if over():
            return
        leader = cluster.leader()
        replica = None if leader is None else leader.replica
        if leader is not None and leader.process is not None and replica is not None:
            found = replica.exchange.state.liquidations
            if found and replica.ready and cluster.checkers.frontier >= entries[0]:
                entries[0] = cluster.checkers.frontier + rng.randrange(1, 4)
                match rng.randrange(3):
                    case 0:
                        cluster.count("kill in a cascade")
                        leader.kill()
                        cluster.restart_later(leader)
                    case 1:
                        cluster.count("power loss in a cascade")
                        leader.kill(power=True)
                        cluster.restart_later(leader)
                    case _:
                        # Whoever dies between two calls is restarted, and counted, by the machine.
                        leader.process.calls_left = rng.randrange(1, 12)
        cluster.agenda.after(_LOOK_S, look)

    look()
