"""What is signed, so that both ends build the same text."""

from hashlib import sha256
from typing import Final

KEY: Final = "steelyard-key"
NODE: Final = "steelyard-node"
TIME: Final = "steelyard-time"
NONCE: Final = "steelyard-nonce"
SIGNATURE: Final = "steelyard-signature-bin"

SIGNATURE_BYTES: Final = 64
PUBLIC_KEY_BYTES: Final = 32
NONCE_HEX_DIGITS: Final = 16


def signed_text(group: str, node: str, method: str, time_ns: int, nonce: str, body: bytes) -> bytes:
    """Return what a unary call signs: one place, one call, one body, as sent.

    Args:
        group: The group's id.
        node: The member number of the node that is called, in decimal.
        method: The full method, such as ``/steelyard.v1.TradingService/PlaceOrder``.
        time_ns: The caller's clock; the node takes it within 5 s of its own.
        nonce: 16 hex digits, used once.
        body: The request's bytes.

    """
    return "\n".join(
        ("steelyard-v1", group, node, method, str(time_ns), nonce, sha256(body).hexdigest())
    ).encode()


def stream_text(group: str, node: str, nonce: bytes, key: int, session_name: str) -> bytes:
    """Return what ``Hello`` signs: the challenge, and who wants which session."""
    return "\n".join(("steelyard-v1-stream", group, node, nonce.hex(), str(key), session_name)).encode()
