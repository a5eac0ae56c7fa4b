#include "lab/debug/slide.h"

#include <inttypes.h>
#include <string.h>

#include "lab/kernel/elf.h"

enum { STEPS_MAX = 200 }; /* of the trampoline into an arm64 kernel: some 20 */

/* --- where it was linked --- */

struct finding {
	const char *name;
	uint64_t address;
};

static int on_symbol(void *data, const char *name, uint64_t value, bool is_function)
{
	struct finding *f = data;

	(void)is_function;
	if (!str_eq(name, f->name))
		return 0;
	f->address = value;
	return 1;
}

int link_addresses_read(const char *vmlinux, enum arch arch, struct link_addresses *ret,
			struct err *err)
{
	struct finding anchor = {.name = arch == ARCH_AMD64 ? "asm_exc_divide_error" : "vectors"};
	uint64_t base;
	int r = elf_load_address(vmlinux, &base, err);

	if (r == 0)
		r = elf_symbols(vmlinux, on_symbol, &anchor, err);
	if (r < 0)
		return r;
	if (r == 0)
		return err_set(err, EBADMSG, "%s: no kernel for %s (it has no symbol '%s')",
			       vmlinux, arch_name(arch), anchor.name);
	*ret = (struct link_addresses){.base = base, .anchor = anchor.address};
	return 0;
}

/* --- where it is --- */

static bool plausible(enum arch arch, uint64_t handler, uint64_t slide)
{
	/* CONFIG_PHYSICAL_ALIGN, and below CONFIG_RANDOMIZE_BASE_MAX_OFFSET */
	if (arch == ARCH_AMD64)
		return handler >> 63 && !(slide & 0x1fffff) && slide < 1ULL << 30;
	/* segments of the image are mapped by 64 KiB; a third of the space for addresses */
	return handler >> 63 && !(slide & 0xffff) && slide < 1ULL << 48;
}

static int not_yet(struct err *err)
{
	return err_set(err, EAGAIN, "the kernel has not set up its exceptions yet: it still boots");
}

static int slide_amd64(struct stub *s, uint64_t anchor, uint64_t *ret, struct err *err)
{
	static const char key[] = "IDT=";
	auto_cleanup(buf) said = {0};
	uint8_t gate[16];
	uint64_t table, handler;
	const char *at;
	int r = stub_monitor(s, "info registers", &said, err);

	if (r < 0)
		return r;
	at = said.data ? strstr(said.data, key) : NULL;
	if (!at)
		return err_set(err, EIO, "QEMU's monitor does not say where the IDT is");
	table = strtoull(at + sizeof(key) - 1, NULL, 16);
	if (!(table >> 63))
		return not_yet(err);
	r = stub_read(s, table, gate, sizeof(gate), err);
	if (r == -EFAULT)
		return not_yet(err);
	if (r < 0)
		return r;
	handler = gate[0] | gate[1] << 8 | (uint64_t)gate[6] << 16 | (uint64_t)gate[7] << 24;
	for (int i = 0; i < 4; i++)
		handler |= (uint64_t)gate[8 + i] << (32 + 8 * i);
	if (!plausible(ARCH_AMD64, handler, handler - anchor))
		return not_yet(err);
	*ret = handler - anchor;
	return 0;
}

/* Let the guest go on by command until it stops by itself. */
static int go(struct stub *s, const char *command, struct err *err)
{
	auto_cleanup(buf) reply = {0};
	int r = stub_ask(s, command, &reply, err);

	if (r == 0 && reply.data[0] != 'T' && reply.data[0] != 'S')
		return err_set(err, EIO, "the guest did not stop: %.20s", reply.data);
	return r;
}

static int entry_breaks(struct stub *s, char command, uint64_t vbar, struct err *err)
{
	/* Arm ARM D1.10.2: from a lower level, by 64-bit and 32-bit programs */
	static const unsigned int offsets[] = {0x400, 0x480, 0x500, 0x580,
					       0x600, 0x680, 0x700, 0x780};
	auto_cleanup(buf) reply = {0};
	int r = 0;

	for (size_t i = 0; r == 0 && i < array_len(offsets); i++) {
		char text[64];

		snprintf(text, sizeof(text), "%c1,%" PRIx64 ",4", command, vbar + offsets[i]);
		r = stub_ask(s, text, &reply, err);
	}
	return r;
}

struct arm64_state {
	uint64_t vbar, cpsr, pc;
};

static int read_state(struct stub *s, const struct arm64_state *numbers, struct arm64_state *ret,
		      struct err *err)
{
	int r = stub_register(s, numbers->vbar, &ret->vbar, err);

	if (r == 0)
		r = stub_register(s, numbers->cpsr, &ret->cpsr, err);
	return r < 0 ? r : stub_register(s, numbers->pc, &ret->pc, err);
}

/* Let the program go on until it enters the kernel, a tick of the timer's later at the latest. */
static int leave_program(struct stub *s, uint64_t vbar, struct err *err)
{
	int r = entry_breaks(s, 'Z', vbar, err), e;

	if (r == 0)
		r = go(s, "c", err);
	e = entry_breaks(s, 'z', vbar, r < 0 ? NULL : err);
	return r < 0 ? r : e;
}

/*
 * With page tables of its own for programs (CONFIG_UNMAP_KERNEL_AT_EL0, which KASLR turns on) an
 * arm64 kernel has VBAR at a trampoline while one runs, and nothing else of itself mapped. Go on
 * until what runs is neither a program nor where VBAR points to.
 */
static int into_kernel(struct stub *s, uint64_t *vbar, struct err *err)
{
	enum { MODE = 0xf, PAGE = 0x1000 };
	struct arm64_state numbers, now;
	int r = stub_register_number(s, "VBAR", &numbers.vbar, err);

	if (r == 0)
		r = stub_register_number(s, "cpsr", &numbers.cpsr, err);
	if (r == 0)
		r = stub_register_number(s, "pc", &numbers.pc, err);
	for (int i = 0; r == 0 && i < STEPS_MAX; i++) {
		r = read_state(s, &numbers, &now, err);
		if (r < 0)
			break;
		*vbar = now.vbar;
		if (!(now.cpsr & MODE))
			r = leave_program(s, now.vbar, err);
		else if (now.pc - (now.vbar & -(uint64_t)PAGE) < 2 * PAGE)
			r = go(s, "s", err);
		else
			break;
	}
	return r;
}

static int slide_arm64(struct stub *s, uint64_t anchor, uint64_t *ret, struct err *err)
{
	uint64_t vbar = 0;
	int r = into_kernel(s, &vbar, err);

	if (r < 0)
		return r;
	if (!plausible(ARCH_ARM64, vbar, vbar - anchor))
		return not_yet(err);
	*ret = vbar - anchor;
	return 0;
}

int slide_find(struct stub *s, enum arch arch, const struct link_addresses *link, uint64_t *ret,
	       struct err *err)
{
	return arch == ARCH_AMD64 ? slide_amd64(s, link->anchor, ret, err)
				  : slide_arm64(s, link->anchor, ret, err);
}
