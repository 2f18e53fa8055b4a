# The commands of the project; everything runs in .venv, which `make setup` makes.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PY := .venv/bin/python
SNAKEMAKE := PATH="$$PWD/.venv/bin:$$PATH" $(PY) -P -m snakemake
CORES ?= all
PYTEST_ARGS ?=
SEED ?= 0
KILLS_ARGS ?=
MUTANTS ?=
SNAKEMAKE_ARGS ?=
# a folder of any name: as it was given, and as JSON, which is what --config takes, too
override ROOT := $(value ROOT)
export ROOT
OF_ROOT = "dataset=$$($(PY) -c 'import json, os; print(json.dumps({"root": os.environ["ROOT"]}, ensure_ascii=False))')"
# Snakemake keeps a cache in the home folder, and ends with a stack where it cannot write there
ifneq ($(shell cache="$${XDG_CACHE_HOME:-$$HOME/.cache}" && mkdir -p "$$cache" 2> /dev/null && [ -w "$$cache" ] && echo yes),yes)
export XDG_CACHE_HOME := $(CURDIR)/.snakemake/cache
endif
# every page is read anew: a page that did not change may link to one that did
SITE = $(PY) -m sphinx -W --keep-going -E -q -d build/doctrees docs build/site

.PHONY: docs docs-graph help setup minkowski-cuda demo kitti-sample ablation ablation-quick ablation-worlds ablation-real networks surround semi test lint format bench bench-gpu doctor clean clean-results clean-setup test-kills test-mutants test-slurm bench-gpus bench-features bench-data feature-codings

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## make .venv and install everything, MinkowskiEngine too where it can be built
	@envs/setup.sh

minkowski-cuda: ## MinkowskiEngine for CUDA, without a GPU or a toolkit too (NVIDIA's compiler comes as Python packages): half an hour
	@MINKOWSKI=again CUDA_PACKAGES=yes TORCH_CUDA_ARCH_LIST="$${TORCH_CUDA_ARCH_LIST:-8.0;9.0+PTX}" envs/setup.sh
	@$(PY) envs/minkowski/selftest.py | grep "built for CUDA" || { echo "error: MinkowskiEngine was not built for CUDA; the lines above say why"; exit 1; }

demo: setup ## the whole experiment on the embedded world, from nothing to tables and figures
	$(SNAKEMAKE) --cores $(CORES) $(SNAKEMAKE_ARGS)

kitti-sample: ## the same workflow on real frames: make kitti-sample ROOT=/path/to/dataset
	@[ -n "$$ROOT" ] || { echo "error: ROOT is empty, expected the folder that holds sequences/: make kitti-sample ROOT=/path/to/dataset"; exit 1; }
	@$(MAKE) --no-print-directory setup
	$(SNAKEMAKE) --cores $(CORES) --configfile config/kitti-sample.yaml --config $(OF_ROOT) $(SNAKEMAKE_ARGS)

# one experiment of the ablation: the file, and what overrides it
ABLATE := $(SNAKEMAKE) --cores $(CORES) $(SNAKEMAKE_ARGS) --configfile config/ablation.yaml
HEADLINE := $(PY) workflow/scripts/headline.py --experiment
REAL_FOLDS := $(foreach fold,1 2 3,fold$(fold)=results/ablation-real/fold$(fold))
# worlds that nothing was chosen on, PRESET-SEED
WORLDS ?= residential-2 avenue-2

ablation: setup ## every part of the method, the paper's own form and strong recipes, over seeds, on two worlds: hours; resumes where it was stopped
	$(ABLATE)
	$(ABLATE) config/ablation/avenue.yaml
	$(HEADLINE) residential=results/ablation/residential avenue=results/ablation/avenue --out results/ablation/headline

ablation-quick: setup ## the rows that carry the claim, and guidance alone, on one world: an hour
	$(ABLATE) config/ablation/headline.yaml config/ablation/quick.yaml

ablation-worlds: setup ## the rows that carry the claim on worlds with other seeds: WORLDS="residential-2 avenue-2"
	@for world in $(WORLDS); do \
	  $(ABLATE) config/ablation/headline.yaml config/ablation/worlds.yaml \
	    --config results=results/ablation/worlds/$$world "world={preset: $${world%-*}, seed: $${world##*-}}" || exit 1; \
	done
	$(HEADLINE) $(foreach world,$(WORLDS),$(world)=results/ablation/worlds/$(world)) --out results/ablation/worlds/headline

ablation-real: ## the rows that carry the claim on real frames, cross-validated: make ablation-real ROOT=/path/to/dataset
	@[ -n "$$ROOT" ] || { echo "error: ROOT is empty, expected the folder that holds sequences/: make ablation-real ROOT=/path/to/dataset"; exit 1; }
	@$(MAKE) --no-print-directory setup
	@for fold in 1 2 3; do \
	  $(SNAKEMAKE) --cores $(CORES) $(SNAKEMAKE_ARGS) --configfile config/ablation-real.yaml config/ablation-real/fold$$fold.yaml \
	    --config $(OF_ROOT) || exit 1; \
	done
	$(HEADLINE) $(REAL_FOLDS) --pool --out results/ablation-real/headline
	$(HEADLINE) $(REAL_FOLDS) --pool --method ignet_efficientnet --out results/ablation-real/headline-efficientnet

networks: setup ## full supervision, baseline and IGNet with each 3D network, 3 seeds, on the embedded world: two hours
	@for network in minkunet spvcnn cylinder3d; do \
	  $(SNAKEMAKE) --cores $(CORES) $(SNAKEMAKE_ARGS) --configfile config/networks.yaml config/networks/$$network.yaml || exit 1; \
	done

# config/surround/seeds.yaml: with five seeds
SEEDS ?=

surround: setup ## six cameras that look all round, and the one in front alone, on the embedded world: SEEDS=config/surround/seeds.yaml for five seeds
	$(SNAKEMAKE) --cores $(CORES) $(SNAKEMAKE_ARGS) --configfile config/surround.yaml $(SEEDS)

semi: setup ## 10 and 50 % of the scans labelled, the others not, on the embedded world
	$(SNAKEMAKE) --cores $(CORES) $(SNAKEMAKE_ARGS) --configfile config/semi.yaml

test: setup ## all tests (PYTEST_ARGS="-k projection" for some)
	$(PY) -m pytest -n auto --dist loadfile $(PYTEST_ARGS)

test-kills: setup ## kills the tiny workflow in every job, and compares the bytes: half an hour (SEED=7 for other moments)
	$(PY) tests/kills.py --seed $(SEED) $(KILLS_ARGS)

test-mutants: setup ## changes the recipe one place at a time, and tells what no test notices: hours, resumes where it was stopped (MUTANTS=losses for a part)
	$(PY) tests/mutants/run.py $(MUTANTS)

test-slurm: setup ## a real one-node SLURM, and the workflow through it while jobs are killed: 20 minutes, root, Debian's packages
	$(PY) -m pytest tests/slurm/scenarios.py $(PYTEST_ARGS)

lint: setup ## ruff, mypy, snakefmt, snakemake's own checks, links of the documentation; changes no file of the project
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	.venv/bin/snakefmt --check Snakefile workflow
	$(PY) workflow/lint.py
	$(SITE)

format: setup ## put the code into the project's form
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .
	.venv/bin/snakefmt Snakefile workflow

# benchmarks that read what make demo makes, or as much of it as they need
OF_A_DEMO := benchmarks/feature_store.py benchmarks/samples.py
BENCH_DATA := $(SNAKEMAKE) --cores $(CORES) $(SNAKEMAKE_ARGS)

bench: setup ## the timings that docs quote, and the throughputs that `ignet plan` counts with: about half an hour
	@for script in $(filter-out $(OF_A_DEMO),$(wildcard benchmarks/*.py)); do echo "== $$script"; $(PY) "$$script" || exit 1; done
	@$(MAKE) --no-print-directory bench-features bench-data

bench-features: setup ## the feature store: size, loss and speed of each coding (makes the demo's 2D network if it is not there)
	$(BENCH_DATA) results/demo/adapt_2d/adapted/model.safetensors $(foreach n,0 1 2 3 4 5 6 7,results/demo/projection/0$(n).h5)
	$(PY) benchmarks/feature_store.py

bench-data: setup ## how long a training pair takes to prepare: make bench-data ROOT=/path/to/dataset for real frames
	$(if $(ROOT),,$(BENCH_DATA) results/demo/world/target/sequences/00)
	$(PY) benchmarks/samples.py $(if $(ROOT),--root "$$ROOT",--voxel 0.3)

# each with the keys of config/feature-store/CODING.yaml
CODINGS ?= float32 float16 int8 int8-48 int8-32

feature-codings: setup ## what each coding of the features does to the final mIoU, 3 seeds each: hours; resumes where it was stopped
	@for coding in $(CODINGS); do \
	  $(ABLATE) config/ablation/headline.yaml config/feature-store.yaml config/feature-store/$$coding.yaml || exit 1; \
	done
	$(PY) workflow/scripts/feature_codings.py --run ignet $(foreach c,$(CODINGS),$(c)=results/feature-store/$(c)) --out results/feature-store/table.md

# on a machine without a GPU: make bench-gpu BENCH_GPU='--size tiny --device cpu'
BENCH_GPU ?= --device cuda --out build/bench-gpu

bench-gpu: setup ## on a CUDA machine, offline once set up, in 8 minutes: do engines agree, do trainings resume, speed, memory, a profile
	$(PY) benchmarks/gpu/bench.py $(BENCH_GPU)

bench-gpus: setup ## on a machine with several GPUs, offline once set up: do they train as one does, and how fast are they
	@$(PY) -c "import sys, torch; n = torch.cuda.device_count(); sys.exit(0 if n > 1 else f'error: found {n} CUDA devices; make bench-gpus needs two')"
	$(PY) -m pytest tests/test_distributed.py
	$(PY) benchmarks/several_gpus.py --device cuda --batch 8 --voxels 100000 --width 2
	$(PY) -m ignet.train.torchrun --nproc-per-node gpu benchmarks/several_gpus.py --device cuda --batch 8 --voxels 100000 --width 2

docs: setup ## the documentation as a site in build/site, which opens from disk; dead links are errors
	$(PY) -m ignet.config.reference docs/configuration.md docs/experiment.schema.json
	$(SITE)
	@echo "build/site/index.html"

docs-graph: setup ## draws the picture of the workflow's rules anew; needs graphviz
	$(PY) docs/site/rule_graph.py

doctor: ## what is installed, what works, what is missing
	@$(PY) -m ignet doctor

clean: ## caches; results and .venv stay
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis build *.egg-info
	find . -path ./.venv -prune -o -name __pycache__ -type d -exec rm -rf {} +

clean-results: ## results, training states and the workflow's own records
	rm -rf results .snakemake

clean-setup: ## .venv
	rm -rf .venv
