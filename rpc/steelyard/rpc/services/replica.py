"""``ReplicaService``: what this node is; and gRPC's own health service."""

import os
from importlib.metadata import PackageNotFoundError, version
from typing import Final

import grpc

from steelyard.rpc import translate
from steelyard.rpc.door import Door
from steelyard.rpc.errors import DoorError, Reason
from steelyard.rpc.interceptors import Calls, Context, Handler, abort
from steelyard.rpc.services import trading
from steelyard.v1 import replica_pb2

NAME: Final = "steelyard.v1.ReplicaService"
HEALTH: Final = "grpc.health.v1.Health"


class ReplicaService:
    """Status of the node, for clients looking for the leader; needs no key."""

    def __init__(self, door: Door, calls: Calls) -> None:
        self._door = door
        self._calls = calls
        self._version = _version()

    def handlers(self) -> dict[str, Handler]:
        """Return the service's methods by name."""
        return {"GetStatus": self._calls.open(self.get_status)}

    async def get_status(self, body: bytes) -> bytes:
        """Return what this node is; ``unreachable`` if the gateway is all there is of it."""
        translate.parse(replica_pb2.GetStatusRequest, body)
        door = self._door
        state = door.link.state
        status = replica_pb2.GetStatusResponse(
            group=door.group,
            member=door.member,
            role="unreachable",
            gateway_pid=os.getpid(),
            version=self._version,
        )
        if state is not None:
            status.log_index = state.applied_index
            status.role = state.role
            status.ready = (door.leads if state.role == "leader" else state.ready) and not door.draining
            status.term = state.term
            status.leader = state.leader
            status.leader_endpoint = state.leader_endpoint
            status.last_index = state.last_index
            status.commit_index = state.commit_index
            status.log_time_ns = state.time_ns
            status.digest_index = state.digest_index
            status.digest = state.digest
            status.snapshot_index = state.snapshot_index
            status.log_first_index = state.log_first_index
            status.log_used_ppm = state.log_used_ppm
            status.commands_applied = state.commands_applied
            status.sync_mode = state.sync_mode
            status.replica_pid = state.pid
        return status.SerializeToString()


class HealthService:
    """``grpc.health.v1``: the node for the empty name, and whether it takes orders for the trading service.

    The two messages are written and read by hand: one text in, one enum out.
    """

    def __init__(self, door: Door, calls: Calls) -> None:
        self._door = door
        self._calls = calls

    def handlers(self) -> dict[str, Handler]:
        """Return the service's methods by name."""
        return {
            "Check": self._calls.open(self.check),
            "Watch": grpc.unary_stream_rpc_method_handler(self.watch),
        }

    async def check(self, body: bytes) -> bytes:
        """Return whether the service asked for is served."""
        answer = self._answer(body)
        if answer == _SERVICE_UNKNOWN:
            raise DoorError(Reason.NOT_FOUND, "no such service")
        return answer

    async def watch(self, body: bytes, context: Context) -> None:
        """Tell whether the service asked for is served, now and whenever that changes."""
        told = b""
        try:
            with self._door.crowd.watching():
                while True:
                    changed = self._door.changed
                    answer = self._answer(body)
                    if answer != told:
                        told = answer
                        await context.write(answer)
                    await changed.wait()
        except DoorError as error:
            ending = error
        await abort(context, ending)

    def _answer(self, body: bytes) -> bytes:
        door = self._door
        match _asked(body):
            case "":
                return _answered(door.link.state is not None and not door.draining)
            case trading.NAME:
                return _answered(door.leads and not door.draining)
            case _:
                return _SERVICE_UNKNOWN


_SERVING: Final = b"\x08\x01"
_NOT_SERVING: Final = b"\x08\x02"
_SERVICE_UNKNOWN: Final = b"\x08\x03"
_TEXT_TAG: Final = 0x0A


def _answered(serving: bool) -> bytes:
    return _SERVING if serving else _NOT_SERVING


def _asked(body: bytes) -> str:
    """Return the one text of a HealthCheckRequest."""
    if not body:
        return ""
    well_formed = len(body) > 1 and body[0] == _TEXT_TAG and body[1] == len(body) - 2 and body[1] < 128  # noqa: PLR2004
    if not well_formed or not body.isascii():
        raise DoorError(Reason.MALFORMED, "not a HealthCheckRequest")
    return body[2:].decode()


def _version() -> str:
    try:
        return version("steelyard")
    except PackageNotFoundError:
        return "not installed"
