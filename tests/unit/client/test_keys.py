"""API keys on disk."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from steelyard.client import ApiKey
from steelyard.client.signing import signed_text, stream_text


def test_a_key_comes_back_from_its_file_and_signs_the_same(tmp_path: Path) -> None:
    key = ApiKey.generate(7, 1000)
    key.write(tmp_path / "a.key")

    read = ApiKey.read(tmp_path / "a.key")

    assert (read.id, read.account, read.public_key) == (7, 1000, key.public_key)
    assert read.sign(b"text") == key.sign(b"text")
    Ed25519PublicKey.from_public_bytes(key.public_key).verify(read.sign(b"text"), b"text")


def test_only_the_owner_can_read_a_key_file_even_if_it_was_open_before(tmp_path: Path) -> None:
    path = tmp_path / "a.key"
    path.write_text("old")
    path.chmod(0o644)

    ApiKey.generate().write(path)

    assert path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["a.key"]


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"key": 1, "account": 2, "private_key": "00"}', '{"key": "x"}']
)
def test_a_file_that_is_no_key_is_refused_by_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.key"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"a\.key is not an API key file"):
        ApiKey.read(path)


def test_a_key_does_not_show_its_secret() -> None:
    key = ApiKey.generate(7, 1000)
    assert "private" not in repr(key)
    assert key.private_key.private_bytes_raw().hex() not in repr(key)


def test_what_is_signed_is_as_published() -> None:
    """The texts are a promise to clients in other languages."""
    digest = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
    assert signed_text("aa", "1", "/s/M", 5, "00ff00ff00ff00ff", b"hello") == (
        b"steelyard-v1\naa\n1\n/s/M\n5\n00ff00ff00ff00ff\n" + digest.encode()
    )
    assert (
        stream_text("aa", "1", b"\x01\xff", 7, "maker 1") == b"steelyard-v1-stream\naa\n1\n01ff\n7\nmaker 1"
    )
