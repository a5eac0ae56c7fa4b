/* The built-in profiles: jail/policy/profiles/NAME.yml as they are, inside the program. */
#include "jail/base/cleanup.h"
#include "jail/base/str.h"
#include "jail/policy/policy-load.h"

/* the assembler knows no dependencies: the Makefile has the rule */
#define EMBED(name)                                                \
	__asm__(".pushsection .rodata\n"                           \
		"profile_" #name ":\n"                             \
		".incbin \"jail/policy/profiles/" #name ".yml\"\n" \
		".byte 0\n"                                        \
		".popsection\n");                                  \
	extern const char profile_##name[]

EMBED(compute);
EMBED(default);
EMBED(permissive);
EMBED(strict);

const char *const policy_builtin_names[] = {"compute", "default", "permissive", "strict"};
const size_t policy_builtin_count = array_len(policy_builtin_names);

const char *policy_builtin_text(const char *name)
{
	static const char *const texts[] = {profile_compute, profile_default, profile_permissive,
					    profile_strict};

	for (size_t i = 0; i < policy_builtin_count; i++)
		if (str_eq(policy_builtin_names[i], name))
			return texts[i];
	return NULL;
}
