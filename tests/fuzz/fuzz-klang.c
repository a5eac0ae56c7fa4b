/* Kconfig files: every option that was read can be found again; expressions print as what they are.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "lab/kconfig/kconfig-lang.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct input {
	const char *text;
	size_t len;
	int left; /* times that it may source itself */
};

static int give(void *data, const char *path, struct buf *text)
{
	struct input *in = data;

	(void)path;
	if (in->left-- == 0)
		return -ENOENT;
	buf_add(text, in->text, in->len);
	return 0;
}

static bool known(const void *data, const char *name)
{
	size_t first;

	return klang_find(data, name, &first) > 0;
}

static void check(const struct kexpr *e, const struct kexpr_values *v)
{
	auto_cleanup(buf) once = {0}, twice = {0};
	struct kexpr *again;
	const char *at;

	kexpr_eval(e, v);
	if (!e || kexpr_unknown(e))
		return;
	kexpr_print(e, &once);
	if (strchr(once.data, '"'))
		return; /* with the other quote inside */
	at = once.data;
	again = kexpr_parse(&at);
	if (!again)
		return; /* deeper than is read: brackets were added */
	kexpr_print(again, &twice);
	assert(str_eq(once.data, twice.data));
	assert(kexpr_eval(e, v) == kexpr_eval(again, v));
	kexpr_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const char values[] = "CONFIG_A=y\nCONFIG_B=m\nCONFIG_C=12\n";
	struct input in = {(const char *)data, len, 3};
	auto_cleanup(klang) k = {0};
	auto_cleanup(kconfig) c = {0};
	const struct kexpr_values v = {&c, known, &k};
	struct err err = {0};

	assert(kconfig_parse("c", values, strlen(values), &c, NULL) == 0);
	if (klang_parse("Kconfig", "x86", give, &in, &k, &err) < 0) {
		assert(err.code && err.msg[0]);
		return 0;
	}
	for (size_t i = 0; i < k.n; i++) {
		size_t first, n = klang_find(&k, k.defs[i].name, &first);
		bool found = false;

		for (size_t d = first; d < first + n; d++)
			found |= k.order[d] == i;
		assert(found);
		check(k.defs[i].depends, &v);
		check(k.defs[i].prompt_if, &v);
		check(k.defs[i].value, &v);
	}
	for (size_t i = 0; i < k.n_selects; i++) {
		assert(k.selects[i].from < k.n);
		check(k.selects[i].depends, &v);
	}
	return 0;
}
