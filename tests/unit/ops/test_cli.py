"""The command line: what it offers, and how it fails."""

import json

import click
import pytest
from click.testing import CliRunner

from steelyard.ops import cli
from steelyard.ops.terminal import Terminal, facts

COMMANDS = [
    ["up"],
    ["down"],
    ["status"],
    ["demo"],
    ["replay"],
    ["drill"],
    ["drill", "kill-leader"],
    ["drill", "restore"],
    ["drill", "all"],
    ["sim"],
    ["replace"],
    ["bench"],
    ["bench", "core"],
    ["bench", "e2e"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_explains_itself(command: list[str]) -> None:
    done = CliRunner().invoke(cli.cli, [*command, "--help"])
    assert done.exit_code == 0
    assert "Usage:" in done.output


def test_every_command_that_does_something_speaks_json() -> None:
    def leaves(command: click.Command) -> list[click.Command]:
        if isinstance(command, click.Group):
            context = click.Context(command)
            each = [command.get_command(context, name) for name in command.list_commands(context)]
            return [leaf for one in each if one is not None for leaf in leaves(one)]
        return [command]

    for command in leaves(cli.cli):
        assert "--json" in [option for parameter in command.params for option in parameter.opts], command.name


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["status", "--data", "{}"], "holds no group"),
        (["down", "--data", "{}"], "holds no group"),
        (["replay", "{}/missing.gz"], "No such file"),
    ],
)
def test_a_failure_is_one_sentence_and_one_object(
    arguments: list[str],
    words: str,
    tmp_path: object,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("sys.argv", ["steelyard", *(each.format(tmp_path) for each in arguments), "--json"])
    monkeypatch.setattr("signal.signal", lambda *_: None)
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    out, err = capsys.readouterr()
    assert stopped.value.code == cli.EXIT_FAILED
    assert words in err
    found = json.loads(out)
    assert found["ok"] is False
    assert words in found["error"]


def test_wrong_usage_exits_with_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["steelyard", "drill", "kill-leader", "--rounds", "0"])
    monkeypatch.setattr("signal.signal", lambda *_: None)
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code == 2


def test_json_is_one_line_on_stdout_and_words_go_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    terminal = Terminal(as_json=True)
    terminal.say("working")
    with terminal.progress("working", 3) as advance:
        advance(3)
    terminal.finish({"ok": True, "count": 1}, facts({"ok": True}))
    out, err = capsys.readouterr()
    assert out == '{"ok":true,"count":1}\n'
    assert "working" in err
