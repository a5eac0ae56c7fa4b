#include "lab/kernel/pins.h"

#include <string.h>

#include "jail/base/kver.h"
#include "jail/base/yaml.h"
#include "lab/kernel/lock.h"

void pins_deinit(struct pins *pins)
{
	for (size_t i = 0; i < pins->n; i++) {
		free(pins->items[i].name);
		free(pins->items[i].suite);
		free(pins->items[i].flavour);
		free(pins->items[i].series);
		free(pins->items[i].source.url);
		free(pins->items[i].source.sha256);
		free(pins->items[i].source.package);
		free(pins->items[i].source.suite);
		strv_deinit(&pins->items[i].config);
	}
	free(pins->items);
	*pins = (struct pins){0};
}

const struct pin *pins_find(const struct pins *pins, const char *name)
{
	for (size_t i = 0; i < pins->n; i++)
		if (str_eq(pins->items[i].name, name))
			return &pins->items[i];
	return NULL;
}

static int parse_word(const struct yaml *y, const struct yaml_node *map, const char *key,
		      const char *otherwise, char **ret, struct err *err)
{
	const struct yaml_node *node = yaml_get(map, key);
	const char *text = otherwise;

	if (!node && !otherwise)
		return yaml_error(y, map, err, "%s is missing", key);
	if (node && yaml_string(y, node, key, &text, err) < 0)
		return -EINVAL;
	if (!lock_name_ok(text))
		return yaml_error(y, node ? node : map, err, "'%.60s' cannot be a %s", text, key);
	*ret = xstrdup(text);
	return 0;
}

static int parse_pin(const struct yaml *y, const struct yaml_node *key,
		     const struct yaml_node *node, struct pin *pin, struct err *err)
{
	static const char *const keys[] = {"debian", "default"};
	static const char *const debian_keys[] = {"suite", "flavour", "series"};
	const struct yaml_node *debian = yaml_get(node, "debian"),
			       *is_default = yaml_get(node, "default");
	struct kver series;

	if (!lock_name_ok(key->text) || str_eq(key->text, "all"))
		return yaml_error(y, key, err, "'%.60s' cannot name a kernel", key->text);
	pin->name = xstrdup(key->text);
	if (yaml_check_keys(y, node, "a kernel", keys, array_len(keys), err) < 0)
		return -EINVAL;
	if (!debian)
		return yaml_error(y, node, err, "debian: {suite: …, flavour: …} is missing");
	if (yaml_check_keys(y, debian, "debian", debian_keys, array_len(debian_keys), err) < 0 ||
	    parse_word(y, debian, "suite", NULL, &pin->suite, err) < 0 ||
	    parse_word(y, debian, "flavour", NULL, &pin->flavour, err) < 0 ||
	    parse_word(y, debian, "series", pin->name, &pin->series, err) < 0)
		return -EINVAL;
	if (kver_parse(pin->series, &series, NULL) < 0)
		return yaml_error(y, debian, err,
				  "series must be a kernel version like \"6.18\", not '%.60s'",
				  pin->series);
	return is_default ? yaml_bool(y, is_default, "default", &pin->is_default, err) : 0;
}

int pins_parse(const char *name, const char *text, size_t len, struct pins *ret, struct err *err)
{
	auto_cleanup(yaml) y = {0};
	auto_cleanup(pins) pins = {0};
	bool has_default = false;
	int r = yaml_parse(name, text, len, &y, err);

	if (r < 0)
		return r;
	if (y.root.kind != YAML_MAP || !y.root.n)
		return yaml_error(&y, &y.root, err, "a map of kernels is expected here");
	pins.items = xcalloc(y.root.n, sizeof(*pins.items));
	for (size_t i = 0; i < y.root.n; i++) {
		struct pin *pin = &pins.items[pins.n++];

		if (parse_pin(&y, &y.root.keys[i], &y.root.items[i], pin, err) < 0)
			return -EINVAL;
		if (pin->is_default && has_default)
			return yaml_error(&y, &y.root.keys[i], err, "a second default");
		has_default |= pin->is_default;
	}
	if (!has_default)
		return yaml_error(&y, &y.root, err, "no kernel is the default (default: true)");
	*ret = pins;
	pins = (struct pins){0};
	return 0;
}
