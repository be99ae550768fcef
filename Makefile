# rewatch: "make" shows the targets.

GO       ?= go
BIN      := bin/rewatch
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
LDFLAGS  := -s -w -X rewatch/cmd/rewatch/cli.version=$(VERSION)
LINT     := bin/tools/golangci-lint
LINT_VER := v2.15.0
FUZZTIME ?= 60s
IMAGE    ?= rewatch
TOOL     := $(GO) -C docker/tools tool
# Debian has to sort these versions: v1.2.3-4-gabc becomes 1.2.3+4.gabc; without a tag the date comes first.
DEB_ARCH       ?= $(shell $(GO) env GOARCH)
DEB_VERSION    ?= $(shell echo '$(VERSION)' | sed -E "/^v?[0-9]+\\.[0-9]/!s/^/0.0.0+$$(git show -s --format=%cd --date=format:%Y%m%d%H%M 2>/dev/null)./; s/^v//; s/-/+/; s/-/./g")
DEB_MAINTAINER ?= rewatch <rewatch@localhost>
DEB_DIR        ?= bin/deb
DEB            ?= bin/rewatch_$(DEB_VERSION)_$(DEB_ARCH).deb

.DEFAULT_GOAL := help
.PHONY: help build demo test unit race lint manifests integration install outage hostile soak fuzz bench bench-quick bench-micro pgo image deb release lab lab-break lab-heal lab-status lab-watch lab-down env simulate-table clean

help: ## show the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build bin/rewatch
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN) ./cmd/rewatch

demo: ## see a recovery happen, live, on loopback; needs nothing but Go
	@$(GO) run ./cmd/rewatch demo $(ARGS)

test: install lint race manifests integration ## all tests; installs what they need (Debian)
	@echo "all tests passed"

unit: ## the quick tests, offline
	$(GO) test ./...

# On one processor: with several, Go 1.26 sometimes crashes in the race detector when goroutines
# of a synctest bubble receive from timers at once. The detector finds races on one processor as
# well, for it looks at the order of accesses; TestRaceUnderLoad has more processors. Packages whose
# tests are smaller under the detector (race_on_test.go) are also run without it.
race: ## the quick tests with the race detector
	$(GO) test -race -cpu 1 ./...
	$(GO) test ./dialogs/recovery ./policy/simulate

lint: $(LINT) ## go vet, staticcheck and the other linters
	$(GO) vet ./... && $(GO) vet -tags integration ./...
	$(LINT) run ./...
	@mkdir -p bin; "$$($(TOOL) -n govulncheck)" ./... > bin/govulncheck.txt 2>&1; status=$$?; \
	if [ $$status -eq 0 ]; then echo "govulncheck: nothing known against what is called"; \
	elif grep -q 'fetching vulnerabilities' bin/govulncheck.txt; then echo "lint: no govulncheck here, its database cannot be reached:"; tail -1 bin/govulncheck.txt; \
	else cat bin/govulncheck.txt; exit 1; fi

$(LINT):
	@echo "building golangci-lint $(LINT_VER), once (a few minutes)"
	@mkdir -p $(@D)
	GOBIN=$(CURDIR)/$(@D) $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINT_VER)

install: ## install the Debian packages that tests and lab need
	@./docker/lab/install.sh

manifests: ## test the Kubernetes manifests: render them and decode each object strictly
	$(GO) -C docker/kubernetes/test test -count=1 ./...

# One package after the other: TestFlood measures a latency and needs the machine for itself.
integration: build ## the built binary against Kamailio, SIPp, baresip, Alertmanager ...
	$(GO) test -tags integration -count=1 -timeout 18m -p 1 -parallel 6 ./integration/... ./cmd/rewatch/... ./dialogs/store/redis/... ./docker/...

outage: build ## stop a real core in every way, at full size (half an hour)
	OUTAGE=1 $(GO) test -tags integration -count=1 -timeout 60m -parallel 6 -v -run 'TestOutageAtFullSize|TestOutageRedelivered|TestSilentCore' ./integration/

hostile: build ## attack rewatch from every side, a minute each, among 50 honest phones
	HOSTILE=1m $(GO) test -tags integration -count=1 -parallel 4 -v -run TestHostile ./integration/

soak: build ## half an hour at 5,000/s through a network that loses 5 %, with a core that restarts and moves
	$(GO) run ./integration/bench -scenario soak -rewatch $(BIN) $(ARGS)

fuzz: ## every fuzz target, a minute each (FUZZTIME)
	@for p in $$($(GO) list ./...); do \
	  for f in $$($(GO) test -list '^Fuzz' $$p | grep '^Fuzz' || true); do \
	    echo "== $$p $$f"; $(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x $(ARGS) $$p || exit 1; \
	  done; done

bench: build install ## rewatch, a plain relay and Kamailio side by side (three rounds)
	$(GO) run ./integration/bench $(ARGS)

bench-quick: build install ## the same, short and rough
	$(GO) run ./integration/bench -quick $(ARGS)

bench-micro: ## micro-benchmarks of scan, edit, lookup, wheel, Decide
	@mkdir -p bin
	$(GO) test -run '^$$' -bench . -benchmem -count 6 ./proxy/... ./dialogs/... ./policy/... | tee bin/bench-micro.txt
	$(GO) run golang.org/x/perf/cmd/benchstat@latest bin/bench-micro.txt

pgo: ## record a profile for optimised builds (cmd/rewatch/default.pgo)
	$(GO) run ./integration/bench -scenario profile

image: ## build the container image with Docker; BUILD_IMAGE and RUN_IMAGE name other base images
	docker build $(foreach image,BUILD_IMAGE RUN_IMAGE,$(if $($(image)),--build-arg $(image)=$($(image)))) \
	  --build-arg VERSION=$(VERSION) -t $(IMAGE):$(VERSION) .

# A binary for this machine prints the files that are installed beside the binary.
deb: build ## build the Debian package, bin/rewatch_VERSION_ARCH.deb
	@mkdir -p $(DEB_DIR)
	CGO_ENABLED=0 GOARCH=$(DEB_ARCH) $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(DEB_DIR)/rewatch ./cmd/rewatch
	$(BIN) env -file > $(DEB_DIR)/rewatch.env
	$(BIN) help -man | gzip -9n > $(DEB_DIR)/rewatch.8.gz
	@for shell in bash zsh fish; do $(BIN) completion $$shell > $(DEB_DIR)/rewatch.$$shell; done
	@{ echo 'Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/'; \
	   echo 'Upstream-Name: rewatch'; echo; echo 'Files: *'; echo 'Copyright: the authors of rewatch'; \
	   echo 'License: Apache-2.0'; echo ' See /usr/share/common-licenses/Apache-2.0.'; } > $(DEB_DIR)/copyright
	DEB_DIR=$(DEB_DIR) DEB_ARCH=$(DEB_ARCH) DEB_VERSION='$(DEB_VERSION)' DEB_MAINTAINER='$(DEB_MAINTAINER)' \
	  "$$($(TOOL) -n nfpm)" package -f docker/debian/nfpm.yaml -p deb -t $(DEB)

# The bill of materials comes from the binary: Go notes its modules in it.
RELEASE := bin/release
release: ## packages, binaries, bills of materials and checksums of VERSION, in bin/release
	rm -rf $(RELEASE) && mkdir -p $(RELEASE)
	@for arch in amd64 arm64; do \
	  $(MAKE) --no-print-directory deb DEB_ARCH=$$arch DEB_DIR=bin/deb-$$arch DEB=$(RELEASE)/rewatch_$(DEB_VERSION)_$$arch.deb && \
	  cp bin/deb-$$arch/rewatch $(RELEASE)/rewatch_$(DEB_VERSION)_linux_$$arch && \
	  "$$($(TOOL) -n cyclonedx-gomod)" bin -json -noserial -notimestamp -version $(VERSION) \
	    -output $(RELEASE)/rewatch_$(DEB_VERSION)_linux_$$arch.cdx.json $(RELEASE)/rewatch_$(DEB_VERSION)_linux_$$arch || exit 1; \
	done
	cp docker/snmp/REWATCH-MIB.txt docker/prometheus/rewatch.rules.yaml docker/prometheus/rewatch-dashboard.json $(RELEASE)
	cd $(RELEASE) && sha256sum * > SHA256SUMS && cat SHA256SUMS

lab: build install ## start a Kamailio core, rewatch, a Kamailio presence server and phones, to try out
	@./docker/lab/lab.sh up

lab-break: ## break something in the lab: make lab-break WHAT=responses WHO=alice (or core, silent, tunnel, 480)
	@./docker/lab/lab.sh break $(WHAT) $(WHO)

lab-heal: ## mend what is broken in the lab
	@./docker/lab/lab.sh heal $(WHO)

lab-status: ## what runs, who is subscribed, what rewatch counted
	@./docker/lab/lab.sh status

lab-watch: ## follow the log of rewatch
	@./docker/lab/lab.sh watch

lab-down: ## stop the lab
	@./docker/lab/lab.sh down

env: build ## write the table of variables into cmd/rewatch/config
	$(BIN) env -markdown > bin/env.md
	$(call into-readme,env,cmd/rewatch/config)

simulate-table: build ## simulate the defaults and write the tables into policy/simulate
	$(BIN) simulate -scenario all -seed 1 -markdown > bin/simulate.md
	$(call into-readme,simulate,policy/simulate)
	$(BIN) simulate -scenario all -sizes -seed 1 -markdown > bin/sizes.md
	$(call into-readme,sizes,policy/simulate)
	$(BIN) simulate -scenario all -redeliver -watchers 100000 -seed 1 -markdown > bin/redeliver.md
	$(call into-readme,redeliver,policy/simulate)

# Puts bin/NAME.md between the markers NAME:start and NAME:end of FOLDER/README.md.
define into-readme
	@awk '/<!-- $(1):start -->/ {print; while ((getline line < "bin/$(1).md") > 0) print line; skip = 1} \
	      /<!-- $(1):end -->/ {skip = 0} !skip' $(2)/README.md > bin/README.md && mv bin/README.md $(2)/README.md
endef

clean: ## remove what was built
	rm -rf bin integration/out
