# The guest's programs, static, for both architectures. The foreign one is cross-compiled against
# Debian's -dev packages unpacked in $(O)/sysroot (scripts/sysroot): nothing is added to the system.

GUEST_CFLAGS := $(BASE_CFLAGS) -DJAIL_STATIC -Os -ffunction-sections -fdata-sections
GUEST_LDFLAGS := -static -Wl,--gc-sections -s

GUEST_CC_$(HOST_ARCH) := gcc
GUEST_CC_$(FOREIGN_ARCH) := $(TRIPLET_$(FOREIGN_ARCH))-gcc
SYSROOT := $(O)/sysroot/$(FOREIGN_ARCH)
GUEST_INC_$(FOREIGN_ARCH) = -I$(SYSROOT)/usr/include -I$(SYSROOT)/usr/include/$(TRIPLET_$(FOREIGN_ARCH))
GUEST_LIB_$(FOREIGN_ARCH) = -L$(SYSROOT)/usr/lib/$(TRIPLET_$(FOREIGN_ARCH))
GUEST_DEP_$(FOREIGN_ARCH) := $(SYSROOT)/.stamp

$(SYSROOT)/.stamp: scripts/sysroot
	$(call say,SYSROOT,$(FOREIGN_ARCH))scripts/sysroot $(FOREIGN_ARCH) $(SYSROOT) libcap-dev libyaml-dev && touch $@

define guest_rules
$(O)/guest/$(1)/obj/%.o: %.c | $$(GUEST_DEP_$(1))
	$$(call say,CC-$(1),$$<)mkdir -p $$(@D) && $$(GUEST_CC_$(1)) $$(GUEST_CFLAGS) $$(GUEST_INC_$(1)) -MMD -MP -c $$< -o $$@
$(O)/guest/$(1)/jail: $(patsubst %.c,$(O)/guest/$(1)/obj/%.o,$(base_src) $(jail_src) $(jail_main))
	$$(call say,LD-$(1),$$@)$$(GUEST_CC_$(1)) $$(GUEST_LDFLAGS) $$^ $$(GUEST_LIB_$(1)) $(JAIL_LIBS) -o $$@
$(O)/guest/$(1)/agent: $(patsubst %.c,$(O)/guest/$(1)/obj/%.o,$(filter-out jail/base/yaml.c,$(base_src)) $(proto_src) $(agent_src))
	$$(call say,LD-$(1),$$@)$$(GUEST_CC_$(1)) $$(GUEST_LDFLAGS) $$^ $$(GUEST_LIB_$(1)) -o $$@
endef
$(eval $(call guest_rules,amd64))
$(eval $(call guest_rules,arm64))
