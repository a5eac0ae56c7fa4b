#include "lab/machine-arch.h"

#include <assert.h>
#include <stddef.h>

/*
 * Words for every guest, and why:
 *	quiet loglevel=4	printing the boot log on the emulated UART costs 0.2-0.4 s under
 *TCG; warnings and panics are still printed, the agent sends the rest
 *	panic=0			a panicked guest stays, so that its memory can be dumped
 *	oops=...		not set: what an oops does is the scenario's business
 *	cryptomgr.notests	the kernel's self-tests of its ciphers take 0.25 s of each boot under
 *				TCG, and say nothing about a scenario
 *	random.trust_cpu=on	the generator is seeded at once where the CPU has an instruction
 */
#define COMMON "quiet loglevel=4 panic=0 cryptomgr.notests random.trust_cpu=on"

static const struct machine_arch table[ARCH_COUNT] = {
	[ARCH_AMD64] =
		{
			.emulator = "qemu-system-x86_64",
			.package = "qemu-system-x86",
			.machine = "pc",
			.cpu = "qemu64",
			.kvm_cpu = "qemu64",
			.console = "ttyS0",
			.pci_root = "pci-root",
			.panic = "isa",
			.acpi = true,
			.cmdline = "console=ttyS0 " COMMON,
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
