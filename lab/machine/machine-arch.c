#include "lab/machine/machine-arch.h"

#include <assert.h>
#include <stddef.h>

/*
 * Words for every guest, and why. Times are CPU seconds of QEMU under TCG (6.1), of 2.1 in all.
 *
 * - quiet loglevel=4: printing the boot log on the emulated UART costs 0.2-0.4; warnings and panics
 *   are still printed, the agent sends the rest over the channel
 * - panic=0: a panicked guest stays, so that its memory can be dumped
 * - random.trust_cpu=on: the generator is seeded at once where the CPU has an instruction for it
 * - cryptomgr.notests: 0.15; no self-tests of ciphers, what they do is not changed
 * - edd=off: 0.1 (amd64); no look at BIOS disks, of which there are none
 * - no_timer_check: 0.05 (amd64); whether the timer's interrupt arrives in time is not asked, since
 *   on a busy host it does not, and the kernel panics ("IO-APIC + timer doesn't work!")
 *
 * - unknown_nmi_panic (amd64): by an NMI a guest that hangs is asked where it is
 *
 * Left out, as they change what a scenario may look at and save little: mitigations=off (0.05),
 * lsm= and ima=off (0.07), tsc=reliable.
 */
#define COMMON "quiet loglevel=4 panic=0 random.trust_cpu=on cryptomgr.notests"

static const struct machine_arch table[ARCH_COUNT] = {
	[ARCH_AMD64] =
		{
			.emulator = "qemu-system-x86_64",
			.package = "qemu-system-x86",
			.machine = "pc",
			.cpu = "qemu64",
			/*
			 * From 6.12 on the slab allocator uses cmpxchg16b. Under QEMU 7.2's TCG
			 * guests then die at random in __kmalloc (double faults, garbage in
			 * EFLAGS: 10 of 38 cells against 0 of 37 without the instruction).
			 */
			.cpu_without = "cx16",
			.kvm_cpu = "qemu64",
			.console = "ttyS0",
			.pci_root = "pci-root",
			.panic = "isa",
			.acpi = true,
			.cmdline = "console=ttyS0 edd=off no_timer_check unknown_nmi_panic " COMMON,
		},
	[ARCH_ARM64] =
		{
			.emulator = "qemu-system-aarch64",
			.package = "qemu-system-arm",
			.machine = "virt",
			.cpu = "cortex-a72",
			.kvm_cpu = NULL,
			.console = "ttyAMA0",
			.pci_root = "pcie-root",
			.panic = NULL,
			.acpi = false,
			.cmdline = "console=ttyAMA0 " COMMON,
		},
};

const struct machine_arch *machine_arch(enum arch arch)
{
	assert(arch < ARCH_COUNT);
	return &table[arch];
}
