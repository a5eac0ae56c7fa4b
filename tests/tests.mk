# Tests. Unit tests: one program for each tests/unit/test-*.c (cmocka); test-lab-*.c link lab's
# objects, test-jail-*.c jail's, the others the base only.

unit_src := $(wildcard tests/unit/test-*.c)
unit_bins := $(patsubst tests/unit/%.c,$(O)/tests/%,$(unit_src))

$(O)/obj/tests/unit/test-lab-%.o: tests/unit/test-lab-%.c
	$(call say,CC,$<)mkdir -p $(@D) && $(CC) $(BASE_CFLAGS) $(OPT) $(SAN_FLAGS) $(LAB_CFLAGS) $(CFLAGS) -MMD -MP -c $< -o $@
$(O)/tests/test-lab-%: $(O)/obj/tests/unit/test-lab-%.o $(O)/liblab.a $(O)/libbase.a
	$(call say,LD,$@)mkdir -p $(@D) && $(CC) $(SAN_FLAGS) $(LDFLAGS) $^ $(LAB_LIBS) -lcmocka -o $@
$(O)/tests/test-jail-%: $(O)/obj/tests/unit/test-jail-%.o $(O)/libjail.a $(O)/libbase.a
	$(call say,LD,$@)mkdir -p $(@D) && $(CC) $(SAN_FLAGS) $(LDFLAGS) $^ $(JAIL_LIBS) -lcmocka -o $@
$(O)/tests/test-%: $(O)/obj/tests/unit/test-%.o $(O)/libbase.a
	$(call say,LD,$@)mkdir -p $(@D) && $(CC) $(SAN_FLAGS) $(LDFLAGS) $^ -lyaml -lcmocka -o $@

unit: $(unit_bins)
	$(Q)for t in $(unit_bins); do $$t || exit 1; done
