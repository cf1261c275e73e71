#!/usr/bin/env bash
# R 4.2.2 (Debian 12): read.csv takes 12E, 7e and 100E+ for numbers: a column of codes that end in E
# loses it, and 12 and 12E are the same from then on.
#
# By R's documentation an exponent has digits after its E, and 12E in R's own source code is a syntax
# error; the conversion of text does not ask for them. One code with another letter, and the whole
# column stays text, so a list is right until it is filtered to the editions that end in E. As a key,
# 12 may be that of another license. numerals = "no.loss" is about long numbers, and does not help.
#
# Guess: text, as 12D and 12F are.
# Seen:
#   12E 7e 100E+: 12 7 100
#   12E 7e 100E+, no.loss: 12 7 100
#   12D 7d 100D+: 12D 7d 100D+
#   12E in source code: unexpected input
set -euo pipefail
command -v Rscript >/dev/null || { echo 'needs: apt-get install r-base-core'; exit 1; }
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
cd "$home"

cat >try.R <<'R'
read <- function(codes, ...) {
  column <- read.csv(text = c("code", codes), ...)$code
  paste(column, collapse = " ")
}
ending_in_e <- c("12E", "7e", "100E+")
cat("12E 7e 100E+: ", read(ending_in_e), "\n", sep = "")
cat("12E 7e 100E+, no.loss: ", read(ending_in_e, numerals = "no.loss"), "\n", sep = "")
cat("12D 7d 100D+: ", read(c("12D", "7d", "100D+")), "\n", sep = "")
message <- tryCatch(parse(text = "12E"), error = conditionMessage)
cat("12E in source code: ", if (grepl("unexpected input", message)[1]) "unexpected input" else "a number", "\n", sep = "")
R
seen=$(LC_ALL=C Rscript --vanilla try.R)
expected="12E 7e 100E+: 12 7 100
12E 7e 100E+, no.loss: 12 7 100
12D 7d 100D+: 12D 7d 100D+
12E in source code: unexpected input"
Rscript --version 2>&1
echo "$seen"
[ "$seen" = "$expected" ] || { echo "changed; expected:"; echo "$expected"; exit 1; }
