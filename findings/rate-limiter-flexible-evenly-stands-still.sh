#!/usr/bin/env bash
# rate-limiter-flexible 11.4.0 (Node 20): with execEvenly, 50 points in 5 seconds, a client that asks
# for one point after the other stands still for two seconds and more, again and again.
#
# The wait is what is left of the window, divided by the points that are left and two. Where that
# is less than duration / points, which the wiki calls the minimum delay, the wait is that minimum
# times the points used so far, and a timer that fires a millisecond late is enough for it: after
# some tenths of a second at an even pace the twentieth point waits 2 s, the thirtieth 3 s.
#
# Guess: a point each 0.1 s.
# Seen, in 11 s:
#   even waits of 0.1 s: most of them
#   longest wait: more than 1 s
#   points: fewer than 90 of 110
set -euo pipefail
command -v npm >/dev/null || { echo 'needs: Node 20 or later, with npm'; exit 1; }
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
cd "$home"
npm install --silent --no-fund --no-audit rate-limiter-flexible@11.4.0 >log 2>&1

seen=$(node - <<'JS'
const { RateLimiterMemory } = require("rate-limiter-flexible");
const limiter = new RateLimiterMemory({ points: 50, duration: 5, execEvenly: true });

(async () => {
  const waits = [];
  const start = performance.now();
  for (let last = start; last < start + 11000; ) {
    await limiter.consume("client");
    waits.push(performance.now() - last);
    last += waits.at(-1);
  }
  const even = waits.filter((wait) => wait > 90 && wait < 130).length;
  console.log(`even waits of 0.1 s: ${even > waits.length / 2 ? "most of them" : "few"}`);
  console.log(`longest wait: ${Math.max(...waits) > 1000 ? "more than 1 s" : "up to 1 s"}`);
  console.log(`points: ${waits.length < 90 ? "fewer than 90 of 110" : waits.length}`);
  console.error(`${waits.length} points; waits above 0.2 s: ${waits.filter((wait) => wait > 200).map((wait) => (wait / 1000).toFixed(1))}`);
})();
JS
)
expected="even waits of 0.1 s: most of them
longest wait: more than 1 s
points: fewer than 90 of 110"
echo "$seen"
[ "$seen" = "$expected" ] || { echo "changed; expected:"; echo "$expected"; exit 1; }
