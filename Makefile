# nodecni. Each target installs what it needs by itself; `make` alone lists them.

.DEFAULT_GOAL := help
.PHONY: help build demo demo-flannel test check bench readme install rollback uninstall clean npm root
MAKEFLAGS += --no-print-directory

CNI_BIN_DIR ?= /opt/cni/bin
DESTDIR ?=

# The pinned runtime. The machine's own Node only ever runs npm.
NODE := node_modules/node-linux-$(if $(filter aarch64,$(shell uname -m)),arm64,x64)/bin/node

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

build: npm ## make dist/bin: one executable under six names
	@test/support/setup-debian.sh build
	@$(NODE) lib/sea/build.ts

demo: root build ## watch two containers get a network, use it and leave no trace (root, nothing of the host is touched)
	@test/support/setup-debian.sh network
	@test/support/private-namespace.sh $(NODE) test/demo/demo.ts

demo-flannel: root build ## watch one packet cross two nodes that the real flanneld joins, hop by hop (root, the same)
	@test/support/setup-debian.sh network tests
	@test/support/setup-peers.sh || { echo 'demo-flannel: it takes flanneld and etcd, see above; "make demo" does without' >&2; exit 1; }
	@test/support/private-namespace.sh $(NODE) --no-warnings test/demo/flannel.ts

test: root build ## unit and end-to-end tests against the real kernel and the reference plugins (root)
	@test/support/setup-debian.sh network tests
	@test/support/setup-peers.sh
	@test/support/private-namespace.sh $(NODE) test/support/run-tests.ts

check: npm ## format, lint, import cycles, types, unit tests (no root)
	@$(NODE) node_modules/@biomejs/biome/bin/biome check --error-on-warnings --diagnostic-level=warn
	@$(NODE) node_modules/typescript/bin/tsc --noEmit
	@$(NODE) node_modules/vitest/vitest.mjs run --project unit

bench: root build ## measure start, chain, growth, storm beside the reference (root); one part: BENCH='--only start', data: BENCH=--json
	@test/support/setup-debian.sh network bench
	@test/support/setup-peers.sh
	@test/support/private-namespace.sh $(NODE) test/bench/bench.ts $(BENCH)

readme: npm ## write into README.md the differences (test/interop/differences.ts) and what was measured (test/bench/results)
	@$(NODE) test/support/readme.ts --write

install: build ## install into CNI_BIN_DIR (/opt/cni/bin) below DESTDIR, beside the plugins that are there
	@$(NODE) lib/sea/install.ts install '$(abspath $(DESTDIR)$(CNI_BIN_DIR))'

rollback: npm ## bring back what the names in CNI_BIN_DIR were before the last install, ours or not
	@$(NODE) lib/sea/install.ts rollback '$(abspath $(DESTDIR)$(CNI_BIN_DIR))'

uninstall: npm ## remove what is ours from CNI_BIN_DIR, and nothing else
	@$(NODE) lib/sea/install.ts uninstall '$(abspath $(DESTDIR)$(CNI_BIN_DIR))'

clean: ## remove what the build made (downloads in .cache and node_modules stay)
	@rm -rf dist

npm:
	@test/support/setup-npm.sh

# First of all, so that nobody waits for a build that cannot be used.
root:
	@[ "$$(id -u)" -eq 0 ] || { echo 'this needs root, for network namespaces of its own: run it with sudo' >&2; exit 1; }
