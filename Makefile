# The front of the house: each of these says what it does. CMake with its presets does the building (docs/building.md).
#
#   make run                      install what is missing, build, get a small model, talk to it
#   make run PROMPT="Why is ...?" the same, one answer
#   make run MODEL=file.gguf      the same with another model
#   make test                     build and run all tests
#   make                          only build, into build/release/
#   make && sudo make install     into PREFIX=/usr/local
#   make format                   clang-format on all C files
#   make clean                    remove build/

PREFIX = /usr/local

# PROMPT and MODEL reach scripts/run through the environment and byte for byte: $(value ...) is what was typed, before
# make looks for $ in it. Only the command line counts; some shells keep a PROMPT of their own.
ifeq ($(origin PROMPT),command line)
override PROMPT := $(value PROMPT)
else
override PROMPT :=
endif
ifeq ($(origin MODEL),command line)
override MODEL := $(value MODEL)
else
override MODEL :=
endif
export PROMPT MODEL

.PHONY: build run test install clean format help

build:
	@scripts/install-dependencies build
	@scripts/build release
	@echo "Built: build/release/tern. Try: make run"

run:
	@scripts/run

test:
	@scripts/test

# What root builds in a user's folder the user's next make cannot replace, so root builds only where nothing is.
install:
	@if [ "$$(id -u)" -ne 0 ] || [ ! -x build/release/tern ]; then \
		scripts/install-dependencies build && scripts/build release; fi
	cmake --install build/release --prefix "$(PREFIX)"

format:
	scripts/format

clean:
	rm -rf build

help:
	@sed -n 's/^#  \( *make\)/\1/p' Makefile
