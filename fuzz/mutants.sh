#!/usr/bin/env bash
# The mutation score: puts each bug of fuzz/mutants into a copy of the tree and runs worlds until one of them fails. Every mutant must be killed,
# and no canary. For each it prints the seed that killed it and the CPU seconds that took.
#
#   fuzz/mutants.sh [NAME...]      SECONDS_EACH=60: how long a mutant may live, wall clock. SEEDS=0-100000: the worlds, from the first on
set -euo pipefail
cd "$(dirname "$0")/.."
limit=${SECONDS_EACH:-60} seeds=${SEEDS:-0-100000}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
[ $# -gt 0 ] || set -- $(basename -s .patch fuzz/mutants/*.patch)

bad=0 killed=0 spared=0
for name in "$@"; do
  rm -rf "$work/tree" && mkdir "$work/tree"
  cp -r go.mod go.sum block sched parity raid sim fuzz "$work/tree"
  if ! (cd "$work/tree" && patch -s -p1 --no-backup-if-mismatch <"fuzz/mutants/$name.patch" && go test -c -o "$work/worlds" ./fuzz) >"$work/log" 2>&1; then
    printf '%-24s does not apply or build\n' "$name"; sed 's/^/    /' "$work/log"; bad=1; continue
  fi
  TIMEFORMAT='%U %S'
  status=0
  { time "$work/worlds" -test.run 'TestWorlds$' -seeds="$seeds" -limit="${limit}s" -test.timeout "$((limit + 240))s" >"$work/log" 2>&1 || status=$?; } 2>"$work/time" || true
  cpu=$(awk 'END {printf "%.1f", $1 + $2}' "$work/time")
  seed=$(grep -oE -m1 'seed=[0-9]+' "$work/log" || true)
  case "$name:$status" in
    canary-*:0) printf '%-24s lives, as it must      %6ss CPU\n' "$name" "$cpu"; spared=$((spared + 1)) ;;
    canary-*) printf '%-24s KILLED, and is harmless: %s\n' "$name" "$(grep -m1 -E 'life|panic' "$work/log")"; bad=1 ;;
    *:0) printf '%-24s SURVIVED               %6ss CPU\n' "$name" "$cpu"; bad=1 ;;
    *) printf '%-24s killed  %-14s %6ss CPU  %s\n' "$name" "${seed:-no seed}" "$cpu" "$(grep -m1 -oE 'life [0-9]+ at .*|panic: .*' "$work/log" | cut -c1-100)"; killed=$((killed + 1)) ;;
  esac
done
echo "$killed killed, $spared canaries alive"
exit $bad
