# SPDX-License-Identifier: Apache-2.0
#
# make            build/oomsnap, build/leaker
# make demo       leak, capture before the kill, show what was caught   (root; sets itself up)
#                 RUNTIME=dotnet, java, node, python: the same on that runtime, read by its reader
# make test       everything: unit, property, fault, system, VM lanes   (root; sets itself up)
# make check      no root, fast          make bench, bench-NAME   tables, build/bench/NAME.json
# make lint       format, tidy, cppcheck, shellcheck, layers            make help   the rest
#
# MODE chooses the flavour and its own object tree: product (default), test (fault points),
# asan (ASan and UBSan), clang, ndebug (-O3 -DNDEBUG).

SHELL := /bin/bash
.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

BUILD ?= build
MODE ?= product
PREFIX ?= /usr/local
DESTDIR ?=
VERSION := 0.1.0
T ?=
QUICK ?=

CLANG ?= clang
BPFTOOL ?= $(firstword $(wildcard /usr/sbin/bpftool /usr/bin/bpftool) bpftool)
PKG_CONFIG ?= pkg-config
CLANG_FORMAT ?= clang-format
ARCH := $(shell uname -m)

V ?=
Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-5s %s\n' $(1) $(2))

# --- flags -------------------------------------------------------------------------------------
WARN := -Wall -Wextra -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wundef \
	-Wpointer-arith -Wvla -Werror
CPPFLAGS += -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -DOOMSNAP_VERSION='"$(VERSION)"' -Iwatchdog -I. \
	-I$(BUILD)/gen
CFLAGS ?= -O2 -g
HARDEN := -fstack-protector-strong -fPIE -fno-omit-frame-pointer
LDHARDEN := -pie -Wl,-z,relro,-z,now

ifeq ($(origin CC),default)
CC := gcc
endif
ifeq ($(MODE),product)
HARDEN += -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2
else ifeq ($(MODE),test)
CPPFLAGS += -DOOMSNAP_TEST
LDHARDEN += -rdynamic
else ifeq ($(MODE),asan)
CPPFLAGS += -DOOMSNAP_TEST
CFLAGS := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all
else ifeq ($(MODE),clang)
CC := $(CLANG)
else ifeq ($(MODE),ndebug)
CFLAGS := -O3 -g -DNDEBUG
else
$(error MODE=$(MODE) is not one of product, test, asan, clang, ndebug)
endif

ALL_CFLAGS = -std=gnu17 $(CPPFLAGS) $(CFLAGS) $(HARDEN) $(WARN) -MMD -MP
LIBS := -lsystemd -lbpf -linih -lzstd -pthread
LEAKER_LIBS := -lmicrohttpd -pthread

# --- sources -----------------------------------------------------------------------------------
OBJ := $(BUILD)/obj/$(MODE)
OUT := $(if $(filter product,$(MODE)),$(BUILD),$(BUILD)/$(MODE))
WATCHDOG_SRC := $(sort $(wildcard watchdog/*.c watchdog/*/*.c))
WATCHDOG_OBJ := $(WATCHDOG_SRC:%.c=$(OBJ)/%.o)
WATCHDOG_LIB := $(OBJ)/watchdog.a
LEAKER_SRC := $(sort $(wildcard leaker/*.c))
LEAKER_OBJ := $(LEAKER_SRC:%.c=$(OBJ)/%.o)
LEAKER_LIB := $(OBJ)/leaker.a
BPF_SRC := $(sort $(wildcard bpf/*.bpf.c))
SKELETONS := $(BPF_SRC:bpf/%.bpf.c=$(BUILD)/gen/%.skel.h)

UNIT := $(patsubst tests/unit/%.c,%,$(sort $(wildcard tests/unit/test_*.c)))
PROP := $(patsubst tests/prop/%.c,%,$(sort $(wildcard tests/prop/prop_*.c)))
SIM := $(patsubst tests/sim/%.c,%,$(sort $(wildcard tests/sim/sim_*.c)))
FAULT := $(patsubst tests/fault/%.c,%,$(sort $(wildcard tests/fault/fault_*.c)))
TOOL := $(patsubst tests/tool/%.c,%,$(sort $(wildcard tests/tool/*.c)))
FUZZ := $(patsubst tests/fuzz/%.c,%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
CHECK_BIN := $(UNIT:%=$(OUT)/unit/%) $(PROP:%=$(OUT)/prop/%) $(SIM:%=$(OUT)/sim/%) \
	$(FAULT:%=$(OUT)/fault/%) $(FUZZ:%=$(OUT)/fuzz/%)
TOOL_BIN := $(TOOL:%=$(OUT)/tool/%)
PRELOAD_BIN := $(patsubst tests/preload/%.c,$(OUT)/preload/%.so,$(sort $(wildcard tests/preload/*.c)))

.PHONY: all deps deps-test demo test check bench lint format fuzz asan image install clean help \
	test-host test-vm test-runtimes test-brake test-aarch64 test-programs man-lint layers static

all: $(OUT)/oomsnap $(OUT)/leaker

# A build that lacks a header says so in the compiler's words; these targets mend it first.
deps:
	@.ci/deps build
deps-test:
	@.ci/deps build test vm
deps-bench:
	@.ci/deps build test bench
deps-lint:
	@.ci/deps build test lint

# --- products ----------------------------------------------------------------------------------
$(OUT)/oomsnap: $(OBJ)/watchdog/main.o $(WATCHDOG_LIB)
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(LDHARDEN) -o $@ $^ $(LDFLAGS) $(LIBS)

$(OUT)/leaker: $(OBJ)/leaker/main.o $(LEAKER_LIB)
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(LDHARDEN) -o $@ $^ $(LDFLAGS) $(LEAKER_LIBS)

# dump and inspect alone, without any library to load: for a container that has none.
static: $(OUT)/oomsnap-dump
$(OUT)/oomsnap-dump: $(OBJ)/watchdog/main_static.o $(WATCHDOG_LIB)
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) -static-pie -Wl,-z,relro,-z,now -Wl,--gc-sections -s -o $@ $^ $(LDFLAGS) \
		-lzstd -pthread

$(WATCHDOG_LIB): $(filter-out %/main.o %/main_static.o,$(WATCHDOG_OBJ))
	@rm -f $@ && $(AR) rcs $@ $^
$(LEAKER_LIB): $(filter-out %/main.o,$(LEAKER_OBJ))
	@rm -f $@ && $(AR) rcs $@ $^

$(OBJ)/%.o: %.c | $(SKELETONS)
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) $(ALL_CFLAGS) -c -o $@ $<

# BPF objects are little-endian bytecode with CO-RE relocations; the types come from bpf/kernel.h,
# so that no BTF of the build host is needed.
$(BUILD)/gen/%.bpf.o: bpf/%.bpf.c $(wildcard bpf/*.h)
	@mkdir -p $(@D)
	$(call say,BPF,$@)
	$(Q)$(CLANG) -target bpf -mcpu=v3 -D__TARGET_ARCH_$(if $(filter aarch64,$(ARCH)),arm64,x86) \
		-O2 -g -Wall -Werror -Ibpf -I. -c -o $@ $<
$(BUILD)/gen/%.skel.h: $(BUILD)/gen/%.bpf.o
	$(Q)$(BPFTOOL) gen skeleton $< name $(subst -,_,$*)_bpf > $@
# Named here, or make takes both for intermediate files and removes them after a first build.
.SECONDARY: $(BPF_SRC:bpf/%.bpf.c=$(BUILD)/gen/%.bpf.o) $(SKELETONS)

# --- tests -------------------------------------------------------------------------------------
# Test programs link everything but main.o; test_leaker_* link the leaker's objects instead.
$(OUT)/unit/test_leaker_%: $(OBJ)/tests/unit/test_leaker_%.o $(LEAKER_LIB)
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(LDHARDEN) -o $@ $^ $(LDFLAGS) -lcmocka $(LEAKER_LIBS)
$(OUT)/unit/%: $(OBJ)/tests/unit/%.o $(WATCHDOG_LIB)
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(LDHARDEN) -o $@ $^ $(LDFLAGS) -lcmocka $(LIBS)
$(OUT)/prop/%: $(OBJ)/tests/prop/%.o $(WATCHDOG_LIB)
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(LDHARDEN) -o $@ $^ $(LDFLAGS) -lcmocka $(LIBS)
$(OUT)/sim/%: $(OBJ)/tests/sim/%.o $(WATCHDOG_LIB)
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(LDHARDEN) -o $@ $^ $(LDFLAGS) -lcmocka $(LIBS)
$(OUT)/fault/%: $(OBJ)/tests/fault/%.o $(WATCHDOG_LIB)
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(LDHARDEN) -o $@ $^ $(LDFLAGS) -lcmocka $(LIBS)
$(OUT)/tool/tripwire: $(OBJ)/tests/tool/tripwire.o $(WATCHDOG_LIB)
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(LDHARDEN) -o $@ $^ $(LDFLAGS) $(LIBS)
# A fuzz target with a main() that replays its corpus; see tests/fuzz/run for the fuzzing itself.
$(OUT)/fuzz/%: $(OBJ)/tests/fuzz/%.o $(OBJ)/tests/fuzz/replay.o $(WATCHDOG_LIB)
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(LDHARDEN) -o $@ $^ $(LDFLAGS) $(LIBS)
$(OUT)/tool/%: $(OBJ)/tests/tool/%.o $(LEAKER_LIB)
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(LDHARDEN) -o $@ $^ $(LDFLAGS) $(LEAKER_LIBS) -ldl
# Preloaded libraries interpose libc, so they are built without sanitizers and hardening.
$(OUT)/preload/%.so: tests/preload/%.c
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) -std=gnu17 -D_GNU_SOURCE -O2 -g -fPIC -shared -Wall -Wextra -Werror -o $@ $< -ldl
test-programs: $(CHECK_BIN) $(TOOL_BIN) $(PRELOAD_BIN)

check: deps all test-programs
	@tests/run check "$(OUT)" "$(T)"

demo: deps
	@$(MAKE) -s all
	@BUILD=$(BUILD) tests/demo $(if $(RUNTIME),--runtime $(RUNTIME))

test: deps-test
	@$(MAKE) -s all test-programs
	@$(MAKE) -s MODE=test all
	@BUILD=$(BUILD) tests/run all "$(BUILD)" "$(T)"

test-host: deps-test
	@$(MAKE) -s all test-programs
	@$(MAKE) -s MODE=test all
	@BUILD=$(BUILD) tests/run host "$(BUILD)" "$(T)"

# The managed runtimes at three limits (or RUNTIME_LIMITS="128 512"), with their native leaks: minutes,
# not for CI.
test-runtimes: deps-test
	@$(MAKE) -s all test-programs
	@RUNTIMES=all BATS_TEST_TIMEOUT=1200 BUILD=$(BUILD) bats --timing tests/interop/services.bats \
		tests/slow

# The managed runtimes under the brake, in a machine with cgroup v2: minutes, not for CI.
test-brake: deps-test
	@$(MAKE) -s all test-programs
	@BUILD=$(BUILD) tests/vm/brake

# The product on 64-bit ARM, in a machine that QEMU emulates; see tests/vm/aarch64. Not in CI.
test-aarch64:
	@.ci/deps build test vm aarch64
	@$(MAKE) -s all test-programs
	@BUILD=$(BUILD) tests/vm/aarch64 $(T)

test-vm: deps-test
	@$(MAKE) -s all test-programs
	@$(MAKE) -s MODE=test all
	@BUILD=$(BUILD) tests/run vm "$(BUILD)" "$(T)"

asan: deps-test
	@$(MAKE) -s MODE=asan all test-programs
	@ASAN_OPTIONS=abort_on_error=1:detect_leaks=1 UBSAN_OPTIONS=print_stacktrace=1 \
		tests/run check "$(BUILD)/asan" "$(T)"

bench: deps-bench
	@$(MAKE) -s all test-programs
	@for b in $(patsubst tests/bench/%,%,$(filter-out %.md %.json,$(wildcard tests/bench/bench-*))); do \
		BUILD=$(BUILD) QUICK=$(QUICK) tests/bench/$$b || exit 1; done
bench-%: deps-bench
	@$(MAKE) -s all test-programs
	@BUILD=$(BUILD) QUICK=$(QUICK) tests/bench/bench-$*

# Fuzz targets are built with clang's libFuzzer; each runs for FUZZ_S seconds on its corpus.
FUZZ_S ?= 30
fuzz: deps-lint
	@CLANG=$(CLANG) BUILD=$(BUILD) FUZZ_S=$(FUZZ_S) tests/fuzz/run "$(T)"

# --- lint --------------------------------------------------------------------------------------
lint: deps-lint
	@$(MAKE) -s all test-programs
	@$(MAKE) -s MODE=clang all
	@BUILD=$(BUILD) tests/lint/run "$(T)"
layers: all
	@BUILD=$(BUILD) tests/lint/layers
format:
	@git ls-files -co --exclude-standard '*.c' '*.h' | xargs $(CLANG_FORMAT) -i

# --- packaging ---------------------------------------------------------------------------------
image:
	@.ci/deps image
	@deploy/build-image

MAN := $(wildcard deploy/man/*.[1-8])
install: all
	install -Dm755 $(BUILD)/oomsnap $(DESTDIR)$(PREFIX)/bin/oomsnap
	install -Dm644 conf/oomsnap.ini $(DESTDIR)/etc/oomsnap/oomsnap.ini.example
	for f in on-arm dotnet-dump-port; do \
		install -Dm755 deploy/runtimes/$$f $(DESTDIR)$(PREFIX)/lib/oomsnap/$$f; done
	for f in pyheap.py v8heap.py; do \
		install -Dm644 deploy/runtimes/$$f $(DESTDIR)$(PREFIX)/lib/oomsnap/$$f; done
	for f in $(wildcard conf/*.catalog); do \
		install -Dm644 $$f $(DESTDIR)$(PREFIX)/lib/systemd/catalog/$$(basename $$f); done
	for f in $(MAN); do \
		install -Dm644 $$f $(DESTDIR)$(PREFIX)/share/man/man$${f##*.}/$$(basename $$f); done
	for f in $(wildcard deploy/systemd/*.service); do \
		install -d $(DESTDIR)$(PREFIX)/lib/systemd/system && \
		sed 's|@bindir@|$(PREFIX)/bin|' $$f \
			> $(DESTDIR)$(PREFIX)/lib/systemd/system/$$(basename $$f); done

clean:
	rm -rf $(BUILD)/obj $(BUILD)/gen $(BUILD)/unit $(BUILD)/prop $(BUILD)/sim $(BUILD)/fault \
		$(BUILD)/tool $(BUILD)/fuzz $(BUILD)/fuzz-run $(BUILD)/test $(BUILD)/asan $(BUILD)/clang $(BUILD)/ndebug \
		$(BUILD)/oomsnap $(BUILD)/leaker

help:
	@sed -n '3,13s/^# \{0,1\}//p' Makefile
	@echo "make T=NAME check|test|lint runs one; make asan, fuzz, image, install, clean, format"

-include $(WATCHDOG_OBJ:.o=.d) $(LEAKER_OBJ:.o=.d) \
	$(patsubst $(OUT)/%,$(OBJ)/tests/%.d,$(CHECK_BIN) $(TOOL_BIN))
.PRECIOUS: $(OBJ)/%.o
