#include "lab/debian/apt.h"

#include <string.h>

#include "jail/base/proc.h"

static char *trim_slashes(const char *url)
{
	size_t n = strlen(url);

	while (n && url[n - 1] == '/')
		n--;
	return xstrndup(url, n);
}

/* How sure we are that a source is Debian's main archive: 0 not at all. */
static int rate_source(const char *uri, const char *origin, const char *label, const char *release)
{
	static const char *const known[] = {"bullseye", "bookworm", "trixie",	"forky",
					    "duke",	"sid",	    "unstable", "oldstable",
					    "stable",	"testing"};

	if (!str_starts(uri, "http://") && !str_starts(uri, "https://") &&
	    !str_starts(uri, "file:"))
		return 0;
	if (str_eq(origin, "Debian") && str_eq(label, "Debian"))
		return 2;
	if (*origin) /* somebody else's, or another part of Debian's (security) */
		return 0;
	for (size_t i = 0; i < array_len(known);
	     i++) /* nothing fetched yet: only the name to go by */
		if (str_eq(release, known[i]))
			return 1;
	return 0;
}

/*
 * The best among the sources that apt lists. Without release_info it lists those too of which
 * nothing was fetched yet (a fresh container); then origin and label stay as they were asked for.
 */
static char *best_source(bool release_info, struct err *err)
{
	auto_free char *format =
		xstrdup("$(REPO_URI)|$(ORIGIN)|$(LABEL)|$(RELEASE)|$(COMPONENT)|.");
	char *const argv[] = {
		"apt-get", "indextargets",	   "--format",
		format,	   "Created-By: Packages", release_info ? NULL : "--no-release-info",
		NULL};
	auto_cleanup(buf) out = {0};
	auto_cleanup(strv) lines = {0};
	auto_free char *best = NULL;
	int best_rate = 0, r = proc_run(argv, &out, NULL, err);

	strv_split(&lines, r == 0 && out.data ? out.data : "", '\n');
	for (size_t i = 0; i < lines.n; i++) {
		char *rest = lines.items[i], *field[5] = {0};
		int n = 0, rate;

		while (n < 5 && (field[n] = strsep(&rest, "|")))
			n++;
		if (n < 5 || !str_eq(field[4], "main"))
			continue;
		for (n = 1; n < 3; n++)
			if (field[n][0] == '$')
				field[n] = "";
		rate = rate_source(field[0], field[1], field[2], field[3]);
		if (rate <= best_rate)
			continue;
		best_rate = rate;
		free(best);
		best = trim_slashes(field[0]);
	}
	return take_ptr(best);
}

char *apt_mirror(struct err *err)
{
	const char *mirror = getenv("LAB_MIRROR");
	struct err why = {0};
	char *best;

	if (mirror && *mirror)
		return trim_slashes(mirror);
	best = best_source(true, &why);
	if (!best)
		best = best_source(false, &why);
	if (!best)
		err_set(err, ENOENT,
			"no Debian archive among apt's sources on this host%s%.100s: set "
			"LAB_MIRROR to the URL of a Debian mirror",
			why.code ? ": " : "", why.msg);
	return best;
}

/* The value of one key of apt's configuration, or NULL. Allocated. */
static char *apt_config(const char *key)
{
	auto_free char *format = xstrdup("%f=%v%n");
	char *const argv[] = {"apt-config", "dump", "--format", format, NULL};
	auto_cleanup(buf) out = {0};
	auto_cleanup(strv) lines = {0};
	struct err err = {0};
	size_t n = strlen(key);

	if (proc_run(argv, &out, NULL, &err) != 0 || !out.data)
		return NULL;
	strv_split(&lines, out.data, '\n');
	for (size_t i = 0; i < lines.n; i++)
		if (strncasecmp(lines.items[i], key, n) == 0 && lines.items[i][n] == '=' &&
		    lines.items[i][n + 1])
			return xstrdup(lines.items[i] + n + 1);
	return NULL;
}

char *apt_proxy(const char *url)
{
	char *proxy = NULL;

	if (str_starts(url, "https:"))
		proxy = apt_config("Acquire::https::Proxy");
	if (!proxy && str_starts(url, "http"))
		proxy = apt_config("Acquire::http::Proxy");
	if (proxy && str_eq(proxy, "DIRECT"))
		*proxy = '\0'; /* libcurl: no proxy, whatever the environment says */
	return proxy;
}

bool apt_may_be_expired(void)
{
	auto_free char *check = apt_config("Acquire::Check-Valid-Until");

	return check && (str_eq(check, "false") || str_eq(check, "no") || str_eq(check, "0"));
}

char *apt_snapshot(const char *stamp)
{
	static const char *const keys[] = {"Acquire::Snapshots::URI::Override::Label::Debian",
					   "Acquire::Snapshots::URI::Override::Origin::Debian",
					   "Acquire::Snapshots::URI::Label::Debian",
					   "Acquire::Snapshots::URI::Origin::Debian"};
	const char *base = getenv("LAB_SNAPSHOT"), *at;
	auto_free char *found = base && *base ? xstrdup(base) : NULL;

	for (size_t i = 0; !found && i < array_len(keys); i++)
		found = apt_config(keys[i]);
	if (!found)
		return NULL;
	at = strstr(found, "@SNAPSHOTID@");
	if (at)
		return str_printf("%.*s%s%s", (int)(at - found), found, stamp,
				  at + strlen("@SNAPSHOTID@"));
	return str_printf("%s%sarchive/debian/%s", found, str_ends(found, "/") ? "" : "/", stamp);
}
