#include <fcntl.h>
#include <openssl/evp.h>

#include "lab/debian/deb.h"

static void to_hex(const unsigned char *digest, char hex[65])
{
	static const char digits[] = "0123456789abcdef";

	for (int i = 0; i < 32; i++) {
		hex[2 * i] = digits[digest[i] >> 4];
		hex[2 * i + 1] = digits[digest[i] & 15];
	}
	hex[64] = '\0';
}

void sha256_bytes(const void *data, size_t len, char hex[65])
{
	unsigned char digest[EVP_MAX_MD_SIZE];

	if (!EVP_Digest(data, len, digest, NULL, EVP_sha256(), NULL))
		abort(); /* libcrypto without SHA-256: nothing here can be trusted */
	to_hex(digest, hex);
}

int sha256_file(const char *path, char hex[65], struct err *err)
{
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	auto_free unsigned char *chunk = xmalloc(1 << 16);
	unsigned char digest[EVP_MAX_MD_SIZE];
	EVP_MD_CTX *ctx;
	ssize_t n;
	bool ok;

	if (fd < 0)
		return err_errno(err, "%s", path);
	ctx = EVP_MD_CTX_new();
	ok = ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL);
	while (ok && (n = read(fd, chunk, 1 << 16)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			EVP_MD_CTX_free(ctx);
			return err_errno(err, "read %s", path);
		}
		ok = EVP_DigestUpdate(ctx, chunk, n);
	}
	ok = ok && EVP_DigestFinal_ex(ctx, digest, NULL);
	EVP_MD_CTX_free(ctx);
	if (!ok)
		return err_set(err, ENOTSUP, "libcrypto cannot compute SHA-256");
	to_hex(digest, hex);
	return 0;
}
