# jail & lab: one Makefile. `make help` lists what there is.
#
#   O=DIR       where everything built goes (build)
#   CC=clang    another compiler             V=1        print the commands
#   SAN=asan    AddressSanitizer and UBSan, in a tree of its own (build-asan)
#   WERROR=0    warnings are not errors      DESTDIR=, PREFIX=   for install

SAN ?=
O ?= $(if $(SAN),build-$(SAN),build)
# one name for one folder: what an object depends on is kept under the name that it was built by
override O := $(patsubst $(CURDIR)/%,%,$(abspath $(O)))
PREFIX ?= /usr/local
WERROR ?= 1
V ?= 0
Q := $(if $(filter 1,$(V)),,@)
say = $(if $(filter 1,$(V)),,@printf '  %-7s %s\n' '$(1)' '$(2)';)
MAKEFLAGS += --no-print-directory
.DELETE_ON_ERROR:

HOST_ARCH := $(if $(filter aarch64 arm64,$(shell uname -m)),arm64,amd64)
FOREIGN_ARCH := $(if $(filter arm64,$(HOST_ARCH)),amd64,arm64)
TRIPLET_amd64 := x86_64-linux-gnu
TRIPLET_arm64 := aarch64-linux-gnu

WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
	-Wvla -Wformat=2 -Wno-format-nonliteral -Wundef $(if $(filter 1,$(WERROR)),-Werror)
BASE_CFLAGS := -std=gnu11 -D_GNU_SOURCE -I. -g $(WARN) -fno-common -fstack-protector-strong
OPT ?= -O2 -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2
comma := ,
SAN_FLAGS := $(if $(filter asan,$(SAN)),-fsanitize=address$(comma)undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
$(if $(filter-out asan,$(SAN)),$(error SAN=$(SAN): only asan is known))

LAB_PKGS := libvirt libvirt-qemu libxml-2.0 libarchive libcurl jansson libcrypto libelf libdw yaml-0.1 zlib
LAB_CFLAGS = $(shell pkg-config --cflags $(LAB_PKGS))
LAB_LIBS = $(shell pkg-config --libs $(LAB_PKGS)) -pthread
JAIL_LIBS := -lcap -lyaml

base_src := $(wildcard jail/base/*.c)
proto_src := $(wildcard vm/*.c)
# main.c and the commands are linked into the program only, so that tests may link the rest
jail_main := jail/main.c $(wildcard jail/cmd*.c)
jail_src := $(filter-out $(jail_main),$(wildcard jail/*.c) $(filter-out jail/base/%,$(wildcard jail/*/*.c)))
lab_src := $(filter-out lab/main.c,$(wildcard lab/*.c lab/*/*.c))
agent_src := $(wildcard vm/agent/*.c)
obj = $(patsubst %.c,$(O)/obj/%.o,$(1))

guest_bins := $(foreach a,amd64 arm64,$(O)/guest/$(a)/agent $(O)/guest/$(a)/jail)

.PHONY: all host guest run check unit help install clean setup format fuzz
all: host guest
host: $(O)/bin/lab $(O)/bin/jail
guest: $(guest_bins)

help:
	@sed -n 's/^#   \?/  /p' Makefile | head -6
	@echo
	@echo "  make            build lab, jail and the guest programs (no installing)"
	@echo "  make run        install what is missing, build, fetch the pinned kernel, run scenarios/"
	@echo "  make check      the same and every test"
	@echo "  make check-all  and all scenarios, crashes and gdb on every pinned kernel"
	@echo "  make unit       the unit tests alone"
	@echo "  make bench      what a run costs, as ratios to plain QEMU"
	@echo "  make fuzz       libFuzzer targets (clang)"
	@echo "  make check-kernels   kernels built from source, for real (an hour)"
	@echo "  make format     clang-format"
	@echo "  make install    programs, guest programs, jail-plugin.h, kernels, man pages"
	@echo "  make setup      only install what is missing"
	@echo "  make clean      remove what was built"

setup:
	$(Q)scripts/setup

# --- programs of the host ---------------------------------------------------------------------
-include $(shell find $(O)/obj $(O)/guest -name '*.d' 2>/dev/null)

$(O)/obj/lab/%.o: lab/%.c
	$(call say,CC,$<)mkdir -p $(@D) && $(CC) $(BASE_CFLAGS) $(OPT) $(SAN_FLAGS) $(LAB_CFLAGS) $(CFLAGS) -MMD -MP -c $< -o $@
$(O)/obj/%.o: %.c
	$(call say,CC,$<)mkdir -p $(@D) && $(CC) $(BASE_CFLAGS) $(OPT) $(SAN_FLAGS) $(CFLAGS) -MMD -MP -c $< -o $@

# profiles.c embeds these by .incbin, of which the compiler's list of dependencies says nothing
$(call obj,jail/policy/profiles.c) $(foreach a,amd64 arm64,$(O)/guest/$(a)/obj/jail/policy/profiles.o): \
	$(wildcard jail/policy/profiles/*.yml)
$(call obj,lab/open/tools.c): lab/data/crash-tools.tab

# and crash-table.c these
$(call obj,lab/crash/crash-table.c): $(wildcard lab/data/crash-*.tab)

$(O)/libbase.a: $(call obj,$(base_src) $(proto_src))
$(O)/libjail.a: $(call obj,$(jail_src))
$(O)/liblab.a: $(call obj,$(lab_src))
$(O)/%.a:
	$(call say,AR,$@)mkdir -p $(@D) && rm -f $@ && $(AR) rcs $@ $^

$(O)/bin/lab: $(call obj,lab/main.c) $(O)/liblab.a $(O)/libbase.a
	$(call say,LD,$@)mkdir -p $(@D) && $(CC) $(SAN_FLAGS) $(LDFLAGS) $^ $(LAB_LIBS) -o $@
$(O)/bin/jail: $(call obj,$(jail_main)) $(O)/libjail.a $(O)/libbase.a
	$(call say,LD,$@)mkdir -p $(@D) && $(CC) $(SAN_FLAGS) $(LDFLAGS) $^ $(JAIL_LIBS) -o $@

# --- programs of the guest: static, for both architectures ------------------------------------
include scripts/guest.mk

# --- tests ------------------------------------------------------------------------------------
include tests/tests.mk

run: setup
	$(Q)$(MAKE) -j$$(nproc) all
	$(Q)$(O)/bin/lab run scenarios/

install: all
	$(Q)scripts/install "$(O)" "$(DESTDIR)" "$(PREFIX)"

format:
	$(Q)git ls-files '*.c' '*.h' | xargs clang-format -i

clean:
	$(Q)rm -rf $(O)
