# The two commands of the README: make run, make test. Each does all its own set-up.
GO      ?= go
BIN     := bin/graid
STATIC  := CGO_ENABLED=0

.PHONY: run build test quick lint unit race oracle interop cross worlds mutants coverage crash fuzz bench bench-parity soak tools help

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

run: build ## build graid and take the tour on throw-away files
	@./$(BIN) demo

build: ## the static binary, bin/graid
	@$(STATIC) $(GO) build -trimpath -o $(BIN) ./cmd/graid

test: ## everything that must hold; installs what it needs where it may
	@./.ci/test

quick: ## unit tests without the race detector: what to run while writing
	@$(GO) test $$($(GO) list ./... | grep -v /oracle)

lint: ## gofmt, go vet, staticcheck
	@test -z "$$(gofmt -l . | tee /dev/stderr)"
	@$(GO) vet ./...
	@$(GO) run honnef.co/go/tools/cmd/staticcheck@v0.8.2 ./...

race: ## unit tests with the race detector
	@$(GO) test -race $$($(GO) list ./... | grep -v /oracle)

oracle: ## arrays made by Linux opened here, arrays made here opened by Linux, in an emulated machine
	@$(GO) test -count=1 -timeout 30m ./oracle/...

SEEDS ?= 0-9999
worlds: ## simulated worlds with faults and power cuts, judged: SEEDS=first-last
	@$(GO) test -count=1 -timeout 0 ./fuzz -run 'TestWorlds$$' -v -seeds=$(SEEDS)

mutants: ## bugs put in on purpose: the judges must find every one of them. NAMES="some of fuzz/mutants", SECONDS_EACH=60 of CPU
	@fuzz/mutants.sh $(NAMES)

coverage: ## how much of the engine worlds reach, package by package: SEEDS=first-last
	@$(GO) test -count=1 -timeout 0 ./fuzz -run 'TestWorlds$$' -seeds=$(SEEDS) -coverpkg=graid/raid,graid/raid/... -coverprofile=bin/worlds.cover | tail -1
	@awk 'NR > 1 {p = $$1; sub(/\/[^\/]*$$/, "", p); n[p] += $$2; if ($$3) hit[p] += $$2} END {for (p in n) printf "%5.1f%% of %4d statements  %s\n", 100*hit[p]/n[p], n[p], p}' bin/worlds.cover | sort -k5

TIME ?= 30s
fuzz: ## every fuzz target, one after another: TIME=30s each
	@TIME=$(TIME) fuzz/targets/run.sh

DEPTH ?= 1
crash: ## what every crash in every short history may leave, recovered and judged: DEPTH=writes, SHAPE=a prefix, LIMIT=of each shape
	@$(GO) test -count=1 -timeout 0 ./fuzz/crash -run 'TestDepth$$' -v -depth=$(DEPTH) -shape="$(SHAPE)" -limit=$(or $(LIMIT),0)

interop: build ## the NBD clients that people use against an array, one line a check: flags, copies, odd and illegal requests, TLS, activation
	@cmd/graid/interop.sh $(BIN)

cross: ## builds for every supported system
	@for os in linux darwin windows freebsd; do for arch in amd64 arm64; do \
		GOOS=$$os GOARCH=$$arch $(STATIC) $(GO) build -o /dev/null ./cmd/graid && GOOS=$$os GOARCH=$$arch $(STATIC) $(GO) build ./... || exit 1; done; done

bench: build ## figures: allocations, recovery against a plain copy, and the load against peers; BENCH=full is all of it
	@$(GO) test -run '^$$' -bench . -benchmem ./raid ./nbd
	@$(GO) run ./bench/rebuild
	@bench/peers.sh $(BIN)

bench-parity: ## parity against ISA-L (libisal-dev), klauspost/reedsolomon, xorsimd and crypto/subtle: all levels, a few minutes
	@cd bench/parity && CGO_ENABLED=1 $(GO) build -o ../../bin/bench-parity . && cd ../.. && \
		for level in "" avx2; do GRAID_PARITY=$$level bin/bench-parity || exit 1; done

soak: TIME = 10m
soak: build ## no user error while redundancy is left: a file system, fio that verifies, members that come and go, TIME=10m in all, as root
	@TIME=$(TIME) bench/soak.sh $(BIN)
