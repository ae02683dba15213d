# Everything here needs Rust (rustup's cargo, clippy, rustfmt), Go, make and Debian packages that `make setup` installs.
# CLUSTER=current  demo and e2e use the cluster of the present kubeconfig and boot none; IMAGE=registry/name:tag is then the
#                  controller's image, pushed where that cluster can pull it. SIDECAR_IMAGE and SAMPLE_IMAGE default to its
#                  neighbours restart-sidecar and sample.
# CLUSTER_RUN=DIR  the demo's cluster; by default one per checkout, so that two checkouts do not meet.
.DEFAULT_GOAL := help
SHELL := /bin/bash
export CLUSTER IMAGE SIDECAR_IMAGE SAMPLE_IMAGE
cluster := tests/cluster/cluster
all := --features controller,sidecar,otel,cli
demo shell down: export CLUSTER_RUN ?= /run/restart-controller-demo-$(shell pwd | sha256sum | cut -c1-8)

.PHONY: help setup build images plugin fmt lint unit model golden-test golden ledger soak it cluster-test sidecar-suites chart-test gitops-test page-test cli-test alerts-test docs docs-test e2e nodes-test faults faults-sample test supply-chain bench-smoke bench-sidecar demo shell down
help: ## what there is
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@sed -n '/^# CLUSTER/,/^[^#]/s/^# /  /p' $(MAKEFILE_LIST)

setup: ## Debian packages (as root; else it says which), and the cluster's programs into a cache (15 minutes, once)
	$(cluster) packages
	$(cluster) build
	$(cluster) build helm promtool krew
	tests/suites/run tools
	tests/docs/book tools
	tests/page/run tools
	tests/gitops/run tools

build: ## the programs, for debugging
	cargo build --locked $(all) --bins --example sample

images: ## static programs and target/images/*.tar, without a container engine (images/Containerfile.* are for one)
	images/build

plugin: ## kubectl restart for others: target/plugin with its archive and its krew manifest (RELEASES=URL, see plugin/build)
	plugin/build

fmt: ## format the sources
	cargo fmt

lint: ## formatting, clippy behind every wall of features, shell scripts
	cargo fmt --check
	@for wall in "--lib --no-default-features" "--lib --bins --test ledger --test attacks --no-default-features --features sidecar" "--all-targets" \
	  "--lib --example flow --features client" "--lib --features http-api" "--lib --bins --features controller" "--lib --bins --features cli" \
	  "--all-targets $(all),planted"; do \
	  echo "cargo clippy $$wall"; \
	  cargo clippy --quiet --locked $$wall -- -D warnings || exit 1; done
	shellcheck -x $$(git ls-files | xargs grep -lE '^#!.*bash|^# shellcheck shell=bash')

unit: ## unit tests of the library, the programs and the sample
	cargo test --locked $(all) --lib --bins --example sample
	cargo test --locked $(all) --test memory

model: ## the exhaustive search through the machine's states, and through the orders in which the sidecar's threads can meet
	cargo test --locked --profile model --test model --test interleavings

golden-test: ## generated files against their sources
	cargo test --locked $(all) --test golden

golden: ## write the generated files anew: crds/, the chart's copies and README, deploy/, in docs/ metrics, reference, drawings, OpenAPI and flags
	UPDATE=1 cargo test --locked --quiet --test golden
	UPDATE=1 cargo test --locked --quiet $(all) --test golden -- metrics flags openapi cli

ledger: ## the sidecar's count against a ledger of 300,000 requests that both ends keep, and the ledger against planted bugs
	cargo test --locked $(all) --test ledger
	cargo test --locked $(all),planted --test planted

soak: export LEDGER_REQUESTS ?= 10000000
soak: ## the same of ten million, or LEDGER_REQUESTS=N, in the release profile
	cargo test --locked --release --no-default-features --features sidecar --test ledger

it: ## integration against a real kube-apiserver, booted for it
	tests/it/run

cluster-test: ## the local cluster itself: two side by side, one of three nodes, broken on purpose; nothing stays
	tests/cluster/selftest

sidecar-suites: ## the sidecar before h2spec, h2load, slowhttptest, smugglex, beside nginx and haproxy, fuzzed, attacked in 64 MiB; 150 s
	tests/suites/run

chart-test: ## the chart on a real node with a real helm: installed, upgraded in mid-restart, uninstalled
	tests/chart/run

gitops-test: ## restarts from Git: Flux's kustomize-controller, helm, kstatus, Argo CD's health script; 90 s
	tests/gitops/run

page-test: ## the HTTP API and its page: schemathesis, and a real Chromium on a real cluster; a minute
	tests/page/run

alerts-test: ## the chart's alerts and dashboard, by promtool
	tests/alerts/run

docs: ## the book in target/book, by mdBook
	tests/docs/book

docs-test: ## every command of the book on a real cluster, and the book itself
	tests/docs/book
	tests/docs/run

cli-test: ## kubectl restart, installed by krew: every verb against a real cluster, its progress in a real terminal
	tests/cli/run

e2e: ## end to end: a real node, real pods, real traffic
	tests/e2e/run

nodes-test: ## the same on three nodes: lost before and in a restart, drained, their kube-proxy late
	E2E_NODES=3 tests/e2e/run

faults: ## the fault matrix: a real controller, API server and pods, and a proxy that does what goes wrong (PLANS=N samples, PLAN='...' replays, TIME=SECONDS)
	tests/faults/run

faults-sample: export PLANS ?= 2000
faults-sample: export TIME ?= 180
faults-sample: ## as much of an even sample of it as three minutes hold, after all that was ever found
	tests/faults/run

test: ## all of it: lint unit model golden-test alerts-test ledger it sidecar-suites cluster-test chart-test gitops-test page-test docs-test cli-test e2e faults-sample, and the figures; .ci/run is this
	@tests/all lint unit model golden-test alerts-test ledger it sidecar-suites cluster-test chart-test+cli-test+docs-test gitops-test+page-test e2e faults-sample

supply-chain: ## licences, advisories, bills of materials, crates named in the programs, images built twice (20 minutes of one core)
	supply-chain/run

bench-smoke: ## that the benchmark still runs: ours and the floor, a few seconds, no verdict
	bench/run --smoke

bench-sidecar: ## the sidecar beside a byte relay, haproxy, nginx, Go and queue-proxy: bench/sidecar.md (5 minutes, quiet machine)
	bench/run

demo: ## a restart without a lost request and one that fails and is undone, before your eyes; its cluster stays
	@demo/demo

shell: ## a shell in the demo's cluster, with kubectl
	@$(cluster) shell

down: ## end the demo's cluster and leave nothing behind
	@$(cluster) down
