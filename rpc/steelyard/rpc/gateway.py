"""The gateway: a gRPC server in front of one replica, and the link between them."""

import asyncio
import gc
import logging
import signal
from pathlib import Path
from typing import Final

import grpc
import grpc.aio

from steelyard.rpc.door import Door
from steelyard.rpc.interceptors import Calls
from steelyard.rpc.services import account, admin, market_data, replica, trading

log = logging.getLogger(__name__)

#: Streams have no deadline: a peer that died in silence shows only in unanswered pings.  Without the ping
#: timeout, the keepalive timeout alone would notice it after more than a minute.  One process per port: the
#: nonces that keep a recorded call from being played again are known to this one only.
OPTIONS: Final = (
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.keepalive_timeout_ms", 3_000),
    ("grpc.http2.ping_timeout_ms", 3_000),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.http2.bdp_probe", 0),
    ("grpc.http2.lookahead_bytes", 65_536),
    ("grpc.max_receive_message_length", 4 << 20),
    ("grpc.max_metadata_size", 8_192),
    ("grpc.max_concurrent_streams", 1_000),
    ("grpc.so_reuseport", 0),
)
DRAIN_S: Final = 5.0
#: Unary calls that are still under way after that.
LAST_CALLS_S: Final = 1.0


class PortTaken(Exception):
    """The address to serve on cannot be bound."""


class Gateway:
    """One gateway of one node."""

    def __init__(
        self,
        group: str,
        member: int,
        socket_path: Path,
        listen: str,
        *,
        name: str,
        archive: Path | None = None,
    ) -> None:
        """Prepare to serve clients at ``listen`` (``host:port``; port zero: any).

        ``archive`` is where this node's archive is kept, if it has one.
        """
        self.door = Door(group, member, socket_path, name, archive)
        self.port = 0
        self._listen = listen
        self._tasks = [
            asyncio.ensure_future(work) for work in (self.door.link.keep_connected(), self.door.leases.keep())
        ]
        self._server = grpc.aio.server(options=OPTIONS)
        calls = Calls(self.door)
        for service, methods in (
            (trading.NAME, trading.TradingService(self.door, calls).handlers()),
            (account.NAME, account.AccountService(self.door, calls).handlers()),
            (market_data.NAME, market_data.MarketDataService(self.door, calls).handlers()),
            (admin.NAME, admin.AdminService(self.door, calls).handlers()),
            (replica.NAME, replica.ReplicaService(self.door, calls).handlers()),
            (replica.HEALTH, replica.HealthService(self.door, calls).handlers()),
        ):
            self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, methods),))

    async def start(self) -> None:
        """Serve; ``port`` is the bound port from then on.

        Raises:
            PortTaken: Somebody else listens there.

        """
        try:
            self.port = self._server.add_insecure_port(self._listen)
        except RuntimeError as error:
            raise PortTaken(f"cannot listen on {self._listen}") from error
        await self._server.start()

    async def stop(self, patience_s: float = DRAIN_S) -> None:
        """Take nothing new, let open requests finish within ``patience_s``, say Goodbye, and stop."""
        await self.door.drain(patience_s)
        await self._server.stop(LAST_CALLS_S)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def serve(
    group: str, member: int, socket_path: Path, listen: str, *, name: str, archive: Path | None = None
) -> None:
    """Run a gateway until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    gateway = Gateway(group, member, socket_path, listen, name=name, archive=archive)
    await gateway.start()
    # What lives as long as the process is not worth looking through again.
    gc.collect()
    gc.freeze()
    log.info("member %d serves clients at %s", member, listen)
    await stop.wait()
    log.info("draining")
    await gateway.stop()
