#include "lab/kernel/pins.h"

#include <string.h>

#include "jail/base/kver.h"
#include "jail/base/yaml.h"
#include "lab/kconfig/flavour.h"
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

/* "linux-6.5.tar.xz" of a URL; NULL when it names no file that could be in a folder. */
static const char *url_file(const char *url)
{
	static const char *const schemes[] = {"https://", "http://", "file:///"};

	for (size_t i = 0; i < array_len(schemes); i++) {
		const char *file = strrchr(url, '/') + 1;

		if (str_starts(url, schemes[i]) && strlen(url) <= PIN_MAX_URL &&
		    file > url + strlen(schemes[i]) && lock_name_ok(file))
			return file;
	}
	return NULL;
}

static int parse_url(const struct yaml *y, const struct yaml_node *map, struct pin_source *s,
		     struct err *err)
{
	const struct yaml_node *url = yaml_get(map, "url"), *sum = yaml_get(map, "sha256");
	const char *text, *hex;

	if (!sum)
		return yaml_error(y, map, err, "sha256 of the tarball is missing");
	if (yaml_string(y, url, "url", &text, err) < 0 ||
	    yaml_string(y, sum, "sha256", &hex, err) < 0)
		return -EINVAL;
	if (!strchr(text, '/') || !url_file(text))
		return yaml_error(y, url, err,
				  "url must be that of a file, with https:, http: or file:, not "
				  "'%.80s'",
				  text);
	if (strlen(hex) != 64 || strspn(hex, "0123456789abcdef") != 64)
		return yaml_error(y, sum, err,
				  "sha256 must be 64 hexadecimal digits in lower case");
	s->url = xstrdup(text);
	s->sha256 = xstrdup(hex);
	return 0;
}

static int parse_source(const struct yaml *y, const struct yaml_node *map, struct pin *pin,
			struct err *err)
{
	static const char *const keys[] = {"url", "sha256", "debian", "suite", "series"};
	const char *first = "url", *second = "sha256";

	if (yaml_check_keys(y, map, "source", keys, array_len(keys), err) < 0)
		return -EINVAL;
	if (yaml_get(map, "debian")) {
		first = "debian";
		second = "suite";
	}
	for (size_t i = 0; i < 4; i++)
		if (yaml_get(map, keys[i]) && !str_eq(keys[i], first) && !str_eq(keys[i], second))
			return yaml_error(y, map, err,
					  "source is a tarball {url: …, sha256: …} or a package "
					  "{debian: linux-source-…, suite: …}, not both");
	if (!yaml_get(map, first))
		return yaml_error(y, map, err,
				  "{url: …, sha256: …} or {debian: linux-source-…} is missing");
	if (str_eq(first, "url"))
		return parse_url(y, map, &pin->source, err);
	if (parse_word(y, map, "debian", NULL, &pin->source.package, err) < 0)
		return -EINVAL;
	return parse_word(y, map, "suite", pin->suite, &pin->source.suite, err);
}

/* The fragments that every build of it has. */
static int parse_config(const struct yaml *y, const struct yaml_node *node, struct pin *pin,
			struct err *err)
{
	if (node && !pin->source.url && !pin->source.package)
		return yaml_error(y, node, err,
				  "config is for what is built: this kernel has no source");
	if (node && yaml_strings(y, node, "config", &pin->config, err) < 0)
		return -EINVAL;
	if (pin->config.n > FLAVOUR_MAX_FRAGMENTS - 2)
		return yaml_error(y, node, err, "at most %d fragments", FLAVOUR_MAX_FRAGMENTS - 2);
	for (size_t i = 0; i < pin->config.n; i++) {
		const char *name = pin->config.items[i];

		if (!flavour_fragment_ok(name) || str_ends(name, ".config"))
			return yaml_error(y, node->kind == YAML_LIST ? &node->items[i] : node, err,
					  "'%.60s' cannot name a fragment of kernel-config", name);
	}
	return 0;
}

/* The version's first numbers: said, or the pin's name, or in the name of the tarball. */
static int parse_series(const struct yaml *y, const struct yaml_node *map, struct pin *pin,
			struct err *err)
{
	const char *file = pin->source.url ? url_file(pin->source.url) : NULL;
	auto_free char *found = NULL;
	struct kver series;

	if (kver_parse(pin->name, &series, NULL) < 0 && file && str_starts(file, "linux-")) {
		file += strlen("linux-");
		found = xstrndup(file, strspn(file, "0123456789."));
		if (str_ends(found, "."))
			found[strlen(found) - 1] = '\0';
	}
	if (parse_word(y, map, "series", found ? found : pin->name, &pin->series, err) < 0)
		return -EINVAL;
	if (kver_parse(pin->series, &series, NULL) < 0)
		return yaml_error(y, map, err,
				  "series must be a kernel version like \"6.18\", not '%.60s'",
				  pin->series);
	return 0;
}

static int parse_pin(const struct yaml *y, const struct yaml_node *key,
		     const struct yaml_node *node, struct pin *pin, struct err *err)
{
	static const char *const keys[] = {"debian", "source", "config", "default"};
	static const char *const debian_keys[] = {"suite", "flavour", "series"};
	const struct yaml_node *debian = yaml_get(node, "debian"),
			       *source = yaml_get(node, "source"),
			       *is_default = yaml_get(node, "default");

	if (!lock_name_ok(key->text) || strchr(key->text, '+') || str_eq(key->text, "all"))
		return yaml_error(y, key, err, "'%.60s' cannot name a kernel", key->text);
	pin->name = xstrdup(key->text);
	if (yaml_check_keys(y, node, "a kernel", keys, array_len(keys), err) < 0)
		return -EINVAL;
	if (!debian && !source)
		return yaml_error(y, node, err,
				  "debian: {suite: …, flavour: …} is missing, or source: {url: …, "
				  "sha256: …}");
	if (debian &&
	    (yaml_check_keys(y, debian, "debian", debian_keys, array_len(debian_keys), err) < 0 ||
	     parse_word(y, debian, "suite", NULL, &pin->suite, err) < 0 ||
	     parse_word(y, debian, "flavour", NULL, &pin->flavour, err) < 0))
		return -EINVAL;
	if (source && parse_source(y, source, pin, err) < 0)
		return -EINVAL;
	if (debian && source && yaml_get(source, "series"))
		return yaml_error(y, source, err, "series is said below debian, for both");
	if (parse_series(y, debian ? debian : source, pin, err) < 0 ||
	    parse_config(y, yaml_get(node, "config"), pin, err) < 0)
		return -EINVAL;
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

int pins_unknown(const struct pins *pins, const char *name, struct err *err)
{
	auto_cleanup(buf) known = {0}, shown = {0};

	for (size_t i = 0; i < pins->n; i++)
		buf_addf(&known, "%s%s", i ? ", " : "", pins->items[i].name);
	str_printable(&shown, name, strlen(name), 80, false);
	return err_set(
		err, ENOENT,
		"unknown kernel '%s': pinned are %s; others are given as a path, or built first: "
		"'lab kernel build NAME --source TREE'",
		shown.data, known.data);
}
