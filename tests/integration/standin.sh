# standin.sh - sourced: a stand-in for a kernel's source, which "builds" in a second.
# shellcheck shell=bash
# It has what lab uses of kbuild: the top Makefile's version, O=, ARCH=, CROSS_COMPILE=, LLVM=, CC=, KCFLAGS=,
# tinyconfig, olddefconfig, merge_config.sh, kernelversion, kernelrelease, bzImage, Image, vmlinux, modules,
# modules_install, modules_prepare, M=, scripts_gdb, clean, mrproper, lines like "  CC      kernel/one.o". Its objects, its
# module and vmlinux (with a build id) come from a real compiler; the image is STANDIN_IMAGE_amd64,
# STANDIN_IMAGE_arm64 (a kernel that boots), or made up, and a digest of the objects follows it.
# shellcheck source=tests/integration/make-archive.sh
. "${BASH_SOURCE[0]%/*}/make-archive.sh"

# standin_source TREE VERSION: write the tree. STANDIN_SLEEP: seconds that each object takes. Options are
# those of this project's fragments (and STANDIN_X, which depends on STANDIN_Y; STANDIN_Y).
standin_source() {
	local tree=$1 version=$2 fragments=${LAB_HOME:-.}/kernel-config arch image
	local IFS=. part
	read -ra part <<<"$version"
	mkdir -p "$tree"/{kernel,fs,drivers/misc,init,include/linux,scripts/kconfig,scripts/gdb/linux,images}
	for image in Kbuild COPYING MAINTAINERS arch/x86/Kconfig arch/arm64/Kconfig; do
		mkdir -p "$(dirname "$tree/$image")"
		echo "# stand-in" >"$tree/$image"
	done
	for arch in amd64 arm64; do
		image=STANDIN_IMAGE_$arch
		if [[ -n ${!image:-} ]]; then
			cp --reflink=auto "${!image}" "$tree/images/$arch"
		else
			image "$arch" "${part[0]}.${part[1]}.${part[2]:-0}" "${part[0]}.${part[1]}.${part[2]:-0}" 64 "$tree/images/$arch"
		fi
	done
	cat >"$tree/include/linux/standin.h" <<-'C'
		#define START(name) int name(int n) { return n + __builtin_strlen(__FILE__); }
	C
	for image in init/main kernel/one kernel/two kernel/three fs/four fs/five; do
		printf '#include <linux/standin.h>\nSTART(%s)\n' "${image##*/}" >"$tree/$image.c"
	done
	echo 'void _start(void) { for (;;); }' >>"$tree/init/main.c"
	cat >"$tree/drivers/misc/mod.c" <<-'C'
		static const char license[] __attribute__((section(".modinfo"), used)) = "license=GPL";
		static const char name[] __attribute__((section(".modinfo"), used)) = "name=mod";
	C
	echo '# gdb' | tee "$tree/scripts/gdb/vmlinux-gdb.py" >"$tree/scripts/gdb/linux/utils.py"
	echo 'LX_STANDIN = 1' >"$tree/scripts/gdb/linux/constants.py.in"
	standin_kconfig "$fragments" >"$tree/Kconfig"
	standin_scripts "$tree/scripts/kconfig"
	{
		printf 'VERSION = %s\nPATCHLEVEL = %s\nSUBLEVEL = %s\n' "${part[0]}" "${part[1]}" "${part[2]:-0}"
		printf 'EXTRAVERSION =\nNAME = Stand-in\nSTANDIN_SLEEP = %s\n' "${STANDIN_SLEEP:-}"
		standin_makefile
	} >"$tree/Makefile"
}

# standin_tarball TREE FILE: the tree as FILE (.tar.xz, .tar.gz, ...), below linux-VERSION/
standin_tarball() {
	tar -C "$1" --transform "s,^\.,linux-$(make -s -C "$1" kernelversion)," --sort=name --owner=0 --group=0 \
		-caf "$2" .
}

standin_kconfig() { # FOLDER: an option for each one of the fragments there
	echo 'mainmenu "Stand-in"'
	printf 'config STANDIN_Y\n\tbool "y"\n\nconfig STANDIN_X\n\tbool "x"\n\tdepends on STANDIN_Y\n'
	cat "$1"/*.config | sed -nE 's/^(# )?CONFIG_([A-Za-z0-9_]+)( is not set|=(.).*)$/\2 \4/p' | sort -u -k1,1 |
		while read -r option first; do
			case $first in
			'"') kind=string ;;
			[0-9]) kind=int ;;
			*) kind=tristate ;;
			esac
			printf '\nconfig %s\n\t%s "%s"\n' "$option" "$kind" "$option"
		done
}

standin_scripts() { # FOLDER: merging of fragments, and what makes a .config whole
	cat >"$1/merge_config.sh" <<-'SH'
		#!/bin/sh
		# merge_config.sh -m -O FOLDER BASE FRAGMENT...: later values replace earlier ones
		set -e
		[ "$1" = -m ] && [ "$2" = -O ] || exit 1
		out=$3
		shift 3
		cat "$@" | awk 'match($0, /CONFIG_[A-Za-z0-9_]+/) { last[substr($0, RSTART, RLENGTH)] = $0 }
			END { for (o in last) print last[o] }' | sort >"$out/merged"
		mv "$out/merged" "$out/.config"
	SH
	cat >"$1/conf.awk" <<-'AWK'
		# Kconfig .config: keep the options that there are and whose dependencies hold
		FNR == NR {
			if ($1 == "config") order[++n] = now = $2
			if ($1 == "depends") needs[now] = $3
			next
		}
		/^CONFIG_/ { split($0, pair, "="); value[substr(pair[1], 8)] = substr($0, index($0, "=") + 1) }
		END {
			printf "#\n# Automatically generated file; DO NOT EDIT.\n"
			printf "# Linux/%s %s Kernel Configuration\n#\n", arch, version
			printf "CONFIG_CC_VERSION_TEXT=\"%s\"\n", compiler
			for (i = 1; i <= n; i++) {
				o = order[i]
				if (!(o in value) || (o in needs && value[needs[o]] != "y"))
					print "# CONFIG_" o " is not set"
				else
					print "CONFIG_" o "=" value[o]
			}
		}
	AWK
	chmod +x "$1/merge_config.sh"
}

standin_makefile() { # what follows the version
	cat <<'MAKE'
srctree := $(CURDIR)
obj := $(abspath $(if $(O),$(O),.))
release := $(VERSION).$(PATCHLEVEL).$(SUBLEVEL)$(EXTRAVERSION)
kernelrelease = $(release)$(shell sed -n 's/^CONFIG_LOCALVERSION="\(.*\)"/\1/p' $(obj)/.config 2>/dev/null)$(LOCALVERSION)
ARCH ?= x86
target := $(if $(filter arm64,$(ARCH)),aarch64,x86_64)-linux-gnu
CC = $(if $(LLVM),clang$(filter -%,$(LLVM)) --target=$(target),$(CROSS_COMPILE)gcc)
image := $(if $(filter arm64,$(ARCH)),$(obj)/arch/arm64/boot/Image,$(obj)/arch/x86/boot/bzImage)
sources := $(filter-out drivers/%,$(wildcard init/*.c kernel/*.c fs/*.c))
objects := $(sources:%.c=$(obj)/%.o)
say = @printf '  %-7s %s\n' '$(1)' '$(patsubst $(obj)/%,%,$@)'
conf = awk -v arch=$(ARCH) -v version=$(release) -v compiler="$$($(CC) --version | head -1)" -f scripts/kconfig/conf.awk Kconfig
install := $(INSTALL_MOD_PATH)/lib/modules/$(kernelrelease)
.DELETE_ON_ERROR:
.SUFFIXES:

.PHONY: all kernelversion kernelrelease tinyconfig olddefconfig prepare modules_prepare bzImage Image vmlinux modules modules_install scripts_gdb clean mrproper outputmakefile FORCE
all: $(image) modules $(if $(shell grep -s ^CONFIG_GDB_SCRIPTS=y $(obj)/.config),scripts_gdb)
kernelversion:
	@echo $(release)
kernelrelease:
	@echo $(kernelrelease)
outputmakefile:
	@if [ -n "$(O)" ] && { [ -e .config ] || [ -d include/config ]; }; then \
		echo "***"; echo "*** The source tree is not clean, please run 'make ARCH=$(ARCH) mrproper'"; \
		echo "*** in $(srctree)"; echo "***"; exit 1; fi >&2
	@if [ -n "$(O)" ]; then mkdir -p $(obj) && ln -sfn $(srctree) $(obj)/source; fi
tinyconfig: outputmakefile
	@mkdir -p $(obj); $(conf) /dev/null >$(obj)/.config.new && mv $(obj)/.config.new $(obj)/.config
olddefconfig: outputmakefile
	@$(conf) $(obj)/.config >$(obj)/.config.new
	@if cmp -s $(obj)/.config.new $(obj)/.config; then rm $(obj)/.config.new; else mv $(obj)/.config.new $(obj)/.config; fi

$(obj)/.config:
	@echo "***"; echo "*** Configuration file \".config\" not found!"; echo "***"; exit 1
$(obj)/include/generated/autoconf.h: $(obj)/.config | outputmakefile
	$(call say,SYNC)
	@mkdir -p $(@D) $(obj)/include/config
	@cp $< $(obj)/include/config/auto.conf
	@echo $(kernelrelease) >$(obj)/include/config/kernel.release
	@sed -nE 's/^(CONFIG_[A-Z0-9_]+)=y/#define \1 1/p' $< >$@.new
	@mv $@.new $@
prepare: $(obj)/include/generated/autoconf.h

flags = -g -O1 -fno-pic -fno-stack-protector -ffreestanding -Iinclude -include $(obj)/include/generated/autoconf.h $(KCFLAGS)
$(obj)/%.o: %.c $(obj)/include/generated/autoconf.h
	$(call say,CC)
	@$(if $(STANDIN_SLEEP),sleep $(STANDIN_SLEEP))
	@mkdir -p $(@D); cd $(obj) && $(CC) $(subst -Iinclude,-I$(srctree)/include,$(flags)) -c $(srctree)/$< -o $(abspath $@)
$(obj)/vmlinux: $(objects)
	$(call say,LD)
	@$(CC) $(KCFLAGS) $(if $(LLVM),-fuse-ld=lld$(filter -%,$(LLVM))) -no-pie -nostdlib -static -Wl,--build-id=sha1 -Wl,-e,_start $(objects) -o $@
	@cp $@ $(obj)/System.map
$(image): images/$(if $(filter arm64,$(ARCH)),arm64,amd64) $(obj)/vmlinux
	@mkdir -p $(@D); { cat $<; cat $(objects) $(obj)/.config | sha256sum | cut -c1-64; } >$@
	@printf '  %-7s %s\n' OBJCOPY '$(patsubst $(obj)/%,%,$@)'
vmlinux: $(obj)/vmlinux
bzImage Image: $(image)
ifeq ($(M),)
modules: $(obj)/drivers/misc/mod.ko $(obj)/Module.symvers
else
include $(M)/Kbuild
modules:
	@cat $(obj)/include/config/kernel.release
	@set -e; for m in $(obj-m:.o=); do echo '  CC [M]  $(M)/'$$m.o; $(CC) $(flags) -c $(M)/$$m.c -o $(M)/$$m.ko; done
endif
modules_prepare: prepare
$(obj)/Module.symvers:
	@printf '0x00000000\tprintk\tvmlinux\tEXPORT_SYMBOL\t\n' >$@
$(obj)/drivers/misc/mod.ko: $(obj)/drivers/misc/mod.o
	@printf '  LD [M]  drivers/misc/mod.ko\n'
	@cp $< $@
	@echo drivers/misc/mod.ko >$(obj)/modules.order
	@echo kernel/fs/built.ko >$(obj)/modules.builtin
modules_install:
	@mkdir -p $(install)/kernel/drivers/misc
	@cp $(obj)/drivers/misc/mod.ko $(install)/kernel/drivers/misc/
	@$(if $(INSTALL_MOD_STRIP),$(if $(LLVM),$(or $(STRIP),llvm-strip),$(CROSS_COMPILE)strip) --strip-debug $(install)/kernel/drivers/misc/mod.ko)
	@sed 's,^,kernel/,' $(obj)/modules.order >$(install)/modules.order
	@cp $(obj)/modules.builtin $(install)/
	@ln -sfn $(abspath $(obj)) $(install)/build
	$(if $(DEPMOD),@$(DEPMOD) -b $(INSTALL_MOD_PATH) $(kernelrelease))
scripts_gdb: prepare
	@mkdir -p $(obj)/scripts/gdb/linux
	@cp scripts/gdb/linux/constants.py.in $(obj)/scripts/gdb/linux/constants.py
	@ln -sfn $(srctree)/scripts/gdb/linux/utils.py $(obj)/scripts/gdb/linux/utils.py
	@ln -sfn $(srctree)/scripts/gdb/vmlinux-gdb.py $(obj)/vmlinux-gdb.py
clean:
	@rm -rf $(objects) $(obj)/vmlinux $(obj)/arch/*/boot $(obj)/drivers/misc/mod.*
mrproper: clean
	@rm -rf $(obj)/.config $(obj)/include/config $(obj)/include/generated
MAKE
}
