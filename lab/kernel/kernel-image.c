#include "lab/kernel/kernel-image.h"

#include <archive.h>
#include <archive_entry.h>
#include <elf.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "jail/base/io.h"
#include "lab/kernel/elf.h"

enum { UNPACKED_MAX = 256 << 20, VDSO_MAX = 64 << 10, PAGE = 4096, ID_MAX = 64 };

static uint32_t le32(const uint8_t *p)
{
	return p[0] | p[1] << 8 | p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint16_t le16(const uint8_t *p)
{
	return p[0] | p[1] << 8;
}

static bool is_version_char(char c)
{
	return (c >= '0' && c <= '9') || c == '.';
}

/* "RELEASE (builder) … Debian VERSION-REVISION (date)" up to NUL, newline or the end. */
static void read_banner(const char *text, size_t len, struct kernel_image *ret)
{
	static const char debian[] = " Debian ";
	const char *end = memchr(text, '\n', len), *word, *last = NULL;
	size_t n = 0, limit;

	len = end ? (size_t)(end - text) : len;
	len = strnlen(text, len);
	while (n < len && n < sizeof(ret->release) - 1 && text[n] > ' ' && text[n] < 127)
		n++;
	memcpy(ret->release, text, n);
	ret->release[n] = '\0';
	/* the last one: the compiler's version may name Debian too */
	for (word = text; (word = memmem(word, text + len - word, debian, strlen(debian))); word++)
		last = word + strlen(debian);
	if (last && last < text + len && *last >= '0' && *last <= '9')
		limit = text + len - last;
	else
		last = ret->release, limit = strlen(last);
	for (n = 0; n < limit && n < sizeof(ret->version) - 1 && is_version_char(last[n]);)
		n++;
	while (n && last[n - 1] == '.')
		n--;
	memcpy(ret->version, last, n);
	ret->version[n] = '\0';
}

static void find_banner(const uint8_t *data, size_t len, struct kernel_image *ret)
{
	static const char banner[] = "Linux version ";
	const uint8_t *at = data, *end = data + len;

	/* a format string has the same start: a digit must follow */
	while ((at = memmem(at, end - at, banner, strlen(banner)))) {
		at += strlen(banner);
		if (at < end && *at >= '0' && *at <= '9') {
			read_banner((const char *)at, end - at < 512 ? end - at : 512, ret);
			return;
		}
	}
}

static int probe_bzimage(const uint8_t *data, size_t len, struct kernel_image *ret, struct err *err)
{
	size_t at = le16(data + 0x20e) + 0x200u;

	ret->format = KERNEL_BZIMAGE;
	ret->arch = ARCH_AMD64;
	if (!(data[0x211] & 1))
		return err_set(err, ENOEXEC, "a zImage, not a bzImage");
	if (at > 0x200 && at < len)
		read_banner((const char *)data + at, len - at < 512 ? len - at : 512, ret);
	return 0;
}

int kernel_image_probe(const uint8_t *data, size_t len, struct kernel_image *ret, struct err *err)
{
	struct kernel_image found = {0};
	int r = 0;

	if (len > 0x270 && memcmp(data + 0x202, "HdrS", 4) == 0) {
		r = probe_bzimage(data, len, &found, err);
	} else if (len > 64 && memcmp(data + 56, "ARM\x64", 4) == 0) {
		found.format = KERNEL_ARM64_IMAGE;
		found.arch = ARCH_ARM64;
		find_banner(data, len, &found);
	} else if (len > 64 && memcmp(data, "MZ", 2) == 0 && memcmp(data + 4, "zimg", 4) == 0) {
		found.format = KERNEL_ZBOOT;
		found.arch = ARCH_ARM64;
		found.payload_offset = le32(data + 8);
		found.payload_size = le32(data + 12);
		if (found.payload_offset > len || found.payload_size > len - found.payload_offset)
			r = err_set(err, ENOEXEC, "cut short");
	} else if (len > sizeof(Elf64_Ehdr) && memcmp(data, ELFMAG "\2\1", 6) == 0) {
		uint16_t machine = le16(data + offsetof(Elf64_Ehdr, e_machine));

		found.format = KERNEL_VMLINUX;
		found.arch = machine == EM_AARCH64 ? ARCH_ARM64 : ARCH_AMD64;
		find_banner(data, len, &found);
		if ((machine != EM_X86_64 && machine != EM_AARCH64) || !found.release[0])
			r = err_set(err, ENOEXEC,
				    "an ELF file that is no Linux kernel for amd64 or arm64");
	} else {
		r = err_set(err, ENOEXEC,
			    "neither a bzImage (amd64) nor an uncompressed Image (arm64) nor a "
			    "vmlinux");
	}
	if (r == 0)
		*ret = found;
	return r;
}

int kernel_image_probe_file(const char *path, struct kernel_image *ret, struct err *err)
{
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	void *data;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_errno(err, "%s", path);
	if (!S_ISREG(st.st_mode) || !st.st_size)
		return err_set(err, ENOEXEC, "%s: %s", path, st.st_size ? "not a file" : "empty");
	data = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (data == MAP_FAILED)
		return err_errno(err, "%s", path);
	r = kernel_image_probe(data, st.st_size, ret, err);
	munmap(data, st.st_size);
	return r < 0 ? err_wrap(err, "%s", path) : 0;
}

/* All of the archive's one entry; more than a kernel could be is a bomb. */
static int read_entry(struct archive *a, struct buf *out, struct err *err)
{
	auto_free char *chunk = xmalloc(1 << 18);
	size_t sum = 0;
	ssize_t n;

	while ((n = archive_read_data(a, chunk, 1 << 18)) > 0) {
		if ((sum += n) > UNPACKED_MAX)
			return err_set(err, EBADMSG, "it unpacks to more than 256 MiB");
		buf_add(out, chunk, n);
	}
	return n < 0 ? -EBADMSG : 0;
}

static int decompress(const void *data, size_t len, struct buf *out, struct err *err)
{
	struct archive *a = archive_read_new();
	struct archive_entry *entry;
	int r = -EBADMSG;

	if (!a)
		return err_set(err, ENOMEM, "out of memory");
	/* named one by one: for what it was built without, libarchive says so or starts a program
	 */
	archive_read_support_filter_gzip(a);
	archive_read_support_filter_bzip2(a);
	archive_read_support_filter_lzma(a);
	archive_read_support_filter_xz(a);
	archive_read_support_filter_lzop(a);
	archive_read_support_filter_lz4(a);
	archive_read_support_filter_zstd(a);
	archive_read_support_format_raw(a);
	if (archive_read_open_memory(a, data, len) == ARCHIVE_OK &&
	    archive_read_next_header(a, &entry) == ARCHIVE_OK)
		r = read_entry(a, out, err);
	if (r < 0 && archive_error_string(a))
		err_set(err, EBADMSG, "cannot unpack the kernel in it (%s)",
			archive_error_string(a));
	archive_read_free(a);
	return r;
}

/* Documentation/arch/x86/boot.rst: payload_offset, payload_length; the size unpacked ends it. */
static int unpack_bzimage(const struct buf *file, struct buf *out, struct err *err)
{
	const uint8_t *data = (const uint8_t *)file->data;
	uint64_t sectors = data[0x1f1] ? data[0x1f1] : 4;
	uint64_t at = (sectors + 1) * 512 + le32(data + 0x248), len = le32(data + 0x24c);
	size_t before = out->len;
	int r;

	if (le16(data + 0x206) < 0x208 || len < 16 || at >= file->len || len > file->len - at)
		return err_set(err, EBADMSG, "a bzImage that is cut short, or of before 2.6.26");
	/* gzip has that size by itself */
	if (memcmp(data + at, "\x1f\x8b", 2) != 0)
		len -= 4;
	if (memcmp(data + at, ELFMAG, SELFMAG) == 0)
		buf_add(out, data + at, len);
	else if ((r = decompress(data + at, len, out, err)) < 0)
		return r;
	if (out->len - before < sizeof(Elf64_Ehdr) ||
	    memcmp(out->data + before, ELFMAG, SELFMAG) != 0)
		return err_set(err, EBADMSG, "no ELF file is in this bzImage");
	return 0;
}

int kernel_image_unpack(const char *path, struct buf *out, struct err *err)
{
	auto_cleanup(buf) file = {0}, made = {0};
	struct kernel_image k = {0};
	int r = io_read_regular(AT_FDCWD, path, UNPACKED_MAX, &file, err);

	if (r < 0)
		return r;
	r = kernel_image_probe((const uint8_t *)file.data, file.len, &k, err);
	if (r == 0 && k.format == KERNEL_BZIMAGE)
		r = unpack_bzimage(&file, &made, err);
	else if (r == 0 && k.format == KERNEL_ZBOOT)
		r = decompress(file.data + k.payload_offset, k.payload_size, &made, err);
	if (r < 0)
		return err_wrap(err, "%s", path);
	if (!made.len) {
		made = file;
		file = (struct buf){0};
	}
	if (!out->len) {
		buf_deinit(out);
		*out = made;
		made = (struct buf){0};
	} else {
		buf_add(out, made.data, made.len);
	}
	return 0;
}

/* Whether what is at this place belongs to a program inside the kernel: the vDSO has notes too. */
static bool is_in_vdso(const uint8_t *data, size_t len, size_t at)
{
	for (size_t page = at / PAGE * PAGE; at - page < VDSO_MAX; page -= PAGE) {
		Elf64_Ehdr h;
		Elf32_Ehdr h32;

		if (len - page > sizeof(h) && memcmp(data + page, ELFMAG, SELFMAG) == 0) {
			memcpy(&h, data + page, sizeof(h));
			memcpy(&h32, data + page, sizeof(h32));
			return at - page < (h.e_ident[EI_CLASS] == ELFCLASS64
						    ? h.e_shoff
						    : (uint64_t)h32.e_shoff);
		}
		if (page == 0)
			break;
	}
	return false;
}

int kernel_image_build_id(const struct buf *kernel, enum arch arch, char **ret, struct err *err)
{
	static const uint8_t head[] = "\3\0\0\0GNU"; /* NT_GNU_BUILD_ID, its owner's name */
	auto_cleanup(buf) notes = {0}, hex = {0};
	const struct buf *in = kernel;
	const uint8_t *data, *at, *end;

	if (arch == ARCH_AMD64 || (kernel->len > 4 && memcmp(kernel->data, ELFMAG, 4) == 0)) {
		int r = elf_section(kernel->data, kernel->len, ".notes", &notes, err);

		if (r < 0)
			return r;
		in = &notes;
	}
	data = (const uint8_t *)in->data;
	end = data + in->len;
	for (at = data; at && (at = memmem(at, end - at, head, sizeof(head))); at++) {
		const uint8_t *id = at + sizeof(head);
		uint32_t n;

		if (at - data < 8 || le32(at - 8) != sizeof("GNU"))
			continue;
		n = le32(at - 4);
		if (n == 0 || n > ID_MAX || n > (size_t)(end - id) ||
		    (in == kernel && is_in_vdso(data, in->len, at - data)))
			continue;
		for (uint32_t i = 0; i < n; i++)
			buf_addf(&hex, "%02x", id[i]);
		*ret = take_ptr(hex.data);
		return 0;
	}
	return err_set(err, ENODATA, "this kernel has no build id");
}
