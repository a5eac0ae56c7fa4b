#include "jail/supervise/plugins.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "jail/policy/syscalls.h"

#ifndef JAIL_STATIC /* a static program cannot load anything */
#include <dlfcn.h>
#endif

enum { NAME_PRINTED_MAX = 64, TEXT_PRINTED_MAX = 1024, ERRNO_MAX = 4095 };

struct plugin {
	struct jail_host host; /* first: what a plugin hands back is this plugin */
	struct plugins *all;
	void *handle;
	struct jail_plugin is;
	char *path, *name;
	void *state;
	bool is_started;
	bool takes[FILTER_CALLS_MAX];	    /* by number */
	uint64_t refused[FILTER_CALLS_MAX]; /* the same */
};

/* --- what jail does for them ------------------------------------------------------------------ */

static int64_t read_memory(const struct jail_host *host, int tid, uint64_t address, void *to,
			   size_t len)
{
	const struct plugins *all = ((const struct plugin *)host)->all;

	return all->read_memory ? all->read_memory(all->context, tid, address, to, len) : -ESRCH;
}

static void say(const struct jail_host *host, const char *text)
{
	const struct plugin *plugin = (const struct plugin *)host;
	struct events *events = plugin->all->events;
	auto_cleanup(buf) line = {0}, object = {0};

	buf_addf(&line, "jail: %s: ", plugin->name);
	str_printable(&line, text, strlen(text), TEXT_PRINTED_MAX, false);
	events_show(events, &line);
	if (!events_are_logged(events))
		return;
	events_begin(&object, "plugin");
	json_add_text(&object, "plugin", plugin->name);
	json_add_key(&object, "text");
	json_add_string(&object, text, strlen(text), TEXT_PRINTED_MAX);
	events_end(events, &object);
}

/* --- loading ---------------------------------------------------------------------------------- */

/* Whoever can write a plugin, or put another in its place, can do what jail can. */
static int check_writers(const char *path, struct err *err)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return err_errno(err, "%s", path);
	if (st.st_uid != 0 && st.st_uid != geteuid())
		return err_set(err, EPERM,
			       "%s belongs to user %u: a plugin and the folders above it must "
			       "belong to root or to you",
			       path, st.st_uid);
	if (st.st_mode & (S_IWGRP | S_IWOTH) && !(S_ISDIR(st.st_mode) && st.st_mode & S_ISVTX))
		return err_set(err, EPERM, "others may write to %s: chmod go-w", path);
	return 0;
}

static int check_path(char *path, struct err *err)
{
	int r = check_writers("/", err);

	for (char *slash = strchr(path + 1, '/'); slash && r >= 0; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		r = check_writers(path, err);
		*slash = '/';
	}
	return r < 0 ? r : check_writers(path, err);
}

static int find_calls(struct plugin *plugin, enum arch arch, struct err *err)
{
	const char *const *calls = plugin->is.calls;

	if (!calls && (plugin->is.before || plugin->is.after))
		return err_set(err, EINVAL, "it has hooks for calls, but names none in 'calls'");
	for (; calls && *calls; calls++) {
		const struct syscall_def *call = syscall_find(*calls);
		const char *near = call ? NULL : syscall_suggest(*calls);

		if (!call)
			return err_set(err, EINVAL, "unknown system call '%.60s'%s%s%s", *calls,
				       near ? " (did you mean '" : "", near ? near : "",
				       near ? "'?)" : "");
		if (call->nr[arch] >= 0)
			plugin->takes[call->nr[arch]] = true;
	}
	return 0;
}

/* What this jail does not know must not be lost silently. */
static bool wants_more(const struct jail_plugin *is)
{
	const unsigned char *bytes = (const unsigned char *)is;

	for (size_t i = sizeof(*is); i < is->size; i++)
		if (bytes[i])
			return true;
	return false;
}

static int check_plugin(struct plugin *plugin, const struct jail_plugin *is, enum arch arch,
			struct err *err)
{
	auto_cleanup(buf) name = {0};

	if (is->abi != JAIL_PLUGIN_ABI)
		return err_set(err, EINVAL, "it was made for version %u of jail-plugin.h, not %u",
			       is->abi, JAIL_PLUGIN_ABI);
	if (is->size < sizeof(*is))
		return err_set(err, EINVAL,
			       "its size is %zu, but sizeof(struct jail_plugin) is %zu", is->size,
			       sizeof(*is));
	if (wants_more(is))
		return err_set(err, EINVAL,
			       "it has hooks that this jail does not know: it was "
			       "made for a newer one");
	if (!is->name || !*is->name)
		return err_set(err, EINVAL, "it has no name");
	str_printable(&name, is->name, strlen(is->name), NAME_PRINTED_MAX, false);
	plugin->name = take_ptr(name.data);
	plugin->is = *is;
	return find_calls(plugin, arch, err);
}

#ifdef JAIL_STATIC
static int open_plugin(struct plugin *plugin, const struct jail_plugin **is, struct err *err)
{
	(void)plugin;
	(void)is;
	return err_set(err, ENOSYS,
		       "this jail is linked statically, as those for guests are, and cannot load "
		       "plugins: use one that is not");
}

static void close_plugin(void *handle)
{
	(void)handle;
}
#else
static int open_plugin(struct plugin *plugin, const struct jail_plugin **is, struct err *err)
{
	const char *why, *path = plugin->path;

	plugin->handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!plugin->handle) {
		why = dlerror();
		if (str_starts(why, path) && str_starts(why + strlen(path), ": "))
			why += strlen(path) + 2;
		return err_set(err, EINVAL, "it cannot be loaded: %.200s", why);
	}
	*is = dlsym(plugin->handle, "jail_plugin");
	if (!*is)
		return err_set(err, EINVAL, "it does not export 'jail_plugin': jail-plugin(3)");
	return 0;
}

static void close_plugin(void *handle)
{
	if (handle)
		dlclose(handle);
}
#endif

static int load(struct plugins *p, const char *path, struct err *err)
{
	struct plugin *plugin = &p->items[p->n];
	const struct jail_plugin *is = NULL;
	auto_free char *real = realpath(path, NULL);
	int r;

	if (!real)
		return err_errno(err, "it is not there");
	for (size_t i = 0; i < p->n; i++)
		if (str_eq(p->items[i].path, real))
			return 0;
	r = check_path(real, err);
	if (r < 0)
		return r;
	plugin->path = take_ptr(real);
	p->n++;
	r = open_plugin(plugin, &is, err);
	return r < 0 ? r : check_plugin(plugin, is, p->arch, err);
}

int plugins_load(const struct strv *paths, enum arch arch, struct plugins *ret, struct err *err)
{
	auto_cleanup(plugins)
		p = {.arch = arch, .items = xcalloc(paths->n + 1, sizeof(struct plugin))};

	for (size_t i = 0; i < paths->n; i++) {
		const char *path = paths->items[i];
		int r = *path == '/' ? load(&p, path, err)
				     : err_set(err, EINVAL, "an absolute path expected");

		if (r < 0)
			return err_wrap(err, "plugin %.200s", path);
	}
	*ret = p;
	p = (struct plugins){0};
	return 0;
}

int plugins_start(struct plugins *p, const struct strv *options, struct err *err)
{
	static const char *const none[] = {NULL};
	const char *const *list = options->n ? (const char *const *)options->items : none;

	for (size_t i = 0; i < p->n; i++) {
		struct plugin *plugin = &p->items[i];
		int r = 0;

		plugin->host = (struct jail_host){sizeof(plugin->host), read_memory, say};
		plugin->all = p;
		if (plugin->is.start)
			r = plugin->is.start(&plugin->host, list, &plugin->state);
		if (r < 0)
			return err_set(err, -r, "plugin %s: it does not start: %s", plugin->path,
				       strerror(-r));
		plugin->is_started = true;
	}
	return 0;
}

void plugins_end(struct plugins *p)
{
	for (size_t i = p->n; i-- > 0;) {
		struct plugin *plugin = &p->items[i];

		if (plugin->is_started && plugin->is.end)
			plugin->is.end(plugin->state);
		plugin->is_started = false;
	}
}

void plugins_deinit(struct plugins *p)
{
	plugins_end(p);
	for (size_t i = 0; i < p->n; i++) {
		struct plugin *plugin = &p->items[i];

		close_plugin(plugin->handle);
		free(plugin->path);
		free(plugin->name);
	}
	free(p->items);
	*p = (struct plugins){0};
}

/* --- which calls ------------------------------------------------------------------------------ */

static bool takes(const struct plugin *plugin, int nr)
{
	return nr >= 0 && nr < FILTER_CALLS_MAX && plugin->takes[nr];
}

bool plugins_need_tracer(const struct plugins *p)
{
	for (size_t i = 0; i < p->n; i++) {
		const struct jail_plugin *is = &p->items[i].is;

		if (is->after || is->process_start || is->process_end)
			return true;
	}
	return false;
}

bool plugins_want_after(const struct plugins *p, int nr)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->items[i].is.after && takes(&p->items[i], nr))
			return true;
	return false;
}

bool plugins_want_before(const struct plugins *p, int nr)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->items[i].is.before && takes(&p->items[i], nr))
			return true;
	return false;
}

/* --- hooks ------------------------------------------------------------------------------------ */

static void complete(const struct plugins *p, struct jail_call *call)
{
	const char *name = syscall_name(p->arch, call->nr);

	call->size = sizeof(*call);
	call->name = name ? name : "";
}

static struct jail_verdict checked(struct jail_verdict verdict)
{
	const struct jail_verdict refused = {JAIL_REFUSE, EPERM};

	switch (verdict.kind) {
	case JAIL_REFUSE:
		return verdict.value > 0 && verdict.value <= ERRNO_MAX ? verdict : refused;
	case JAIL_GO_ON:
	case JAIL_RETURN:
	case JAIL_KILL:
	case JAIL_FD:
		return verdict;
	}
	return refused;
}

struct jail_verdict plugins_before(struct plugins *p, struct jail_call *call, const char **by)
{
	struct jail_verdict verdict = {JAIL_GO_ON, 0};

	complete(p, call);
	for (size_t i = 0; i < p->n && verdict.kind == JAIL_GO_ON; i++) {
		struct plugin *plugin = &p->items[i];

		if (!plugin->is.before || !takes(plugin, call->nr))
			continue;
		verdict = checked(plugin->is.before(plugin->state, call));
		*by = plugin->name;
		if (verdict.kind == JAIL_REFUSE || verdict.kind == JAIL_KILL)
			plugin->refused[call->nr]++;
	}
	return verdict;
}

void plugins_after(struct plugins *p, struct jail_call *call)
{
	complete(p, call);
	for (size_t i = 0; i < p->n; i++)
		if (p->items[i].is.after && takes(&p->items[i], call->nr))
			p->items[i].is.after(p->items[i].state, call);
}

void plugins_process_start(struct plugins *p, pid_t pid, pid_t parent)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->items[i].is.process_start)
			p->items[i].is.process_start(p->items[i].state, pid, parent);
}

void plugins_process_end(struct plugins *p, pid_t pid, int status)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->items[i].is.process_end)
			p->items[i].is.process_end(p->items[i].state, pid, status);
}

void plugins_print_refused(const struct plugins *p, struct buf *out)
{
	for (size_t i = 0; i < p->n; i++) {
		const struct plugin *plugin = &p->items[i];
		const char *separator = "";
		size_t start = out->len;

		buf_addf(out, "jail: refused by the plugin %s: ", plugin->name);
		for (int nr = 0; nr < FILTER_CALLS_MAX; nr++) {
			if (!plugin->refused[nr])
				continue;
			buf_addf(out, "%s%s (%llu)", separator, syscall_name(p->arch, nr),
				 (unsigned long long)plugin->refused[nr]);
			separator = ", ";
		}
		if (*separator)
			buf_adds(out, "\n");
		else
			out->data[out->len = start] = '\0';
	}
}
