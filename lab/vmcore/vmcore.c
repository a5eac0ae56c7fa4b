#include "lab/vmcore/vmcore.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "lab/vmcore/vmcore-file.h"

bool vm_pread(const struct vmcore *v, uint64_t offset, void *ret, size_t len)
{
	uint8_t *to = ret;

	if (offset > v->size || len > v->size - offset)
		return false;
	while (len) {
		ssize_t n = pread(v->fd, to, len, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		to += n;
		offset += (uint64_t)n;
		len -= (size_t)n;
	}
	return true;
}

static int open_form(struct vmcore *v, struct err *err)
{
	char head[16] = "";
	struct stat st;
	int r;

	v->fd = open(v->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (v->fd < 0 || fstat(v->fd, &st) < 0)
		return err_errno(err, "%s", v->path);
	if (!S_ISREG(st.st_mode))
		return err_set(err, EBADMSG, "%s: not a file", v->path);
	v->size = (uint64_t)st.st_size;
	if (v->size == 0)
		return err_set(err, EBADMSG, "%s: empty", v->path);
	if (!vm_pread(v, 0, head, sizeof(head)) ||
	    (memcmp(head, "\177ELF", 4) != 0 && !vm_is_kdump(head) && !vm_is_flat(head)))
		return err_set(err, EBADMSG,
			       "%s: no dump: neither an ELF core file nor kdump-compressed",
			       v->path);
	r = *head == '\177' ? vm_elf_open(v, err) : vm_kdump_open(v, err);
	if (r < 0)
		return r;
	if (v->n_ranges == 0)
		return err_set(err, EBADMSG, "%s: no memory is in it", v->path);
	return 0;
}

int vmcore_open(const char *path, struct vmcore **ret, struct err *err)
{
	auto_vmcore v = xcalloc(1, sizeof(*v));
	int r;

	v->fd = -1;
	v->path = xstrdup(path);
	r = open_form(v, err);
	if (r < 0)
		return r;
	v->n_slots = VM_CACHE_SIZE / v->unit;
	v->slot_unit = xcalloc(v->n_slots, sizeof(*v->slot_unit));
	v->slots = xmalloc(VM_CACHE_SIZE);
	vm_notes_parse(v);
	if (!v->info.len)
		vm_find_info(v);
	if (!v->info.text)
		vmcoreinfo_init(&v->info, "", 0);
	r = vm_paging_init(v, err);
	if (r < 0)
		return r;
	*ret = take_ptr(v);
	return 0;
}

void vmcore_close(struct vmcore *v)
{
	if (!v)
		return;
	if (v->fd >= 0)
		close(v->fd);
	vm_kdump_close(v->kdump);
	vmcoreinfo_deinit(&v->info);
	free(v->path);
	free(v->notes);
	free(v->cpus);
	free(v->ranges);
	free(v->segments);
	free(v->slot_unit);
	free(v->slots);
	free(v);
}

enum arch vmcore_arch(const struct vmcore *v)
{
	return v->arch;
}

const struct vmcoreinfo *vmcore_info(const struct vmcore *v)
{
	return &v->info;
}

size_t vmcore_cpus(const struct vmcore *v)
{
	return v->n_cpus;
}

const struct vmcore_cpu *vmcore_cpu(const struct vmcore *v, size_t i)
{
	return i < v->n_cpus ? &v->cpus[i] : NULL;
}

const struct vmcore_range *vmcore_ranges(const struct vmcore *v, size_t *n)
{
	*n = v->n_ranges;
	return v->ranges;
}

/* A whole unit, from the cache if it is there. */
static int get_unit(struct vmcore *v, uint64_t unit, const uint8_t **ret)
{
	size_t slot = unit % v->n_slots;
	uint8_t *to = v->slots + slot * v->unit;
	int r;

	if (v->slot_unit[slot] != unit + 1) {
		v->slot_unit[slot] = 0;
		r = v->kdump ? vm_kdump_block(v, unit, to)
			     : vm_elf_read(v, unit * v->unit, to, v->unit);
		if (r < 0)
			return r;
		v->slot_unit[slot] = unit + 1;
	}
	*ret = to;
	return 0;
}

int vmcore_read_physical(struct vmcore *v, uint64_t address, void *ret, size_t len)
{
	uint8_t *to = ret;

	while (len) {
		uint64_t within = address % v->unit;
		size_t n = v->unit - within < len ? v->unit - within : len;
		const uint8_t *unit;
		int r = get_unit(v, address / v->unit, &unit);

		/* a segment may begin and end within a page */
		if (r == -EFAULT && !v->kdump)
			r = vm_elf_read(v, address, to, n);
		else if (r == 0)
			memcpy(to, unit + within, n);
		if (r < 0)
			return r;
		to += n;
		address += n;
		len -= n;
	}
	return 0;
}

int vmcore_translate(struct vmcore *v, uint64_t address, uint64_t *ret)
{
	uint64_t page = address / VM_PAGE, to;
	__typeof__(&v->tlb[0]) t = &v->tlb[page % VM_TLB_SIZE];
	int r;

	if (t->page != page + 1) {
		r = vm_paging_translate(v, page * VM_PAGE, &to);
		if (r < 0)
			return r;
		t->page = page + 1;
		t->to = to;
	}
	*ret = t->to + address % VM_PAGE;
	return 0;
}

int vmcore_read(struct vmcore *v, uint64_t address, void *ret, size_t len)
{
	uint8_t *to = ret;

	while (len) {
		size_t left = VM_PAGE - address % VM_PAGE, n = left < len ? left : len;
		uint64_t physical;
		int r = vmcore_translate(v, address, &physical);

		if (r == 0)
			r = vmcore_read_physical(v, physical, to, n);
		if (r < 0)
			return r;
		to += n;
		address += n;
		len -= n;
	}
	return 0;
}

int vmcore_read_u32(struct vmcore *v, uint64_t address, uint32_t *ret)
{
	uint32_t value;
	int r = vmcore_read(v, address, &value, sizeof(value));

	if (r == 0)
		*ret = value;
	return r;
}

int vmcore_read_u64(struct vmcore *v, uint64_t address, uint64_t *ret)
{
	uint64_t value;
	int r = vmcore_read(v, address, &value, sizeof(value));

	if (r == 0)
		*ret = value;
	return r;
}

int vmcore_read_string(struct vmcore *v, uint64_t address, char *ret, size_t max)
{
	size_t len = 0;

	while (len < max - 1) {
		size_t left = VM_PAGE - (address + len) % VM_PAGE;
		size_t n = left < max - 1 - len ? left : max - 1 - len;
		int r = vmcore_read(v, address + len, ret + len, n);
		size_t got;

		if (r < 0 && len == 0)
			return r;
		if (r < 0)
			break;
		got = strnlen(ret + len, n);
		len += got;
		if (got < n)
			break;
	}
	ret[len] = '\0';
	return 0;
}

int vmcore_slide(const struct vmcore *v, uint64_t link_stext, uint64_t *ret, struct err *err)
{
	uint64_t stext;

	if (v->arch == ARCH_AMD64 && vmcoreinfo_number(&v->info, "KERNELOFFSET", ret))
		return 0;
	if (!vmcoreinfo_number(&v->info, "SYMBOL(_stext)", &stext))
		return err_set(err, ENODATA,
			       "%s: it does not say where its kernel is: no vmcoreinfo", v->path);
	*ret = stext - link_stext;
	return 0;
}
