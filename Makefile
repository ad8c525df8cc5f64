# The two commands that a fresh Debian or Ubuntu machine with Go needs are
# `make demo` and `make test`; each sets up what is missing by itself.

GO      ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X main.version=$(VERSION)

# What the tests run or compare with; the program itself needs fuse3 alone.
PACKAGES := attr fio fuse3 git openssh-client openssh-server openssh-sftp-server \
            rsync sqlite3 sshfs strace tar vim websockify
PLATFORMS := linux/amd64 linux/arm64 darwin/amd64 darwin/arm64

STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.9.0

# Bounds for a machine of two cores: with builds, make test stays within 25
# minutes. The race detector costs a factor of five
# to ten.
LIMIT      ?= 20m
RACE_LIMIT ?= 60m
FUZZTIME   ?= 30s
# Inputs rather than a time, so that a busy machine tries as much as an idle one.
FUZZSHORT  ?= 2000x
COUNT      ?= 1
HOSTILE    ?= 10m
# leftover runs a command and fails if it leaves a process, a mount or a file.
leftover = $(GO) run ./test/leftover -limit $(1) --

.PHONY: all build setup demo test cross race lint bench fuzz faults hostile websocat-test clean

all: build

build:
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/sbxmount ./cmd/sbxmount

setup:
	@.ci/setup $(PACKAGES)

demo: SETUP := fuse3
demo: build
	@.ci/setup $(SETUP)
	bin/sbxmount demo

test: setup build cross
	$(GO) vet ./...
	$(call leftover,$(LIMIT)) $(GO) test -count=1 -timeout $(LIMIT) ./...
	@$(call leftover,$(LIMIT)) .ci/fuzz $(FUZZSHORT) quick

cross:
	@set -e; for p in $(PLATFORMS); do \
		echo "build $$p"; \
		CGO_ENABLED=0 GOOS=$${p%/*} GOARCH=$${p#*/} $(GO) build ./...; \
	done

race: setup
	@.ci/setup gcc libc6-dev
	$(call leftover,$(RACE_LIMIT)) $(GO) test -race -count=$(COUNT) -timeout $(RACE_LIMIT) ./...

# staticcheck's U1000 finds code that nothing uses. govulncheck needs its
# database from the network; without it the check is left out, aloud.
lint:
	@unformatted=$$(gofmt -l $$(git ls-files -co --exclude-standard '*.go')); \
		test -z "$$unformatted" || { echo "not formatted:"; echo "$$unformatted"; exit 1; }
	$(GO) vet ./...
	GOOS=darwin $(GO) vet ./...
	$(GO) run $(STATICCHECK) -checks 'all,-ST1000,-ST1003,-ST1016,-ST1020,-ST1021,-ST1022' ./...
	@.ci/vulncheck $(GOVULNCHECK)

# For example: make bench BENCH='-run find -rtt 20 -n 1'
bench: setup build
	$(GO) run ./test/bench $(BENCH)

# Each fuzz test for so long, with the instrumentation that finds new code.
fuzz:
	@.ci/fuzz $(FUZZTIME)

faults: setup build
	$(call leftover,$(RACE_LIMIT)) $(GO) test -race -count=$(COUNT) -timeout $(RACE_LIMIT) ./test/faults/... ./test/contract/... ./conn/...
	SBXMOUNT_FAULTS=long $(call leftover,$(RACE_LIMIT)) $(GO) test -count=$(COUNT) -timeout $(RACE_LIMIT) ./test/survive/...

# Programs in real mounts of sandboxes that do all that they can, for so long:
# HOSTILE=1h for millions of replies. HOSTILE_SEED says which one to begin with.
hostile: setup
	HOSTILE_TIME=$(HOSTILE) $(call leftover,1000h) $(GO) test -v -count=1 -timeout 0 -run 'TestHostileMount$$' ./test/hostile

# The suites again, behind the bridge that runs in real sandboxes.
websocat-test: setup build
	@command -v websocat >/dev/null || { \
		echo "websocat is not on PATH: https://github.com/vi/websocat/releases"; exit 1; }
	SBXMOUNT_TEST_BRIDGE=websocat $(call leftover,$(LIMIT)) $(GO) test -count=1 -timeout $(LIMIT) ./test/... ./conn/...

clean:
	rm -rf bin
