#!/usr/bin/env bash
# MariaDB 10.11 (Debian 12): INTO OUTFILE with ENCLOSED BY '"' ESCAPED BY '"', which is how one gets
# "" for a quote, writes NULL as "N: an opening quote that nothing closes.
#
# The default escape is a backslash, and \" ends the cell for every CSV parser. The known way to
# quotes as RFC 4180 has them is to make the quote its own escape. But NULL is the escape character
# and an N, without quotes around it: where the next NULL closes the quote, a parser joins the rows
# between without an error. Python reads three rows of five.
#
# Guess: NULL is empty, or the word NULL, as with FIELDS ESCAPED BY ''.
# Seen:
#   1,"x",5
#   2,"N,6
#   3,"say ""x""",7
#   4,"N,8
#   5,"y",9
#   read: 3 rows, the second ['2', 'N,6\n3,say ""x"""', '7']
set -euo pipefail
home=$(mktemp -d)
cd "$home"
apt-get download mariadb-server-core mariadb-client-core libmariadb3 liburing2 libaio1 >log 2>&1
for package in *.deb; do dpkg -x "$package" unpacked; done
export LD_LIBRARY_PATH=$home/unpacked/usr/lib/x86_64-linux-gnu:$home/unpacked/lib/x86_64-linux-gnu
mkdir data
unpacked/usr/sbin/mariadbd --no-defaults --user="$(id -un)" --datadir="$home/data" --skip-networking \
    --skip-grant-tables --socket="$home/socket" --secure-file-priv= --plugin-dir="$home" \
    --lc-messages-dir="$home/unpacked/usr/share/mysql" >log 2>&1 &
server=$!
trap 'kill "$server" 2>/dev/null; wait "$server" || true; rm -rf "$home"' EXIT
for _ in $(seq 100); do [ -S socket ] && break; sleep 0.1; done

unpacked/usr/bin/mariadb --no-defaults --socket="$home/socket" -e "
    CREATE DATABASE x; USE x;
    CREATE TABLE l (id INT, note TEXT, n INT);
    INSERT INTO l VALUES (1, 'x', 5), (2, NULL, 6), (3, 'say \"x\"', 7), (4, NULL, 8), (5, 'y', 9);
    SELECT * FROM l ORDER BY id INTO OUTFILE '$home/list.csv'
        FIELDS TERMINATED BY ',' OPTIONALLY ENCLOSED BY '\"' ESCAPED BY '\"'"
seen="$(cat list.csv)
read: $(python3 -c '
import csv
rows = list(csv.reader(open("list.csv", newline="")))
print(len(rows), "rows, the second", rows[1])')"
expected='1,"x",5
2,"N,6
3,"say ""x""",7
4,"N,8
5,"y",9
'"read: 3 rows, the second ['2', 'N,6\n3,say \"\"x\"\"\"', '7']"
echo "$seen"
[ "$seen" = "$expected" ] || { echo "changed; expected:"; echo "$expected"; exit 1; }
