#include "lab/kernel/kernel-image.h"

#include <elf.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "jail/base/cleanup.h"
#include "jail/base/str.h"

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
