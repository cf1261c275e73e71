#!/usr/bin/env bash
# cronosjs 1.7.1 and @datasert/cronjs-matcher 1.4.0 (Node 20): a range of weekdays that ends in Sunday
# loses days. `0-7`, every day, is Sunday alone in the one; `mon-sun` has no Sunday in the other.
#
# Both take a 7 for Sunday, as cron does. The one makes a 0 of it before it reads the range, which
# then is 0-0; the other counts the range up to 7 and has no day of that number. No error is raised:
# a list for every night is revoked once a week, or on six days of it.
#
# Guess: seven days each.
# Seen, in a week:
#   cronosjs 0-7: Sun
#   cronosjs 1-7: Mon Tue Wed Thu Fri Sat Sun
#   cronjs-matcher 0-7: Mon Tue Wed Thu Fri Sat Sun
#   cronjs-matcher 1-7: Mon Tue Wed Thu Fri Sat
#   cronjs-matcher mon-sun: Mon Tue Wed Thu Fri Sat
#   cronjs-matcher 7: Sun
set -euo pipefail
command -v npm >/dev/null || { echo 'needs: Node 20 or later, with npm'; exit 1; }
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
cd "$home"
npm install --silent --no-fund --no-audit cronosjs@1.7.1 @datasert/cronjs-matcher@1.4.0 >log 2>&1

seen=$(TZ=UTC node - <<'JS'
const { CronosExpression } = require("cronosjs");
const { getFutureMatches } = require("@datasert/cronjs-matcher");
const start = new Date("2027-01-03T12:00:00Z"), end = new Date("2027-01-10T12:00:00Z"); // Sundays

function cronosjs(days) {
  const found = [], expression = CronosExpression.parse(`0 2 * * ${days}`, { timezone: "UTC" });
  for (let next = expression.nextDate(start); next < end; next = expression.nextDate(next)) found.push(next);
  return found;
}

function matcher(days) {
  const week = { startAt: start.toISOString(), endAt: end.toISOString(), matchCount: 20, timezone: "UTC" };
  return getFutureMatches(`0 2 * * ${days}`, week).map((moment) => new Date(moment));
}

const shown = (moments) => moments.map((moment) => moment.toUTCString().slice(0, 3)).join(" ");
for (const days of ["0-7", "1-7"]) console.log(`cronosjs ${days}: ${shown(cronosjs(days))}`);
for (const days of ["0-7", "1-7", "mon-sun", "7"]) console.log(`cronjs-matcher ${days}: ${shown(matcher(days))}`);
JS
)
expected="cronosjs 0-7: Sun
cronosjs 1-7: Mon Tue Wed Thu Fri Sat Sun
cronjs-matcher 0-7: Mon Tue Wed Thu Fri Sat Sun
cronjs-matcher 1-7: Mon Tue Wed Thu Fri Sat
cronjs-matcher mon-sun: Mon Tue Wed Thu Fri Sat
cronjs-matcher 7: Sun"
echo "$seen"
[ "$seen" = "$expected" ] || { echo "changed; expected:"; echo "$expected"; exit 1; }
