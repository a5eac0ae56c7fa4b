# Tests. Unit tests: one program for each tests/unit/test-*.c (cmocka); test-lab-*.c link lab's
# objects, test-jail-*.c jail's, the others the base only.
#
#   make check                 everything; STAGES="static unit fuzz integration vm install" chooses
#   make check-all             that, and every pinned kernel: all scenarios, crashes, gdb (the stage "pins")
#   make check-kernels         kernels built from source for real (an hour); PARTS="build run …" chooses
#   make unit                  the unit tests
#   make fuzz FUZZ_SECONDS=30  libFuzzer on each tests/fuzz/fuzz-*.c, that long
#   make bench                 what a run costs, as ratios

STAGES ?=
FUZZ_SECONDS ?= 30

unit_src := $(wildcard tests/unit/test-*.c)
unit_bins := $(patsubst tests/unit/%.c,$(O)/tests/%,$(unit_src))
fuzz_src := $(wildcard tests/fuzz/fuzz-*.c)
fuzz_names := $(patsubst tests/fuzz/fuzz-%.c,%,$(fuzz_src))
replay_bins := $(patsubst %,$(O)/tests/replay-%,$(fuzz_names))

.PHONY: test-programs objects fuzz-programs bench check-all check-kernels
.PRECIOUS: $(O)/obj/tests/%.o

$(O)/obj/tests/%.o: tests/%.c
	$(call say,CC,$<)mkdir -p $(@D) && $(CC) $(BASE_CFLAGS) $(OPT) $(SAN_FLAGS) $(LAB_CFLAGS) $(CFLAGS) -MMD -MP -c $< -o $@

# What a test is linked with: by its name's prefix, or for fuzz targets by what they feed.
LIBS_lab = $(O)/liblab.a $(O)/libbase.a
LIBS_jail = $(O)/libjail.a $(O)/libbase.a
LIBS_base = $(O)/libbase.a
LINK_lab = $(LAB_LIBS)
LINK_jail = $(JAIL_LIBS)
LINK_base = -lyaml
fuzz_part = $(if $(filter policy%,$(1)),jail,$(if $(filter frame,$(1)),base,lab))
link = $(call say,LD,$@)mkdir -p $(@D) && $(CC) $(SAN_FLAGS) $(CFLAGS) $(LDFLAGS) $(filter %.o %.a,$^)

$(O)/tests/test-lab-%: $(O)/obj/tests/unit/test-lab-%.o $(LIBS_lab)
	$(link) $(LINK_lab) -lcmocka -o $@
# libseccomp, which jail itself does without, is a witness
$(O)/tests/test-jail-filter-oracle: LINK_jail += -lseccomp
$(O)/tests/test-jail-%: $(O)/obj/tests/unit/test-jail-%.o $(LIBS_jail)
	$(link) $(LINK_jail) -lcmocka -o $@
$(O)/tests/test-%: $(O)/obj/tests/unit/test-%.o $(LIBS_base)
	$(link) $(LINK_base) -lcmocka -o $@

define fuzz_rules
$(O)/tests/replay-$(1): $(O)/obj/tests/fuzz/fuzz-$(1).o $(O)/obj/tests/fuzz/replay.o $$(LIBS_$(2))
	$$(link) $$(LINK_$(2)) -o $$@
$(O)/fuzz/$(1): $(O)/obj/tests/fuzz/fuzz-$(1).o $$(LIBS_$(2))
	$$(link) -fsanitize=fuzzer $$(LINK_$(2)) -o $$@
endef
$(foreach n,$(fuzz_names),$(eval $(call fuzz_rules,$(n),$(call fuzz_part,$(n)))))

test-programs: $(unit_bins) $(replay_bins)
fuzz-programs: $(patsubst %,$(O)/fuzz/%,$(fuzz_names))
# every C file of ours as a host object, without linking: what a second compiler has to say
objects: $(call obj,$(base_src) $(proto_src) $(jail_src) $(lab_src) $(agent_src) \
	$(jail_main) lab/main.c $(unit_src) $(fuzz_src) $(wildcard tests/bench/*.c) $(wildcard tests/fuzz/replay.c))

unit: $(unit_bins)
	$(Q)for t in $(unit_bins); do $$t || exit 1; done

check:
	$(Q)scripts/setup --check
	$(Q)scripts/check "$(O)" $(STAGES)

check-all:
	$(Q)scripts/setup --check
	$(Q)scripts/check "$(O)" $(or $(STAGES),build static unit fuzz integration vm pins install)

check-kernels: all
	$(Q)scripts/setup --check
	$(Q)scripts/check-kernels "$(O)" $(PARTS)

# The fuzzer wants everything compiled its way: a tree of its own.
fuzz:
	$(Q)$(MAKE) CC=clang SAN= O=$(O)-fuzz OPT='-O1 -fno-omit-frame-pointer' \
		CFLAGS='-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined' fuzz-programs
	$(Q)for n in $(fuzz_names); do \
		echo "  FUZZ    $$n, $(FUZZ_SECONDS) s"; mkdir -p $(O)-fuzz/corpus/$$n; \
		$(O)-fuzz/fuzz/$$n -max_total_time=$(FUZZ_SECONDS) -max_len=65536 -timeout=10 \
			-artifact_prefix=$(O)-fuzz/$$n- -print_final_stats=1 -verbosity=0 \
			$(O)-fuzz/corpus/$$n tests/fuzz/corpus/$$n || exit 1; done

# static: it also runs where no library is
$(O)/tests/filter-cost: $(O)/obj/tests/bench/filter-cost.o $(LIBS_jail)
	$(link) -static -o $@

$(O)/tests/vmcore-text: $(O)/obj/tests/bench/vmcore-text.o $(LIBS_lab)
	$(link) $(LINK_lab) -o $@

$(O)/tests/titles: $(O)/obj/tests/bench/titles.o $(LIBS_lab)
	$(link) $(LINK_lab) -o $@

bench: all $(O)/tests/filter-cost $(O)/tests/vmcore-text $(O)/tests/titles
	$(Q)tests/bench/run "$(O)"
