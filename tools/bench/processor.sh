#!/bin/sh
# A processor that takes a fixed time for each MB of its input and no CPU.
#
#   processor.sh SIZES PRODUCT DIRECTORY OUT
#
# SIZES holds lines of "PRODUCT BYTES FILES MILLISECONDS". It fails unless DIRECTORY holds all the
# product's files with all their bytes, sleeps, and writes OUT.
set -eu
while read -r name bytes files ms; do
    [ "$name" = "$2" ] && break
done <"$1"
[ "$name" = "$2" ] || { echo "processor: no product is called $2" >&2; exit 3; }
there=$(find "$3" -type f ! -name '.*' -printf '%s\n' | { sum=0 count=0
    while read -r size; do sum=$((sum + size)) count=$((count + 1)); done
    echo "$sum $count"; })
[ "$there" = "$bytes $files" ] || { echo "processor: $2 has $there (bytes, files), not $bytes $files" >&2; exit 4; }
sleep "$(printf '%d.%03d' $((ms / 1000)) $((ms % 1000)))"
echo "$2 $there" >"$4"
