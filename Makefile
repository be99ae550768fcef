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
# As Debian orders versions: v1.2.3-4-gabc is 1.2.3+4.gabc; without a tag the date orders.
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

# On one processor: where several goroutines of a synctest bubble receive from timers at
# once, Go 1.26 crashes in the detector now and then. It finds a race by what orders the
# accesses and not by their being simultaneous; TestRaceUnderLoad has more processors.
# What is smaller with the detector (a file race_on_test.go) is run at full size without it.
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

manifests: ## render the Kubernetes manifests and read them strictly (a module of its own)
	$(GO) -C docker/kubernetes/test test -count=1 ./...

# One package after the other: TestFlood judges a latency and wants the machine for itself.
integration: build ## the built binary against Kamailio, SIPp, baresip, Alertmanager ...
	$(GO) test -tags integration -count=1 -timeout 18m -p 1 -parallel 6 ./integration/... ./cmd/rewatch/... ./dialogs/store/redis/... ./docker/...

outage: build ## a core that is out, at full size: for a minute in every way, silent for ten minutes before few and many (half an hour)
	OUTAGE=1 $(GO) test -tags integration -count=1 -timeout 60m -parallel 6 -v -run 'TestOutageAtFullSize|TestOutageRedelivered|TestSilentCore' ./integration/

hostile: build ## everybody does their worst for a minute among 50 honest phones: a phone behind a scripted core and behind Kamailio, a server, sinks, readers, neighbours
	HOSTILE=1m $(GO) test -tags integration -count=1 -parallel 4 -v -run TestHostile ./integration/

soak: build ## half an hour at 5,000/s through a network that loses 5 %, with a core that restarts and moves
	$(GO) run ./integration/bench -scenario soak -rewatch $(BIN) $(ARGS)

fuzz: ## every fuzz target, $(FUZZTIME) each
	@for p in $$($(GO) list ./...); do \
	  for f in $$($(GO) test -list '^Fuzz' $$p | grep '^Fuzz' || true); do \
	    echo "== $$p $$f"; $(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x $(ARGS) $$p || exit 1; \
	  done; done

bench: build install ## rewatch, a plain relay and Kamailio side by side (three rounds)
	$(GO) run ./integration/bench $(ARGS)

bench-quick: build install ## the same, short and rough
	$(GO) run ./integration/bench -quick $(ARGS)

bench-micro: ## micro-benchmarks of scan, edit, lookup, wheel, Decide
	$(GO) test -run '^$$' -bench . -benchmem -count 6 ./proxy/... ./dialogs/... ./policy/... | tee bin/bench-micro.txt
	$(GO) run golang.org/x/perf/cmd/benchstat@latest bin/bench-micro.txt

pgo: ## record the profile that builds are optimised by (cmd/rewatch/default.pgo)
	$(GO) run ./integration/bench -scenario profile

image: ## build the container image with Docker; BUILD_IMAGE and RUN_IMAGE name other base images
	docker build $(foreach image,BUILD_IMAGE RUN_IMAGE,$(if $($(image)),--build-arg $(image)=$($(image)))) \
	  --build-arg VERSION=$(VERSION) -t $(IMAGE):$(VERSION) .

# What is installed beside the binary is printed by one that runs here.
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

# The bill of materials is that of the binary, whose modules Go notes in it.
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

lab: build install ## Kamailio core, rewatch, Kamailio presence server and phones, to play with
	@./docker/lab/lab.sh up

lab-break: ## break something in the lab: make lab-break WHAT=responses WHO=alice (or core, silent, tunnel, 480)
	@./docker/lab/lab.sh break $(WHAT) $(WHO)

lab-heal: ## mend it
	@./docker/lab/lab.sh heal $(WHO)

lab-status: ## what runs, who is subscribed, what rewatch counted
	@./docker/lab/lab.sh status

lab-watch: ## watch the messages pass
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

# What is in bin/NAME.md comes between the markers NAME:start and NAME:end of FOLDER/README.md.
define into-readme
	@awk '/<!-- $(1):start -->/ {print; while ((getline line < "bin/$(1).md") > 0) print line; skip = 1} \
	      /<!-- $(1):end -->/ {skip = 0} !skip' $(2)/README.md > bin/README.md && mv bin/README.md $(2)/README.md
endef

clean: ## remove what was built
	rm -rf bin integration/out
