# The commands of this project; `make` lists them.
#
# Every Go command runs with the same settings, so that build, test and lint
# share one build cache. cgo is on only where the race detector needs it, and for
# the one program that calls a library of NVIDIA's, nvml-agent.

SHELL       := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

export CGO_ENABLED = 0
# go-nvml wraps functions that its header calls deprecated, dozens of them.
export CGO_CFLAGS ?= -O2 -g -Wno-deprecated-declarations
# The version is passed explicitly, so the build never asks git for a stamp and
# works in a checkout that belongs to another user.
export GOFLAGS ?= -buildvcs=false

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)

comma := ,

# How long each fuzz target runs, and how often each benchmark.
FUZZTIME ?= 1m
COUNT    ?= 6

# vet is part of lint. During tests it would analyse every dependency of the
# control plane once more.
GOTEST := go test -vet=off

# Packages of the test module run one after the other: each one that links the
# control plane needs up to 3 GB for it, and some of them measure time. They are
# never taken from the test cache, because it does not see files outside the
# module, such as the program and the manifests they run.
BEDTEST = $(GOTEST) -count=1 -p 1 -timeout 25m

# The tools are built again when their versions or the toolchain change.
TOOLS := bin/tools-$(shell { cat test/tools/go.mod test/tools/go.sum; go env GOVERSION; } 2>/dev/null | cksum | cut -d' ' -f1)

##@ Use

.PHONY: help
help: ## List the targets
	@awk 'BEGIN { FS = ":.*## " } \
		/^##@ / { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z0-9-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build bin/gpuscaler, static, and with a C compiler bin/nvml-agent (VERSION=v1.2.3 to name them)
	go build -ldflags '-X main.version=$(VERSION)' -o bin/gpuscaler ./cmd/gpuscaler
	@if command -v gcc >/dev/null; then $(MAKE) --no-print-directory nvml-agent; \
	else echo 'no gcc: bin/nvml-agent is not built'; fi

# The folder for temporary files is its own: a stray nvml.h in it would be found
# before go-nvml's. Never link it with -z now: it calls functions of a library
# that is only there when it runs.
.PHONY: nvml-agent
nvml-agent: ## Build bin/nvml-agent (needs gcc)
	@mkdir -p bin/tmp
	TMPDIR=$(abspath bin/tmp) CGO_ENABLED=1 go build -trimpath -ldflags '-X main.version=$(VERSION)' -o bin/nvml-agent ./cmd/nvml-agent

.PHONY: demo
demo: build ## Watch it scale two workloads on a real control plane for three minutes; Ctrl-C ends it
	@echo 'building the control plane: some minutes the first time, seconds after'
	cd test && go build -o ../bin/demo ./demo
	@cd test && exec ../bin/demo

.PHONY: clean
clean: ## Remove what the other targets built
	rm -rf bin

##@ Check

# The agent's tests build the program: what it is made of is compiled before their
# time is taken.
.PHONY: unit
unit: nvml-agent ## Run the quick tests, with the race detector (needs gcc)
	CGO_ENABLED=1 $(GOTEST) -race -timeout 5m ./...
	cd test && $(GOTEST) -count=1 ./arrows

# What finds faults of accessibility in a page. Without npm those tests are left out.
AXE := bin/axe/node_modules/axe-core/axe.min.js

$(AXE):
	@mkdir -p bin/axe
	@if command -v npm >/dev/null; then \
		npm install --prefix bin/axe --ignore-scripts --no-audit --no-fund --silent axe-core@4.14.1; \
	else echo 'no npm: the pages are not checked by axe-core'; fi

# go build first, because it compiles on all cores: -p 1 would compile on one.
.PHONY: test
test: unit build $(AXE) ## Run every test: unit, fuzz seeds, conformance, end to end on a real control plane, in a browser
	@echo 'building the control plane: some minutes the first time, seconds after'
	cd test && go build ./...
	cd test && $(BEDTEST) ./...

.PHONY: conformance
conformance: ## Compare every decision with the HorizontalPodAutoscaler's own code
	cd test && $(BEDTEST) ./conformance/...

.PHONY: faults
faults: ## Break what the program lives on, one thing after the other, and see that it keeps its promises
	cd test && $(BEDTEST) -v -run 'TestFaults' ./faults
	@grep '^|' test/faults/README.md

.PHONY: mutate
mutate: ## Take each rule of the policy, and each guard against a fault, away and see that its scenario or its fault notices
	cd test && go run ./mutate
	cd test && $(BEDTEST) -v -run 'TestGuards' ./faults -guards

# The traces are not part of this repository; without the folder they are left out. README.md there says what they are.
TRACES ?= ../shared/traces

.PHONY: compare
compare: ## Play loads with this policy and its rivals, and rewrite the table of test/compare/README.md (TRACES=folder)
	cd test && $(GOTEST) -count=1 -timeout 2h -v -run '^TestCompare$$' ./compare -full -traces $(abspath $(TRACES)) -csv $(abspath bin)/compare.csv

# The machine should have nothing else to do meanwhile. Shorter: ROUNDS=1 STEPS=30 ARMS=hpa-tuned,gpuscaler-1s; SEED=n to repeat a run.
.PHONY: bench-hpa
bench-hpa: build ## Compare with the HPA on one API server, and rewrite the tables of test/bench/README.md (25 minutes; ROUNDS, STEPS, ARMS, SEED)
	cd test && go build -o ../bin/bench-hpa ./bench/hpa
	@cd test && exec ../bin/bench-hpa -csv ../bin/bench-hpa.csv -readme bench/README.md \
		$(if $(ROUNDS),-rounds $(ROUNDS)) $(if $(STEPS),-steps $(STEPS)) $(if $(ARMS),-arms $(ARMS)) $(if $(SEED),-seed $(SEED))

.PHONY: browser
browser: $(AXE) ## Open dashboard and reports in Chromium; screenshots are in bin/screenshots
	cd test && $(BEDTEST) ./browser/...

.PHONY: e2e
e2e: build ## Run the end-to-end tests alone
	cd test && $(BEDTEST) ./e2e/...

# How long the soak lets everything change and fail. SEED repeats one: a soak prints its own.
SOAK ?= 10m
SEED ?= 0

.PHONY: soak
soak: build ## Let everything change and fail around three processes with the race detector, for SOAK (10m), and see that all comes back (needs gcc)
	@echo 'building the control plane: some minutes the first time, seconds after'
	cd test && go build ./stage && go test -vet=off -count=1 -timeout 0 -v -run '^TestSoak$$' ./soak -length $(SOAK) -seed $(SEED)

# The packages with files that need cgo, which the first run does not see.
CGO_PACKAGES = ./metrics/nvml ./cmd/nvml-agent

# -e in the test module: tests of its dependencies, which nobody here runs, need
# modules that are not to be had.
.PHONY: lint
lint: $(TOOLS) ## Check style, imports, formatting and tidiness of the modules; `make fmt tidy` mends most
	bin/golangci-lint run ./...
	@if command -v gcc >/dev/null; then echo 'with cgo:' $(CGO_PACKAGES); mkdir -p bin/tmp; \
		TMPDIR=$(abspath bin/tmp) CGO_ENABLED=1 bin/golangci-lint run $(CGO_PACKAGES); \
	else echo 'no gcc: what needs cgo is not checked'; fi
	cd test && ../bin/golangci-lint run --config ../.golangci.yml ./...
	go mod tidy -diff
	cd test && go mod tidy -e -diff
	cd test/tools && go mod tidy -diff

##@ Ship

# How programs are built that leave this machine: without its paths, without
# symbols, and with nothing that changes from one build to the next. Who builds
# the same source with the same VERSION and the same Go gets the same bytes.
SHIPPED = -s -w -X main.version=$(VERSION)

# bin/dist/PROGRAM_OS_ARCH is a folder with the program for that platform and
# what is to be passed on with it.
words = $(subst _, ,$(notdir $@))
os    = $(word 2,$(words))
arch  = $(word 3,$(words))

.PHONY: force
bin/dist/gpuscaler_%: force
	rm -rf $@
	GOOS=$(os) GOARCH=$(arch) go build -trimpath -buildvcs=false -ldflags '$(SHIPPED)' -o $@/ ./cmd/gpuscaler
	$(call pass-on,./cmd/gpuscaler)

# Of the driver's functions some are missing in most drivers, so they are looked
# for when they are called, also where linkers do it at the start by default.
# cgo takes a stray nvml.h in the folder for temporary files for go-nvml's own.
bin/dist/nvml-agent_%: force
	rm -rf $@
	@mkdir -p bin/tmp
	TMPDIR=$(abspath bin/tmp) CGO_ENABLED=1 CC=$(compiler) GOOS=$(os) GOARCH=$(arch) \
		go build -trimpath -buildvcs=false -ldflags '$(SHIPPED) -extldflags=-Wl,-z,lazy' -o $@/ ./cmd/nvml-agent
	$(call pass-on,-cgo ./cmd/nvml-agent)

# The C compiler for an architecture: this machine's own, or Debian's for the other.
compiler = $(if $(filter $(arch),$(shell go env GOHOSTARCH)),gcc,$(if $(filter arm64,$(arch)),aarch64,x86_64)-linux-gnu-gcc)

define pass-on
cp LICENSE $@/
cd test && go run ./notices -platform $(os)/$(arch) $1 >../$@/THIRD-PARTY-NOTICES
chmod -R u=rwX,go=rX $@
endef

# The date of what is packed: the last commit's.
SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 0)

# What images are for: linux/amd64, linux/arm64, or both with a comma between.
PLATFORMS ?= linux/$(shell go env GOARCH)
targets = $(foreach p,$(subst $(comma), ,$(PLATFORMS)),bin/dist/$1_$(subst /,_,$p))

# What comes before the names of images: deploy/ has them there.
REGISTRY ?= ghcr.io/gpuscaler/

build-image = VERSION='$(VERSION)' REGISTRY=$(REGISTRY) SOURCE_DATE_EPOCH=$(SOURCE_DATE_EPOCH) PLATFORMS=$(PLATFORMS) deploy/image/build.sh

.PHONY: image
image: $(call targets,gpuscaler) ## Build the controller's image with docker, podman or buildah (VERSION, REGISTRY, PLATFORMS=linux/amd64,linux/arm64)
	$(build-image) gpuscaler deploy/image/Dockerfile

.PHONY: image-agent
image-agent: $(call targets,nvml-agent) ## Build the image of nvml-agent, likewise (needs gcc, and pulls a base image)
	$(build-image) nvml-agent deploy/image/nvml-agent.Dockerfile

# The agent is released for those architectures that there is a C compiler for.
RELEASED := $(foreach os,linux darwin windows,$(foreach arch,amd64 arm64,gpuscaler_$(os)_$(arch))) \
	$(foreach arch,amd64 arm64,$(if $(and $(wildcard cmd/nvml-agent),$(shell command -v $(compiler))),nvml-agent_linux_$(arch)))

.PHONY: release-version
release-version:
	@[[ '$(VERSION)' =~ ^v[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.]+)?$$ ]] || \
		{ echo 'VERSION=$(VERSION): a release is named as v1.2.3 or v1.2.3-rc.1; make release VERSION=v1.2.3' >&2; exit 1; }

.PHONY: release
release: release-version $(TOOLS) $(RELEASED:%=bin/dist/%) ## Pack the programs for all platforms into bin/release (VERSION=v1.2.3)
	cd test && go run ./release -version $(VERSION) -date $(SOURCE_DATE_EPOCH) -sbom ../bin/cyclonedx-gomod -to ../bin/release $(RELEASED:%=../bin/dist/%)
	@cat bin/release/SHA256SUMS

.PHONY: vulncheck
vulncheck: $(TOOLS) ## Look for known vulnerabilities in what the programs call (needs the network)
	bin/govulncheck ./...

##@ Develop

.PHONY: fmt
fmt: $(TOOLS) ## Format the code of both modules as lint wants it
	bin/golangci-lint fmt

.PHONY: tidy
tidy: ## Tidy the three go.mod files
	go mod tidy
	cd test && go mod tidy -e
	cd test/tools && go mod tidy

.PHONY: fuzz
fuzz: ## Run each fuzz target for FUZZTIME (1m)
	@found=; \
	for dir in $$(grep -rlE --include='*_test.go' '^func Fuzz' . | xargs -r -n1 dirname | sort -u); do \
		for target in $$(cd $$dir && $(GOTEST) -list '^Fuzz' . | grep '^Fuzz'); do \
			found=1; echo "$$dir $$target"; \
			(cd $$dir && $(GOTEST) -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) .); \
		done; \
	done; \
	[ -n "$$found" ] || { echo 'no fuzz target found' >&2; exit 1; }

.PHONY: bench
bench: $(TOOLS) ## Run the benchmarks COUNT (6) times; compare with what `make bench-base` kept
	$(GOTEST) -run '^$$' -bench . -benchmem -count $(COUNT) ./... | tee bin/bench.new
	@bin/benchstat $(wildcard bin/bench.base) bin/bench.new

# Numbers of Deployments, with 10 pods each.
SIZES ?= 100,1000,5000,10000

.PHONY: bench-scale
bench-scale: build ## Measure cost and reaction with up to 10,000 Deployments on a real API server, and rewrite its table in test/bench/README.md (SIZES=100,1000)
	cd test && go build -o ../bin/scale ./bench/scale
	cd test && exec ../bin/scale -sizes '$(SIZES)' -csv ../bin/scale.csv -readme bench/README.md

.PHONY: bench-base
bench-base: bench ## Run the benchmarks and keep the result for later comparison
	cp bin/bench.new bin/bench.base

.PHONY: tools
tools: $(TOOLS) ## Build the pinned tools (test/tools/go.mod) into bin/; other targets do it when needed

# -trimpath, because the lists of a release name the checksum of the tool that made them.
$(TOOLS):
	@echo 'building the tools: about two minutes the first time'
	@mkdir -p bin && rm -f bin/tools-*
	cd test/tools && go build -trimpath -o ../../bin/ tool
	@touch $@
