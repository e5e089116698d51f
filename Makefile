# What people type. Every target installs what it needs, says so, and works twice in a row; the languages (Rust, Go,
# Node.js) have to be there.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help first-push demo test test-unit test-parts test-timers test-cluster test-cluster-ipv6 test-scale bench fuzz fuzz-long lint chart-lint deploy-lint prose-lint generated images toolchain clients components programs azurite redis metrics-server controllers third-party-kinds

# Always the whole workspace, also for a part of its tests: one set of features, and nothing is compiled twice.
CARGO_TEST := cargo test --locked --workspace
# The tests of crates other than tests/ need nothing but themselves; the operator's are one program.
UNIT := operator $(basename $(notdir $(wildcard crds/tests/*.rs hub/tests/*.rs properties/tests/*.rs)))
CLUSTER_TESTS := crd_rules stories story $(basename $(notdir $(wildcard tests/tests/*_story.rs)))
PARTS := $(filter-out $(CLUSTER_TESTS),$(basename $(notdir $(wildcard tests/tests/*.rs))))
DENY := 0.20.2
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/notification-hub
CARGO_DENY := $(CACHE)/cargo-deny-$(DENY)/bin/cargo-deny
CARGO_FUZZ_VERSION := 0.13.2
CARGO_FUZZ := $(CACHE)/cargo-fuzz-$(CARGO_FUZZ_VERSION)/bin/cargo-fuzz
ACTIONLINT_VERSION := 1.7.12
ACTIONLINT := $(CACHE)/actionlint-$(ACTIONLINT_VERSION)/actionlint
VALE_VERSION := 3.21.0
VALE := $(CACHE)/vale-$(VALE_VERSION)/vale
# The kinds of files that are checked in these folders, and the rules, are in .vale.ini.
PROSE := README.md CHANGELOG.md CONTRIBUTING.md SECURITY.md docs charts hub/src/cli operator/src/cli.rs
FUZZ_SECONDS ?= 300
FUZZ_INPUTS ?= 1000000000
FUZZ_MINIMUM ?= 10000000
FUZZ_TARGETS ?= $(basename $(notdir $(wildcard fuzz/fuzz_targets/*.rs)))
ensure = . tests/packages.sh && ensure

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 24

first-push: ## a hub, a client and a push that arrives, on this machine without Kubernetes; needs Rust only
	@tests/first-push.sh

demo: toolchain ## a Kubernetes, the operator, a hub, a push that arrives; then a hub on a local port until Ctrl-C
	@tests/demo.sh

test: components test-unit test-parts test-cluster ## every tier

test-unit: toolchain ## modules beside their code, the operator against an API server in process
	@echo "== unit tests"
	@$(ensure) lua5.1=lua5.1
	tools=$$(tests/cluster/cluster.sh where); if [ -x "$$tools/helm" ]; then export HELM=$$tools/helm KUBECTL=$$tools/kubectl; fi; \
	$(CARGO_TEST) --lib --bins $(addprefix --test ,$(UNIT))

test-parts: toolchain clients programs ## the hub against real parts: Microsoft's SignalR client, also in Chromium
	@echo "== tests with real parts"
	@$(ensure) openssl=openssl /usr/bin/chromium=chromium redis-server=redis-server nginx=nginx prometheus=prometheus promtool=prometheus \
	  ip=iproute2 unshare=util-linux sysctl=procps dpkg-deb=dpkg lintian=lintian strip=binutils
	$(CARGO_TEST) $(addprefix --test ,$(PARTS))

test-timers: toolchain ## the timers that were recorded, at their real speed: a minute
	$(CARGO_TEST) --test recorded -- --ignored --nocapture

test-cluster: toolchain clients images azurite redis metrics-server controllers third-party-kinds ## chart, operator and hub in a whole Kubernetes (root; or CLUSTER=current)
	@echo "== cluster tests"
	@$(ensure) prometheus=prometheus
	$(CARGO_TEST) --no-run $(addprefix --test ,$(CLUSTER_TESTS))
	tests/in-cluster.sh env RUST_TEST_THREADS=5 $(CARGO_TEST) $(addprefix --test ,$(CLUSTER_TESTS))
	@if [ "$${CLUSTER-}" != current ]; then $(MAKE) --no-print-directory test-cluster-ipv6; fi

test-cluster-ipv6: toolchain clients images azurite redis ## the most important stories where pods and Services have only IPv6 addresses
	@echo "== cluster tests with IPv6 alone"
	CLUSTER_IP_FAMILY=ipv6 tests/in-cluster.sh env RUST_TEST_THREADS=3 $(CARGO_TEST) --test story --test stories -- \
	  push_reaches_its_client_in_a_cluster pushes_reach_clients_of_every_pod queue_source_delivers

test-scale: toolchain clients images azurite redis ## a thousand hubs under one operator: some minutes
	HUBS=1000 tests/in-cluster.sh $(CARGO_TEST) --test scale_story -- --nocapture

bench: toolchain ## the budgets, each beside its control; BENCH_QUICK=1 takes under two minutes
	@echo "== benchmark (release code: compiling takes minutes)"
	@$(ensure) valgrind=valgrind setpriv=util-linux redis-server=redis-server
	cargo build --locked --profile bench --package notification-hub --package notification-hub-tests --bins
	$${CARGO_TARGET_DIR:-target}/release/bench

fuzz: toolchain $(CARGO_FUZZ) ## every check under libFuzzer, FUZZ_SECONDS (300) each; FUZZ_TARGETS="head push" for some
	@$(ensure) g++=g++
	@echo "== fuzzing (code with the address sanitizer: compiling takes minutes)"
	@for target in $(FUZZ_TARGETS); do \
	  echo "== $$target"; \
	  mkdir -p target/fuzz/corpus/$$target; \
	  RUSTC_BOOTSTRAP=1 $(CARGO_FUZZ) run --target-dir target/fuzz $$target target/fuzz/corpus/$$target fuzz/corpus/$$target -- \
	    -max_total_time=$(FUZZ_SECONDS) -timeout=10 -print_final_stats=1 -verbosity=0; \
	done

fuzz-long: toolchain ## every check as a release program on all cores: FUZZ_INPUTS (10^9) in total, FUZZ_MINIMUM (10^7) each; hours
	@echo "== fuzzing (release code: compiling takes minutes)"
	cargo run --locked --profile fuzz-long --package notification-hub-properties -- \
	  --inputs $(FUZZ_INPUTS) --minimum $(FUZZ_MINIMUM) $(if $(FUZZ_SEED),--seed $(FUZZ_SEED)) $(FUZZ_TARGETS)

lint: toolchain $(CARGO_DENY) $(ACTIONLINT) chart-lint deploy-lint prose-lint ## formatting, clippy, dependencies, shell scripts, workflows, chart, unit, prose
	cargo fmt --all --check
	cargo fmt --manifest-path fuzz/Cargo.toml --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	$(CARGO_DENY) --log-level error check bans licenses sources
	@$(ensure) shellcheck=shellcheck
	shellcheck --external-sources --source-path=SCRIPTDIR .ci/* tests/*.sh tests/cluster/*.sh tests/clients/*.sh tests/controllers/*.sh tests/controllers/*/*.sh docs/example/*.sh \
	  deploy/compose/*.sh deploy/debian/build.sh deploy/debian/p*
	$(ACTIONLINT)

chart-lint: toolchain ## helm lint
	tests/cluster/cluster.sh tool helm lint --strict --set image.registry=registry.example.com,hubImage.registry=registry.example.com charts/*

deploy-lint: ## systemd-analyze, and docker compose config where it is there
	tests/deploy-lint.sh

prose-lint: toolchain $(VALE) ## Vale, over the pages and the chart's texts
	$(VALE) --no-global --no-wrap --output line $(PROSE)

generated: toolchain ## write what is made of other files: definition, docs/resource.md, the chart's copy and table of values, manifests without Helm
	UPDATE_GENERATED=1 cargo test --locked --package notification-hub-crds --test generated
	cp crds/yaml/notificationhubs.yaml charts/notification-hub-operator/files/crds/
	tests/cluster/cluster.sh build
	UPDATE_GENERATED=1 HELM=$$(tests/cluster/cluster.sh where)/helm CI=true cargo test --locked --package notification-hub-operator --test operator chart

images: toolchain ## the images of hub and operator, as archives in target/images
	@tests/images.sh

azurite: clients
	@tests/azurite.sh

redis:
	@tests/redis.sh

third-party-kinds: toolchain
	@tests/third-party-kinds.sh

controllers: toolchain
	@for folder in tests/controllers/*/; do tests/controllers/build.sh "$$(basename "$$folder")" > /dev/null; done

metrics-server:
	@tests/metrics-server.sh > /dev/null

components: toolchain
	@tests/cluster/cluster.sh build

programs: toolchain
	cargo build --locked --workspace --bins

clients: toolchain
	@tests/clients/install.sh

toolchain:
	@. tests/packages.sh && toolchain cargo go node npm

$(CARGO_DENY):
	@echo "installing cargo-deny $(DENY), once: a few minutes"
	cargo install --quiet --locked --version $(DENY) --root $(CACHE)/cargo-deny-$(DENY) cargo-deny

$(CARGO_FUZZ):
	@echo "installing cargo-fuzz $(CARGO_FUZZ_VERSION), once: a minute"
	cargo install --quiet --locked --version $(CARGO_FUZZ_VERSION) --root $(CACHE)/cargo-fuzz-$(CARGO_FUZZ_VERSION) cargo-fuzz

$(ACTIONLINT):
	@echo "installing actionlint $(ACTIONLINT_VERSION), once: seconds"
	GOBIN=$(@D) go install github.com/rhysd/actionlint/cmd/actionlint@v$(ACTIONLINT_VERSION)

# Its parsers are in C and C++.
$(VALE):
	@echo "installing Vale $(VALE_VERSION), once: a few minutes"
	@$(ensure) g++=g++
	GOBIN=$(@D) go install -ldflags '-s -w -X main.version=$(VALE_VERSION)' github.com/vale-cli/vale/v3/cmd/vale@v$(VALE_VERSION)
