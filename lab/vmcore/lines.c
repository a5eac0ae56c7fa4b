#include "lab/vmcore/lines.h"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "jail/base/str.h"

enum { PREFIX_UNITS = 256, RANGES_MAX = 1 << 20, PATH_SHOWN = 256 };

struct range {
	uint64_t start, end;
	Dwarf_Off unit; /* its entry */
};

struct lines {
	int fd;
	Dwarf *dwarf;
	char *prefix; /* what the source's folder is called, with a slash; NULL: names start there
		       */
	struct range *ranges; /* by start, for what .debug_aranges lacks; n_ranges < 0: not read */
	ssize_t n_ranges;
};

/* Of a file that every kernel has among the first of its image. */
static char *prefix_of(const char *name)
{
	static const char *const files[] = {"/arch/x86/kernel/head_64.S",
					    "/arch/arm64/kernel/head.S", "/init/main.c"};

	for (size_t i = 0; *name == '/' && i < array_len(files); i++)
		if (str_ends(name, files[i]))
			return xstrndup(name, strlen(name) - strlen(files[i]) + 1);
	return NULL;
}

static void find_prefix(struct lines *l)
{
	Dwarf_CU *cu = NULL;
	Dwarf_Die die;

	for (size_t i = 0; i < PREFIX_UNITS && !l->prefix; i++) {
		const char *name;

		if (dwarf_get_units(l->dwarf, cu, &cu, NULL, NULL, &die, NULL) != 0)
			return;
		name = dwarf_diename(&die);
		l->prefix = name ? prefix_of(name) : NULL;
	}
}

static bool has_lines(Dwarf *dwarf)
{
	Dwarf_CU *cu = NULL;
	Dwarf_Die die;

	for (size_t i = 0; i < PREFIX_UNITS; i++) {
		if (dwarf_get_units(dwarf, cu, &cu, NULL, NULL, &die, NULL) != 0)
			return false;
		if (dwarf_hasattr(&die, DW_AT_stmt_list))
			return true;
	}
	return false;
}

/* dwarf_begin() has one answer for what is no ELF file and what has no debug information. */
static int open_dwarf(const char *vmlinux, struct lines *l, struct err *err)
{
	char magic[4] = "";

	l->fd = open(vmlinux, O_RDONLY | O_CLOEXEC);
	if (l->fd < 0)
		return err_errno(err, "%s", vmlinux);
	if (pread(l->fd, magic, sizeof(magic), 0) != 4 || memcmp(magic, "\177ELF", 4) != 0)
		return err_set(err, EBADMSG, "%s is no ELF file", vmlinux);
	l->dwarf = dwarf_begin(l->fd, DWARF_C_READ);
	if (!l->dwarf)
		return err_set(err, ENODATA, "%s: %s", vmlinux, dwarf_errmsg(-1));
	if (!has_lines(l->dwarf))
		return err_set(err, ENODATA, "%s has no line tables", vmlinux);
	return 0;
}

int lines_open(const char *vmlinux, struct lines **ret, struct err *err)
{
	struct lines *l = xcalloc(1, sizeof(*l));
	int r;

	l->n_ranges = -1;
	r = open_dwarf(vmlinux, l, err);
	if (r < 0) {
		lines_close(l);
		return r;
	}
	find_prefix(l);
	*ret = l;
	return 0;
}

void lines_close(struct lines *l)
{
	if (!l)
		return;
	dwarf_end(l->dwarf);
	if (l->fd >= 0)
		close(l->fd);
	free(l->prefix);
	free(l->ranges);
	free(l);
}

static int compare_ranges(const void *a, const void *b)
{
	const struct range *x = a, *y = b;

	return (x->start > y->start) - (x->start < y->start);
}

/* clang's objects have no .debug_aranges: what the units say of themselves. */
static void read_ranges(struct lines *l)
{
	size_t n = 0, cap = 0;
	Dwarf_CU *cu = NULL;
	Dwarf_Die die;

	while (dwarf_get_units(l->dwarf, cu, &cu, NULL, NULL, &die, NULL) == 0) {
		Dwarf_Addr base, start, end;
		ptrdiff_t at = 0;

		while (n < RANGES_MAX && (at = dwarf_ranges(&die, at, &base, &start, &end)) > 0) {
			if (n == cap) {
				cap = cap ? cap * 2 : 4096;
				l->ranges = xreallocarray(l->ranges, cap, sizeof(*l->ranges));
			}
			l->ranges[n++] = (struct range){start, end, dwarf_dieoffset(&die)};
		}
	}
	if (n)
		qsort(l->ranges, n, sizeof(*l->ranges), compare_ranges);
	l->n_ranges = n;
}

static bool find_unit(struct lines *l, uint64_t address, Dwarf_Die *ret)
{
	size_t low = 0, high;

	if (dwarf_addrdie(l->dwarf, address, ret))
		return true;
	if (l->n_ranges < 0)
		read_ranges(l);
	for (high = l->n_ranges; low < high;) {
		size_t mid = low + (high - low) / 2;

		if (l->ranges[mid].start <= address)
			low = mid + 1;
		else
			high = mid;
	}
	return low && address < l->ranges[low - 1].end &&
	       dwarf_offdie(l->dwarf, l->ranges[low - 1].unit, ret);
}

/* Without the folder of the source, or else that of the compiler's run. */
static const char *relative(const struct lines *l, Dwarf_Die *unit, const char *path)
{
	Dwarf_Attribute attribute;
	const char *dir = dwarf_formstring(dwarf_attr(unit, DW_AT_comp_dir, &attribute));

	if (l->prefix && str_starts(path, l->prefix))
		path += strlen(l->prefix);
	else if (dir && *dir && str_starts(path, dir) && path[strlen(dir)] == '/')
		path += strlen(dir) + 1;
	while (str_starts(path, "./") || str_starts(path, "../"))
		path = strchr(path, '/') + 1;
	return path;
}

static void add_place(const struct lines *l, Dwarf_Die *unit, const char *path, Dwarf_Word number,
		      struct buf *out)
{
	path = relative(l, unit, path);
	str_printable(out, path, strlen(path), PATH_SHOWN, false);
	buf_addf(out, ":%u", (unsigned int)number);
}

/* Where the outermost inlined function that holds address is called from. */
static void add_call(const struct lines *l, Dwarf_Die *unit, uint64_t address, struct buf *out)
{
	Dwarf_Word file, number, call_file = 0, call_number = 0;
	Dwarf_Die *within = NULL, *scopes = NULL;
	Dwarf_Attribute a;
	Dwarf_Files *files;
	size_t n_files;
	int n = dwarf_getscopes(unit, address, &within);

	/* beyond the first these are where it was written, not where it is */
	n = n > 0 ? dwarf_getscopes_die(&within[0], &scopes) : 0;
	for (int i = 0; i < n; i++) { /* from the inside */
		if (dwarf_tag(&scopes[i]) == DW_TAG_subprogram)
			break;
		if (dwarf_tag(&scopes[i]) != DW_TAG_inlined_subroutine ||
		    dwarf_formudata(dwarf_attr(&scopes[i], DW_AT_call_file, &a), &file) != 0 ||
		    dwarf_formudata(dwarf_attr(&scopes[i], DW_AT_call_line, &a), &number) != 0)
			continue;
		call_file = file;
		call_number = number;
	}
	if (call_number && dwarf_getsrcfiles(unit, &files, &n_files) == 0 && call_file < n_files) {
		const char *path = dwarf_filesrc(files, call_file, NULL, NULL);

		if (path) {
			buf_adds(out, ", inlined at ");
			add_place(l, unit, path, call_number, out);
		}
	}
	free(within);
	free(scopes);
}

char *lines_find(struct lines *l, uint64_t address)
{
	auto_cleanup(buf) ret = {0};
	const char *path;
	Dwarf_Line *line;
	Dwarf_Die unit;
	int number;

	if (!find_unit(l, address, &unit))
		return NULL;
	line = dwarf_getsrc_die(&unit, address);
	path = line ? dwarf_linesrc(line, NULL, NULL) : NULL;
	if (!path || dwarf_lineno(line, &number) != 0 || number <= 0)
		return NULL;
	add_place(l, &unit, path, number, &ret);
	add_call(l, &unit, address, &ret);
	return take_ptr(ret.data);
}
