/*
 * A dump's memory of any bytes, behind sound types: modules and tasks are read to an end, in bounds
 * and in printable words.
 */
#include <assert.h>

#include "lab/vmcore/summary-task.h"
#include "tests/unit/kstate-made.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const uint8_t *memory;
static size_t memory_len;

/* The same bytes again and again in the kernel's half: every pointer leads somewhere. */
static int made_read(uint64_t address, void *ret, size_t len)
{
	if (address < 0xffffull << 48 || len > 0 - address)
		return -EFAULT;
	for (size_t i = 0; i < len; i++)
		((uint8_t *)ret)[i] = memory[((address & 0xffff) + i) % memory_len];
	return 0;
}

static void check_text(const char *s, bool lines)
{
	for (; *s; s++)
		assert((*s >= ' ' && *s <= '~') || (lines && *s == '\n'));
}

static void check_modules(const struct kstate *k)
{
	char name[KNAME_MAX];

	for (size_t i = 0; i < k->n_modules; i++) {
		const struct kmodule *m = &k->modules[i];

		check_text(m->name, false);
		check_text(m->taints, false);
		for (size_t s = 0; s < m->n_syms; s++) {
			assert(!s || m->syms[s - 1].address <= m->syms[s].address);
			kstate_name(k, m->syms[s].address, name);
			check_text(name, false);
		}
		kstate_name(k, m->base, name);
		kstate_name(k, m->base + m->size, name);
		check_text(name, false);
	}
}

static void check_tasks(const struct kstate *k)
{
	auto_cleanup(ktasks) t = {0};
	auto_cleanup(buf) out = {0};
	const struct summary s = {.out = &out, .k = k, .tasks = &t};
	const struct ktask *panicked;

	if (ktasks_read(k, &t, NULL) < 0)
		return;
	assert(t.n <= KTASKS_MAX);
	for (size_t i = 0; i < t.n; i++)
		assert(strchr("RSDTtXZPI", t.items[i].state) &&
		       (!t.items[i].pc || !t.items[i].stack ||
			(t.items[i].sp >= t.items[i].stack &&
			 t.items[i].sp <= t.items[i].stack + t.items[i].stack_size + 64)));
	panicked = ktasks_panicked(k, &t);
	for (size_t i = 0; i < t.n && i < 10; i++) {
		summary_task(&s, &t.items[i]);
		summary_task_confinement(&s, &t.items[i]);
	}
	if (panicked)
		summary_task(&s, panicked);
	check_text(out.data ? out.data : "", true);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct kernel kernel = {.name = "made", .arch = ARCH_AMD64};
	struct ksym syms[] = {{0xffffffff81000000, 'D', "modules"},
			      {0xffffffff81000100, 'D', "init_task"}};
	struct made_btf btf = {0};
	struct kstate k = {.kernel = &kernel,
			   .syms = {.items = syms, .n = 2, .text = 0xffffffff81000000}};
	auto_free char *log = NULL;

	if (!len)
		return 0;
	memory = data;
	memory_len = len;
	made_log = log = xstrndup((const char *)data, len);
	k.types = made_types(&btf, made_kernel, array_len(made_kernel));
	assert(k.types);
	kstate_look_for_init_task(&k);
	kstate_find_init_task(&k);
	assert(k.init_task == syms[1].address);
	kstate_read_modules(&k);
	check_modules(&k);
	check_tasks(&k);
	k.syms = (struct ksyms){0};
	kstate_deinit(&k);
	made_btf_deinit(&btf);
	return 0;
}
