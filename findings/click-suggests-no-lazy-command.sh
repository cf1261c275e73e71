#!/usr/bin/env bash
# click 8.4.0 (Python 3.11): "did you mean" looks at Group.commands alone, and not at list_commands.
#
# A group that imports its commands when they are asked for (LazyGroup in click's own documentation,
# "Lazily Loading Subcommands") overrides list_commands and get_command. Help lists its commands,
# completion completes them, but a mistyped one is told nothing: the suggestions of click 8.4 are
# made from the dictionary of commands that were added, and that is empty.
#
# Guess: the names come from list_commands, as those of help and completion do.
# Seen:
#   added: suggested
#   lazy: nothing
set -euo pipefail
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
python3 -m venv "$home/venv"
"$home/venv/bin/pip" install --quiet click==8.4.0

seen=$("$home/venv/bin/python" - <<'PY'
import click
from click.testing import CliRunner

class Lazy(click.Group):
    def list_commands(self, ctx):
        return ["verify"]
    def get_command(self, ctx, name):
        return click.Command("verify") if name == "verify" else None

added = click.Group("tool", commands={"verify": click.Command("verify")})
for name, group in (("added", added), ("lazy", Lazy("tool"))):
    result = CliRunner().invoke(group, ["verfy"])
    assert result.exit_code == 2, result.output
    print(f"{name}: {'suggested' if 'verify' in result.output else 'nothing'}")
PY
)
expected="added: suggested
lazy: nothing"
echo "$seen"
[ "$seen" = "$expected" ] || { echo "changed; expected:"; echo "$expected"; exit 1; }
