#!/usr/bin/env bash
# WeasyPrint 70.0: a field of `type="hidden"` is printed with its value, in a box of its own.
#
# Its own style sheet hides such fields, and further below makes each `input` a block by a selector,
# `:is(input, …, input[type=checkbox])`, that weighs as much as the heaviest in its list, and comes
# later. What has the attribute `hidden` stays hidden. A page for approval is not the same on paper as
# in a browser; one line of its own CSS mends that.
#
# Guess: hidden, on paper too.
# Seen:
#   <p hidden>: not there
#   <input type="hidden" value="row 17">: row 17
#   with input[type=hidden] { display: none }: not there
set -euo pipefail
ldconfig -p | grep -q libpangoft2 || { echo 'needs: apt-get install libpango-1.0-0 libpangoft2-1.0-0'; exit 1; }
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
python3 -m venv "$home/venv"
"$home/venv/bin/pip" install --quiet weasyprint==70.0 pypdf==6.4.0

seen=$("$home/venv/bin/python" - <<'PYTHON'
import io
import pypdf
from weasyprint import HTML

def printed(body, css=""):
    pdf = HTML(string=f"<!doctype html><style>{css}</style><p>A page</p>{body}").write_pdf()
    return pypdf.PdfReader(io.BytesIO(pdf)).pages[0].extract_text().replace("A page", "").strip() or "not there"

FIELD = '<input type="hidden" value="row 17">'
print("<p hidden>:", printed("<p hidden>row 17"))
print(f"{FIELD}:", printed(FIELD))
print("with input[type=hidden] { display: none }:", printed(FIELD, "input[type=hidden] { display: none }"))
PYTHON
)
expected='<p hidden>: not there
<input type="hidden" value="row 17">: row 17
with input[type=hidden] { display: none }: not there'
echo "$seen"
[ "$seen" = "$expected" ] || { echo "changed; expected:"; echo "$expected"; exit 1; }
