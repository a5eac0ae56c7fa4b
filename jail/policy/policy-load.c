#include "jail/policy/policy-load.h"

#include <fcntl.h>

#include "jail/base/yaml.h"
#include "jail/policy/policy-yaml.h"

int policy_load_text(const char *name, const char *text, size_t len, struct policy *ret,
		     struct err *err)
{
	auto_cleanup(yaml) y = {0};
	int r = yaml_parse(name, text, len, &y, err);

	return r < 0 ? r : policy_from_yaml(&y, ret, err);
}

int policy_load(const char *name, struct policy *ret, struct err *err)
{
	auto_cleanup(yaml) y = {0};
	int r = yaml_parse_file(AT_FDCWD, name, &y, err);

	return r < 0 ? r : policy_from_yaml(&y, ret, err);
}
