"""Packets that vanish at random as they come in through a network interface, by a tiny program in the kernel.

Needs root and Linux 5.9 or newer, and no tool: the program is handed to the kernel as it is, and goes when
the descriptor that holds it is closed, however this process ends.
"""

import ctypes
import os
import platform
import socket
import struct
from typing import Final

from steelyard.ops.errors import GroupError

#: ``bpf(2)`` has no function in the C library, only a number for each kind of machine.
_SYSCALLS: Final = {"x86_64": 321, "aarch64": 280}
# From ``linux/bpf.h`` and ``linux/if_link.h``.
_PROG_LOAD: Final = 5
_LINK_CREATE: Final = 28
_PROG_TYPE_XDP: Final = 6
_ATTACH_XDP: Final = 37
_SKB_MODE: Final = 2
_CALL: Final = 0x85
_RANDOM_U32: Final = 7
_JUMP32_IF_LESS: Final = 0xA6
_SET: Final = 0xB7
_EXIT: Final = 0x95
_DROP: Final = 1
_PASS: Final = 2


class PacketLoss:
    """Lets a share of the packets that arrive at an interface vanish, until it is closed."""

    def __init__(self, interface: str, share_ppm: int) -> None:
        """Begin; ``share_ppm`` is in parts per million, above zero and below all.

        Raises:
            GroupError: The kernel refuses.

        """
        limit = share_ppm * 2**32 // 1_000_000
        code = b"".join(
            (
                _instruction(_CALL, value=_RANDOM_U32),
                _instruction(_JUMP32_IF_LESS, skip=2, value=limit),
                _instruction(_SET, value=_PASS),
                _instruction(_EXIT),
                _instruction(_SET, value=_DROP),
                _instruction(_EXIT),
            )
        )
        body, licence = ctypes.create_string_buffer(code, len(code)), ctypes.create_string_buffer(b"GPL")
        wanted = struct.pack(
            "<IIQQIIQII16sII",
            _PROG_TYPE_XDP,
            len(code) // 8,
            ctypes.addressof(body),
            ctypes.addressof(licence),
            *(0, 0, 0, 0, 0),
            b"steelyard_loss",
            0,
            _ATTACH_XDP,
        )
        program = _bpf(_PROG_LOAD, wanted)
        try:
            index = socket.if_nametoindex(interface)
            self._link = _bpf(_LINK_CREATE, struct.pack("<IIII", program, index, _ATTACH_XDP, _SKB_MODE))
        finally:
            os.close(program)

    def close(self) -> None:
        """Let everything through again."""
        os.close(self._link)


def needs_packet_loss() -> str:
    """Return why packets cannot be lost here, or an empty text."""
    if os.geteuid() != 0:
        return "not root"
    try:
        PacketLoss("lo", 1).close()
    except GroupError as error:
        return f"no packet loss: {error}"
    return ""


def _instruction(code: int, *, skip: int = 0, value: int = 0) -> bytes:
    return struct.pack("<BBhI", code, 0, skip, value)


def _bpf(command: int, attributes: bytes) -> int:
    number = _SYSCALLS.get(platform.machine())
    if number is None:
        raise GroupError(f"the number of bpf(2) on {platform.machine()} is not known")
    handed = ctypes.create_string_buffer(attributes, len(attributes))
    descriptor: int = ctypes.CDLL(None, use_errno=True).syscall(number, command, handed, len(attributes))
    if descriptor < 0:
        raise GroupError(f"bpf(2): {os.strerror(ctypes.get_errno())}")
    return descriptor
