# Every daily action in one word. `make help` lists them.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3)
BIN := .venv/bin
READY := .venv/.ready
UV := VIRTUAL_ENV=$(CURDIR)/.venv $(BIN)/uv

exp ?= tiny
args ?=
out ?=
in ?=
reference ?=
checkpoint ?=
recipe ?= vfhq
seed ?= 0
format ?= videos
runs ?=
study ?=
run ?=
to ?=
name ?=
layout ?= folder

.DEFAULT_GOAL := help
.PHONY: help setup train small-data sweep study restore app evaluate prepare degrade compare reproduce leaderboard sync ui bench doctor weights test lint lock

help:  ## this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY)  ## build .venv from requirements.lock (every other target does so when needed)

$(READY): requirements.lock requirements-uv.lock pyproject.toml
	@test -n "$(PYTHON)" && $(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))' \
	  || { echo "dvface needs Python 3.11 or 3.12; name one: make setup PYTHON=/path/to/python3.11"; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-uv.lock
	@$(UV) pip install --quiet --require-hashes -r requirements.lock
	@$(UV) pip install --quiet --no-deps --no-build-isolation -e .
	@touch $(READY)

train: $(READY)  ## train the stages of an experiment: make train [exp=NAME] [args='hydra overrides']
	@$(BIN)/dvface train $(if $(filter resume=%,$(args)),,exp=$(exp)) $(args)

SMALL := runs/data/small
small-data: $(READY)  ## shards for exp=small: make small-data in=FOOTAGE, which holds train/ and validation/
	@$(BIN)/dvface prepare $(if $(in),input='$(in)') output=$(SMALL)/faces256 layout=splits size=256 \
	  filters.size.least=128 '~filters.sharpness' $(args)
	@$(BIN)/dvface prepare $(if $(in),input='$(in)') output=$(SMALL)/faces512 layout=splits '~filters.sharpness' $(args)
	@$(BIN)/dvface degrade input=$(SMALL)/faces256/validation output=$(SMALL)/held_out_mixed recipe=mixed seed=1 \
	  format=shards
	@for recipe in vfhq video_call; do $(BIN)/dvface degrade input=$(SMALL)/faces256/validation \
	  output=$(SMALL)/held_out_$$recipe recipe=$$recipe format=shards || exit; done

sweep: $(READY)  ## train every combination: make sweep exp=tiny,ablation_no_temporal args='seed=0,1,2'
	@$(BIN)/dvface sweep exp='$(exp)' $(args)

study: $(READY)  ## train what a study lacks: make study name=fusion [args='launcher.jobs=2']
	@$(BIN)/dvface study name='$(name)' $(args)

restore: $(READY)  ## restore a video or a folder of them: make restore in=old.mp4 out=new.mp4 [checkpoint=newest|RUN]
	@$(BIN)/dvface restore $(if $(in),input='$(in)') $(if $(out),output='$(out)') \
	  $(if $(checkpoint),checkpoint='$(checkpoint)') $(args)

app: $(READY)  ## restore videos on a web page of this machine: make app [args='port=7860']
	@$(BIN)/dvface app $(if $(checkpoint),checkpoint='$(checkpoint)') $(args)

evaluate: $(READY)  ## measure videos: make evaluate in=RESTORED reference=CLEAN, or checkpoint=RUN args=data=…
	@$(BIN)/dvface evaluate $(if $(in),restored='$(in)') $(if $(reference),reference='$(reference)') \
	  $(if $(checkpoint),checkpoint='$(checkpoint)') \
	  $(if $(out),out='$(out)') $(args)

prepare: $(READY)  ## raw footage to shards of face clips: make prepare in=FOLDER out=FOLDER [layout=folder] [args=…]
	@$(BIN)/dvface prepare $(if $(in),input='$(in)') $(if $(out),output='$(out)') layout='$(layout)' $(args)

degrade: $(READY)  ## paired data set: make degrade in=CLEAN out=FOLDER [recipe=vfhq] [seed=0] [format=shards] [args=…]
	@$(BIN)/dvface degrade $(if $(in),input='$(in)') $(if $(out),output='$(out)') recipe='$(recipe)' seed='$(seed)' \
	  format='$(format)' $(args)

compare: $(READY)  ## runs tested against a baseline, one page: make compare [study=NAME] [runs=[NAME,tag=VALUE,…]]
	@$(BIN)/dvface compare $(if $(study),study='$(study)') $(if $(runs),runs='$(runs)') $(args)

reproduce: $(READY)  ## does a run's command still mean the same? make reproduce run=RUN [args=train=true]
	@$(BIN)/dvface reproduce '$(run)' $(args)

leaderboard: $(READY)  ## put a run into experiments/leaderboard.md: make leaderboard run=RUN
	@$(BIN)/dvface leaderboard $(if $(run),run='$(run)') $(args)

sync: $(READY)  ## bring runs to an MLflow server: make sync to=http://HOST:5000 [run=RUN]
	@$(BIN)/dvface sync $(if $(to),to='$(to)') $(if $(run),run='$(run)') $(args)

ui: $(READY)  ## MLflow's page on this machine
	@$(BIN)/dvface ui $(args)

doctor: $(READY)  ## what this machine has and lacks
	@$(BIN)/dvface doctor

weights: $(READY)  ## pretrained networks: make weights args='fetch=missing' downloads what has an address
	@$(BIN)/dvface weights $(args)

bench: $(READY)  ## how fast recipes, preparation, loading and training are, each against a rival
	@$(BIN)/dvface benchmark $(args)

test: $(READY)  ## the whole suite
	@$(BIN)/python -m pytest $(args)

lint: $(READY)  ## ruff, mypy, import layers
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports

lock: $(READY)  ## resolve pyproject.toml anew into requirements.lock
	@$(UV) pip compile --quiet --upgrade --universal --python-version 3.11 --extra dev --generate-hashes \
	  --no-header --no-annotate pyproject.toml -o requirements.lock
