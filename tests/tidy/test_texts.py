"""What is kept in the repository names no machine, leaks no secret and links to nothing that is missing."""

import re
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]

#: Written in halves, so that this file does not complain about itself.
BANNED = {
    "a path of one machine": re.compile(r"(?<![\w.$~}-])/(?:wo" r"rk|ro" r"ot|ho" r"me|Us" r"ers)/\w"),
    "the address of a package registry": re.compile(r"(?:index-" r"url|https?://\S*/sim" r"ple\b)"),
    "a private key": re.compile(r"-----BEGIN (?:\w+ )?PRIV" r"ATE KEY-----"),
    "an access token": re.compile(r"\b(?:AK" r"IA[0-9A-Z]{16}|gh[pousr]" r"_\w{36}|xox[baprs]" r"-\w{10,})"),
}
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)(?:\s+\"[^\"]*\")?\)")


def kept_files() -> list[Path]:
    """Return every file that is, or would be, committed."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY,
        capture_output=True,
        check=True,
        text=True,
    )
    paths = [REPOSITORY / name for name in listed.stdout.split("\0") if name]
    return sorted(path for path in paths if path.is_file())


def text_of(path: Path) -> str | None:
    """Return a file's text, or None if it is not text."""
    body = path.read_bytes()
    return None if b"\0" in body[:4096] else body.decode("utf-8", "replace")


def complaints(text: str) -> list[str]:
    """Return one ``line: what`` per banned thing in a text."""
    return [
        f"{number}: {what}"
        for number, line in enumerate(text.splitlines(), 1)
        for what, pattern in BANNED.items()
        if pattern.search(line)
    ]


def test_no_text_names_a_machine_or_a_secret() -> None:
    found = {
        str(path.relative_to(REPOSITORY)): said
        for path in kept_files()
        if (text := text_of(path)) is not None and (said := complaints(text))
    }
    assert found == {}


def test_the_rules_bite() -> None:
    text = "\n".join(
        [
            "cd /ro" + "ot/project",
            "pip install --index-" + "url=https://somewhere/",
            "-----BEGIN PRIV" + "ATE KEY-----",
            "token = gh" + "p_" + "a" * 36,
            "docs/work/page and $HOME/work/page are fine",
        ]
    )
    assert complaints(text) == [
        "1: a path of one machine",
        "2: the address of a package registry",
        "3: a private key",
        "4: an access token",
    ]


def prose(text: str) -> str:
    """Return a page without its blocks of code."""
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


def slugs(text: str) -> list[str]:
    """Return the anchors of a page's headings, as code hosts make them."""
    headings = re.findall(r"^#+\s+(.*?)\s*$", prose(text), re.MULTILINE)
    plain = [re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings]
    return [heading.replace(" ", "-") for heading in plain]


def dead_links(page: Path) -> list[str]:
    """Return a page's links into the repository that lead nowhere."""
    dead = []
    for target in LINK.findall(prose(page.read_text())):
        if re.match(r"[a-z][a-z0-9+.-]*:", target):
            continue
        name, _, anchor = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        if not path.exists() or (anchor and path.suffix == ".md" and anchor not in slugs(path.read_text())):
            dead.append(target)
    return dead


@pytest.mark.parametrize(
    "page", [p for p in kept_files() if p.suffix == ".md"], ids=lambda p: str(p.relative_to(REPOSITORY))
)
def test_links_lead_somewhere(page: Path) -> None:
    assert dead_links(page) == []


def test_a_dead_link_is_seen(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# A heading\n[a](#a-heading) [b](#b) [c](page.md) [d](none.md) [e](https://example.org)\n"
    )
    assert dead_links(page) == ["#b", "none.md"]
