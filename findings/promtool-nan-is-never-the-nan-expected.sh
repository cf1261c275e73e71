#!/usr/bin/env bash
# promtool 2.42.0 (Debian 12): a test of rules that expects NaN where the value is NaN fails, and
# shows the two as the same.
#
# NaN is the usual value for "not known" (a run that was refused before it had counted), and an
# alert has to be tested with it. Samples are compared as numbers, and NaN equals nothing. In
# `values` of a series it is spelled NaN, in `value` that is no number: there it is .nan of YAML.
# What can be tested is the expression `x != x`, or a count.
#
# Guess: the test passes, or the file is refused.
# Seen:
#   value: NaN: FAILED cannot unmarshal !!str `NaN` into float64
#   value: .nan: FAILED exp: {__name__="x"} NaN got: {__name__="x"} NaN
#   count(x != x): SUCCESS
set -euo pipefail
command -v promtool >/dev/null || { echo 'needs: apt-get install prometheus'; exit 1; }
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
cd "$home"

tested() {
    cat >test.yml <<YAML
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series: [{series: x, values: NaN NaN}]
    promql_expr_test:
      - {expr: '$1', eval_time: 1m, exp_samples: [{labels: '$2', value: $3}]}
YAML
    promtool test rules test.yml 2>&1 |
        grep -oE 'SUCCESS|FAILED|(exp|got): .*[^ ]|cannot unmarshal.*' | paste -sd ' '
}
seen="value: NaN: $(tested x x NaN)
value: .nan: $(tested x x .nan)
count(x != x): $(tested 'count(x != x)' '{}' 1)"
expected='value: NaN: FAILED cannot unmarshal !!str `NaN` into float64
value: .nan: FAILED exp: {__name__="x"} NaN got: {__name__="x"} NaN
count(x != x): SUCCESS'
promtool --version 2>&1 | head -1
echo "$seen"
[ "$seen" = "$expected" ] || { echo "changed; expected:"; echo "$expected"; exit 1; }
