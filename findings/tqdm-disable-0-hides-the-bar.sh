#!/usr/bin/env bash
# tqdm 4.67.1 (Python 3.11): TQDM_DISABLE=0 hides the bar, TQDM_DISABLE= (empty) shows it.
#
# Since 4.66 variables TQDM_* set the defaults of a bar's arguments. The text is converted to the
# type of the argument's own default, and bool("0") is true: whoever writes 0, false or no to have
# the bar shown hides it. A job's environment that says TQDM_DISABLE=0 "to be sure" is silent.
#
# Guess: 0 and false show the bar, as they do for most switches in an environment.
# Seen:
#   unset: shown
#   TQDM_DISABLE=1: hidden
#   TQDM_DISABLE=0: hidden
#   TQDM_DISABLE=false: hidden
#   TQDM_DISABLE=: shown
set -euo pipefail
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
python3 -m venv "$home/venv"
"$home/venv/bin/pip" install --quiet tqdm==4.67.1

state() {
    if "$@" "$home/venv/bin/python" -c '
import sys
from tqdm import tqdm
for _ in tqdm(range(3), file=sys.stdout, mininterval=0): pass' | grep -q '3/3'; then echo shown; else echo hidden; fi
}
seen="unset: $(state env -u TQDM_DISABLE)"
for value in 1 0 false ''; do
    seen+=$'\n'"TQDM_DISABLE=$value: $(state env TQDM_DISABLE="$value")"
done
expected="unset: shown
TQDM_DISABLE=1: hidden
TQDM_DISABLE=0: hidden
TQDM_DISABLE=false: hidden
TQDM_DISABLE=: shown"
echo "$seen"
[ "$seen" = "$expected" ] || { echo "changed; expected:"; echo "$expected"; exit 1; }
