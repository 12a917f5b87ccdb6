"""API keys: who a client is, and how it proves that."""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An Ed25519 key and the number that the exchange gave it.

    The private half never leaves the client; the exchange knows only the public half.
    """

    id: int
    account: int
    private_key: Ed25519PrivateKey = field(repr=False)

    @classmethod
    def generate(cls, id: int = 0, account: int = 0) -> "ApiKey":
        """Return a new key; the exchange numbers it when it is registered (see ``with_id``)."""
        return cls(id=id, account=account, private_key=Ed25519PrivateKey.generate())

    @classmethod
    def from_private_bytes(cls, id: int, account: int, private_bytes: bytes) -> "ApiKey":
        """Return the key whose private half is these 32 bytes."""
        return cls(id=id, account=account, private_key=Ed25519PrivateKey.from_private_bytes(private_bytes))

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> "ApiKey":
        """Return the key that ``write`` has put there.

        Raises:
            ValueError: The file is not a key.

        """
        text = Path(path).read_text(encoding="utf-8")
        try:
            row = json.loads(text)
            return cls.from_private_bytes(
                int(row["key"]), int(row["account"]), bytes.fromhex(row["private_key"])
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{os.fspath(path)} is not an API key file") from error

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the key to a file that only its owner can read; replaces what is there."""
        row = {
            "key": self.id,
            "account": self.account,
            "private_key": self.private_key.private_bytes_raw().hex(),
        }
        fresh = f"{os.fspath(path)}.new"
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(fd, "w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(json.dumps(row) + "\n")
        os.replace(fresh, path)

    def with_id(self, id: int, account: int) -> "ApiKey":
        """Return the same key under the number and account it was registered with."""
        return ApiKey(id=id, account=account, private_key=self.private_key)

    @property
    def public_key(self) -> bytes:
        """The public half, 32 bytes."""
        return self.private_key.public_key().public_bytes_raw()

    def sign(self, text: bytes) -> bytes:
        """Return the signature of ``text``, 64 bytes."""
        return self.private_key.sign(text)
