#!/usr/bin/env bash
# The mutation score: puts each bug of fuzz/mutants into a copy of the tree, and lets the judges at it one after another: worlds, crash states
# (fuzz/crash), and the engine's unit tests. Every mutant must be killed by one of them, and no canary by worlds. For each it prints who killed
# it, the seed or the test, and the CPU seconds from the start of the first judge. A patch that says judge=units is of something that no world has.
#
#   fuzz/mutants.sh [NAME...]      SECONDS_EACH=60: how much CPU a mutant may use among worlds. SEEDS=0-100000: the worlds, from the first on
set -euo pipefail
cd "$(dirname "$0")/.."
limit=${SECONDS_EACH:-60} seeds=${SEEDS:-0-100000}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
[ $# -gt 0 ] || set -- $(basename -s .patch fuzz/mutants/*.patch)
TIMEFORMAT='%U %S'
mkdir "$work/clean" && cp -r go.mod go.sum block sched parity raid sim fuzz "$work/clean"
: >"$work/all"

# judge COMMAND... says whether it convicts, and adds what it took to $work/time.
judge() {
  local status=0
  { time "$@" >"$work/log" 2>&1 || status=$?; } 2>>"$work/time" || true
  [ $status -ne 0 ]
}
# A mutant may run away with memory: that is a conviction, but not to be shared by the machine.
bounded() { (ulimit -v 8000000; exec "$@"); }
worlds() { judge bounded "$work/worlds" -test.run 'TestWorlds$' -seeds="$seeds" -limit="${limit}s" -test.timeout "$((limit * 10 + 240))s"; }
states() { [ -d fuzz/crash ] && judge go -C "$work/tree" test -timeout 10m ./fuzz/crash; }
units() { judge go -C "$work/tree" test -short -timeout 3m ./raid/...; }
what() {
  (grep -m1 -oE 'life [0-9]+ at .*|still going on.*|nothing can happen.*|panic: .*|fatal error: .*' "$work/log" || grep -m1 -oE -- '--- FAIL: .*' "$work/log") | cut -c1-90
}

bad=0 killed=0 spared=0
for name in "$@"; do
  patch=fuzz/mutants/$name.patch
  rm -rf "$work/tree" && cp -r "$work/clean" "$work/tree"
  if ! (cd "$work/tree" && patch -s -p1 --no-backup-if-mismatch <"fuzz/mutants/$name.patch" && go test -c -ldflags='-s -w' -o "$work/worlds" ./fuzz) >"$work/log" 2>&1; then
    printf '%-26s does not apply or build\n' "$name"; sed 's/^/    /' "$work/log"; bad=1; continue
  fi
  judges='worlds states units'
  case $name in canary-*) judges=worlds ;; esac
  if grep -q '^judge=units' "$patch"; then judges=units; fi
  : >"$work/time"
  by=
  for j in $judges; do
    if $j; then by=$j; break; fi
  done
  cpu=$(awk '{s += $1 + $2} END {printf "%.1f", s}' "$work/time")
  seed=$(grep -oE -m1 'seed=[0-9]+' "$work/log" || true)
  case "$name:$by" in
    canary-*:) printf '%-26s lives, as it must              %6ss CPU\n' "$name" "$cpu"; spared=$((spared + 1)) ;;
    canary-*) printf '%-26s KILLED, and is harmless: %s\n' "$name" "$(what)"; bad=1 ;;
    *:) printf '%-26s SURVIVED                       %6ss CPU\n' "$name" "$cpu"; bad=1 ;;
    *) printf '%-26s killed by %-6s %-12s %6ss CPU  %s\n' "$name" "$by" "$seed" "$cpu" "$(what || true)"; killed=$((killed + 1)); echo "$cpu" >>"$work/all" ;;
  esac
done
echo "$killed killed, median $(sort -n "$work/all" | awk '{a[NR] = $1} END {print NR ? a[int((NR + 1) / 2)] : "no"}') CPU seconds; $spared canaries alive"
exit $bad
