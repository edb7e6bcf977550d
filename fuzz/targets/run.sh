#!/usr/bin/env bash
# Runs every fuzz target of the module for a while, one after another, and prints one line for each. An input that fails is kept in the package's
# testdata/fuzz, where every later test run tries it again. What is interesting without failing stays in Go's cache, and is where the next run begins.
#
#   fuzz/targets/run.sh [PATTERN]      TIME=30s: how long each. PATTERN: only targets whose package and name match it, as in raid/md.FuzzPPL
set -euo pipefail
cd "$(dirname "$0")/../.."
time=${TIME:-30s} pattern=${1:-}
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# Packages are asked one by one: the names alone do not say whose they are.
targets() {
  local folder list
  for folder in $(grep -rl --include='*_test.go' '^func Fuzz' . | xargs -n1 dirname | sort -u); do
    list=$(go test -list '^Fuzz' "$folder") || { echo "$list" >&2; return 1; }
    sed -n "s|^Fuzz|${folder#./}.&|p" <<<"$list"
  done
}
found=$(targets)

# field NAME: the number behind it in the last line that counts executions.
field() { sed -nE "s/^fuzz: elapsed.*$1: ([0-9]+).*/\1/p" "$log" | tail -1 | grep . || echo 0; }

bad=0 run=0
for target in $found; do
  [[ $target =~ $pattern ]] || continue
  run=$((run + 1)) folder=${target%.Fuzz*} name=Fuzz${target##*.Fuzz}
  # Minimising a superblock byte by byte takes a minute each time, so inputs are kept as they are found.
  if go test "./$folder" -run '^$' -fuzz "^$name\$" -fuzztime "$time" -fuzzminimizetime 1x >"$log" 2>&1; then verdict=pass; else verdict=FAIL bad=1; fi
  printf '%-40s %10s executions  %5s new  %s\n' "$target" "$(field execs)" "$(field 'new interesting')" "$verdict"
  [ $verdict = pass ] || sed 's/^/    /' "$log"
done
[ $run != 0 ] || { echo "no target matches $pattern" >&2; exit 1; }
exit $bad
