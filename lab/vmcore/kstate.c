/* kstate.c - which kernel is in a dump, and names for its addresses. */
#include "lab/vmcore/kstate.h"

#include <inttypes.h>
#include <string.h>

#include "lab/kernel/kernel-image.h"

enum { BANNER_MAX = 512 };

/* ---- the same build? ---- */

static const char *or_unknown(const char *s)
{
	return s && *s ? s : "unknown";
}

/* The image's release: "Linux version RELEASE (" is in each. */
static bool has_release(const struct buf *image, const char *release)
{
	auto_free char *banner = str_printf("Linux version %s (", release);

	return memmem(image->data, image->len, banner, strlen(banner));
}

/* The banner that is in memory (where its symbol is known) is the image's, to the last byte. */
static bool banner_differs(const struct kstate *k)
{
	char banner[BANNER_MAX] = "";
	uint64_t at;

	if (!kstate_symbol(k, "linux_banner", &at) ||
	    vmcore_read_string(k->v, at, banner, sizeof(banner)) < 0 || !banner[0])
		return false;
	return !memmem(k->image.data, k->image.len, banner, strlen(banner));
}

static int check_build(struct kstate *k, struct err *err)
{
	const struct vmcoreinfo *info = vmcore_info(k->v);
	auto_free char *id = vmcoreinfo_string(info, "BUILD-ID");
	auto_free char *release = vmcoreinfo_string(info, "OSRELEASE");
	auto_cleanup(buf) shown = {0};

	if (vmcore_arch(k->v) != k->kernel->arch)
		return err_set(err, EBADMSG, "the dump is of an %s guest, kernel %s is for %s",
			       arch_name(vmcore_arch(k->v)), k->kernel->name,
			       arch_name(k->kernel->arch));
	if (!info->len)
		return err_set(err, ENODATA,
			       "the guest had not told where its kernel is (no vmcoreinfo): only "
			       "registers and physical memory can be read");
	if (id && k->build_id ? !strcasecmp(id, k->build_id)
			      : release && has_release(&k->image, release))
		return 0;
	buf_addf(&shown, "the dump is of kernel %s (build id %s), not of %s (%s, build id %s)",
		 or_unknown(release), or_unknown(id), k->kernel->name,
		 or_unknown(k->kernel->release), or_unknown(k->build_id));
	return err_set(err, EBADMSG, "%s", shown.data);
}

/* ---- where its code is ---- */

/* false: the kernel does not name both */
static bool between(const struct kstate *k, const char *start, const char *end, struct krange *ret)
{
	struct krange r;

	if (!kstate_symbol(k, start, &r.start) || !kstate_symbol(k, end, &r.end) || r.end < r.start)
		return false;
	*ret = r;
	return true;
}

/* The memory of code that ran at boot only is given to others then. */
static bool boot_is_over(const struct kstate *k)
{
	int64_t freeing = INT64_MAX;
	uint64_t at;
	uint32_t now;

	if (ktypes_enumerator(k->types, "SYSTEM_FREEING_INITMEM", &freeing) < 0)
		ktypes_enumerator(k->types, "SYSTEM_RUNNING", &freeing);
	if (kstate_symbol(k, "system_state", &at) && vmcore_read_u32(k->v, at, &now) == 0)
		return now >= freeing;
	/* arm64 unmaps it */
	return vmcore_translate(k->v, k->init.start, &at) < 0;
}

static void find_code(struct kstate *k)
{
	if (!between(k, "_stext", "_etext", &k->text))
		k->text = (struct krange){k->syms.text + k->slide,
					  k->syms.text + k->syms.size + k->slide};
	if (between(k, "_sinittext", "_einittext", &k->init) && boot_is_over(k))
		k->init = (struct krange){0};
}

/* ---- opening ---- */

int kstate_load(const struct kernel *kernel, struct kstate *ret, struct err *err)
{
	struct kstate k = {.kernel = kernel};
	const uint8_t *image;
	int r = kernel_image_unpack(kernel->image, &k.image, err);

	if (r < 0)
		return r;
	image = (const uint8_t *)k.image.data;
	kernel_image_build_id(&k.image, kernel->arch, &k.build_id, NULL); /* one without is fine */
	if (ksyms_find(image, k.image.len, kernel->arch, &k.syms, &k.no_syms) < 0)
		err_wrap(&k.no_syms, "%s", kernel->image);
	ktypes_open(image, k.image.len, &k.types, NULL); /* without types there is less to say */
	kstate_look_for_init_task(&k);
	*ret = k;
	return 0;
}

int kstate_open(struct kstate *k, struct vmcore *v, struct err *err)
{
	const struct ksym *stext;
	int r;

	k->v = v;
	r = check_build(k, err);
	if (r < 0)
		return r;
	if (k->no_syms.code)
		return err_set(err, k->no_syms.code, "%s", k->no_syms.msg);
	stext = ksyms_lookup(&k->syms, "_stext");
	r = vmcore_slide(v, stext ? stext->address : k->syms.text, &k->slide, err);
	if (r < 0)
		return r;
	if (banner_differs(k))
		return err_set(err, EBADMSG,
			       "the dump is of another build of kernel %s than %s: its banner is "
			       "not the image's",
			       or_unknown(k->kernel->release), k->kernel->image);
	find_code(k);
	kstate_find_init_task(k);
	kstate_read_modules(k);
	return 0;
}

void kstate_deinit(struct kstate *k)
{
	for (size_t i = 0; i < k->n_modules; i++) {
		free(k->modules[i].syms);
		free(k->modules[i].names);
	}
	free(k->modules);
	ksyms_deinit(&k->syms);
	ktypes_close(k->types);
	buf_deinit(&k->image);
	free(k->build_id);
	*k = (struct kstate){0};
}

/* ---- names ---- */

bool kstate_symbol(const struct kstate *k, const char *name, uint64_t *ret)
{
	const struct ksym *s = ksyms_lookup(&k->syms, name);

	if (!s)
		return false;
	/* below the image are offsets into the per-CPU areas (amd64 before 6.15) */
	*ret = s->address < k->syms.text ? s->address : s->address + k->slide;
	return true;
}

/* The last symbol at or below address, and where the next other one is (end, when it is before). */
static const struct ksym *at_or_below(const struct ksym *syms, size_t n, uint64_t address,
				      uint64_t *end)
{
	size_t low = 0, high = n, first;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (syms[mid].address <= address)
			low = mid + 1;
		else
			high = mid;
	}
	if (!low)
		return NULL;
	if (low < n && syms[low].address < *end)
		*end = syms[low].address;
	/* of several names at one place the first, as the kernel does */
	for (first = low - 1; first && syms[first - 1].address == syms[low - 1].address;)
		first--;
	return &syms[first];
}

static bool within(const struct krange *r, uint64_t address)
{
	return address >= r->start && address < r->end;
}

/* Names may be of any bytes, and long. */
static void write_name(char ret[KNAME_MAX], const char *symbol, uint64_t offset, uint64_t size,
		       const char *module)
{
	int max = module ? 72 : 110, n;

	n = snprintf(ret, KNAME_MAX, "%.*s+0x%" PRIx64 "/0x%" PRIx64, max, symbol, offset, size);
	if (module && n < KNAME_MAX)
		snprintf(ret + n, KNAME_MAX - n, " [%.40s]", module);
	for (char *c = ret; *c; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
}

/* The name of what is at address, told of a place after bytes further on. */
static bool name_at(const struct kstate *k, uint64_t address, uint64_t after, char ret[KNAME_MAX])
{
	const struct krange *range = within(&k->text, address)	 ? &k->text
				     : within(&k->init, address) ? &k->init
								 : NULL;
	const struct ksym *s;
	uint64_t end;

	snprintf(ret, KNAME_MAX, "0x%" PRIx64, address + after);
	if (range) {
		end = range->end - k->slide;
		s = at_or_below(k->syms.items, k->syms.n, address - k->slide, &end);
		if (s && s->address + k->slide >= range->start)
			write_name(ret, s->name, address - k->slide - s->address + after,
				   end - s->address, NULL);
		return true;
	}
	for (size_t i = 0; i < k->n_modules; i++) {
		const struct kmodule *m = &k->modules[i];
		const struct krange code = {m->base, m->base + m->size};
		const struct krange *in = within(&code, address)      ? &code
					  : within(&m->init, address) ? &m->init
								      : NULL;

		if (!in)
			continue;
		end = in->end;
		s = at_or_below(m->syms, m->n_syms, address, &end);
		if (s && s->address >= in->start)
			write_name(ret, s->name, address - s->address + after, end - s->address,
				   m->name);
		else
			snprintf(ret, KNAME_MAX, "0x%" PRIx64 " [%.40s]", address + after, m->name);
		return true;
	}
	return false;
}

bool kstate_name(const struct kstate *k, uint64_t address, char ret[KNAME_MAX])
{
	return name_at(k, address, 0, ret);
}

bool kstate_name_return(const struct kstate *k, uint64_t address, char ret[KNAME_MAX])
{
	return name_at(k, address - 1, 1, ret);
}

int kstate_member(const struct kstate *k, uint64_t address, const char *type, const char *member,
		  uint64_t *ret)
{
	uint32_t offset, size;
	uint64_t value = 0;
	int r = ktypes_member(k->types, type, member, &offset, &size);

	if (r == 0 && (!size || size > sizeof(value)))
		r = -ENOTSUP;
	if (r == 0)
		r = vmcore_read(k->v, address + offset, &value, size);
	if (r == 0)
		*ret = value;
	return r;
}
