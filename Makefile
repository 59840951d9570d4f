# Loris. `make demo` and `make test` are all a newcomer needs.

GO      ?= go
PYTHON  ?= python3
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)

VENV    := build/venv
PY      := $(abspath $(VENV))/bin/python
LORIS   := build/loris
LDFLAGS := -s -w -X loris/internal/machine.release=$(VERSION)

# Packages whose tests execute cells: yaegi itself races (docs/RATIONALE.md,
# "Race detector"), so they run without the detector.
RACY    := loris/interp loris/interp/run loris/interp/conformance loris/internal/suites loris/cmd/loris loris/internal/jupyterlab
ALL     := $(shell $(GO) list ./... 2>/dev/null)
RACEFREE = $(filter-out $(RACY),$(ALL))

.PHONY: build demo test test-go vet staticcheck test-kernel jupyter-test test-notebooks test-browser \
	lab venv bench-kernel bench-peers bench-ops conformance devicetest parity parity-refresh arm64 blas \
	test-metal metal-ptx softmetal cross generate clean help

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 18

build: ## build the static binary build/loris
	@mkdir -p build
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags "$(LDFLAGS)" -o $(LORIS) ./cmd/loris

demo: build ## run the benchmark and quickstart notebooks with the embedded runner
	@mkdir -p build/notebooks
	$(LORIS) run notebooks/lora_lazy_vs_eager.ipynb -o build/notebooks/lora_lazy_vs_eager.ipynb --html build/notebooks/lora_lazy_vs_eager.html --print
	$(LORIS) run notebooks/quickstart.ipynb -o build/notebooks/quickstart.ipynb --html build/notebooks/quickstart.html
	@echo "executed notebooks and HTML: build/notebooks/"

test: test-go vet staticcheck test-kernel test-notebooks test-browser ## everything a change must pass (the long suites have targets of their own)

test-go:
	@scripts/go-test.sh "$(RACEFREE)" "$(filter $(RACY),$(ALL))"

vet:
	$(GO) vet ./...

staticcheck:
	$(GO) tool staticcheck ./...

venv: $(VENV)/.ready ## the Python environment of the tests
$(VENV)/.ready: scripts/jupyter/requirements.txt
	@mkdir -p build
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

test-kernel: build venv ## the kernel against real Jupyter clients
	$(PY) scripts/jupyter/conformance.py --binary $(LORIS)
	@$(MAKE) --no-print-directory jupyter-test

jupyter-test: build venv ## jupyter_kernel_test with every attribute set
	$(PY) scripts/jupyter/jkt.py --binary $(LORIS)

test-notebooks: build venv ## notebooks by nbclient and by loris run --check
	$(PY) scripts/jupyter/notebooks.py --binary $(LORIS) notebooks
	$(LORIS) run --check notebooks/*.ipynb

test-browser: build venv ## JupyterLab in headless Chromium
	@scripts/chromium.sh
	LORIS_PYTHON=$(PY) LORIS_BINARY=$(abspath $(LORIS)) $(GO) test -count=1 -timeout 30m ./internal/jupyterlab

lab: build venv ## open JupyterLab on the notebooks
	$(LORIS) install --prefix $(VENV)
	$(PY) -m jupyterlab notebooks

bench-kernel: build venv ## the kernel beside ipykernel, interleaved
	$(PY) scripts/jupyter/bench_kernel.py --binary $(LORIS) --json build/kernel.json

bench-peers: build ## the library beside NumPy, PyTorch, MLX, candle and gonum, interleaved
	@scripts/peers/setup.sh
	$(LORIS) bench --suite peers --json build/peers.json

bench-ops: build ## single operations beside PyTorch, the slowest beside it first
	@scripts/peers/setup.sh
	$(LORIS) bench --suite ops --json build/ops.json

conformance: build ## Go programs as cells: our set and Go's own tests
	$(GO) run ./interp/conformance -o build/conformance.json

devicetest: ## every op on the CPU device against float64
	LORIS_NATIVE=always $(GO) run ./internal/devicetest/command
	$(GO) run ./internal/devicetest/command

parity: ## values and gradients against PyTorch's, from the fixture
	LORIS_NATIVE=always $(GO) run ./internal/devicetest/parity
	$(GO) run ./internal/devicetest/parity

parity-refresh: ## make the PyTorch fixture anew (several GB of downloads)
	$(PYTHON) -m venv build/parity-venv
	build/parity-venv/bin/python -m pip install --quiet torch numpy
	build/parity-venv/bin/python scripts/parity/generate.py
	$(GO) run ./internal/devicetest/parity

arm64: ## the NEON kernels and everything they touch, under qemu-user
	@scripts/arm64.sh

blas: ## the path of Accelerate's matrix products, through OpenBLAS
	@scripts/blas.sh

test-metal: ## the Metal ladder on the software Metal
	@scripts/metal/test.sh

metal-ptx: ## the Metal kernels as PTX, with cases and a runner for an NVIDIA driver
	@scripts/metal/ptx.sh

softmetal: ## build/loris-softmetal: the binary with the software Metal
	$(GO) build -tags softmetal -o build/loris-softmetal ./cmd/loris

cross: ## release binaries for linux and darwin, amd64 and arm64
	@scripts/cross.sh "$(LDFLAGS)"

generate: ## symbol tables, export data, assembly, logos
	$(GO) generate ./...

clean:
	rm -rf build
