/*
 * A policy as a profile for container engines. Their entries have no order (libseccomp even drops
 * the stricter of two that overlap), so what is printed are cases that exclude each other; they
 * know nothing of extends, groups and equivalents, so each call is asked for what happens to it in
 * every situation its rules speak of: architecture, capabilities, kernel.
 */
#include <errno.h>
#include <string.h>

#include "jail/inspect/flat.h"
#include "jail/policy/cap-names.h"
#include "jail/policy/groups.h"
#include "jail/policy/policy-oci.h"

enum { CAPS_MAX = 4, KERNELS_MAX = 8, CELLS_MAX = ARCH_COUNT << CAPS_MAX };

/* What the rules of a call depend on. */
struct dims {
	uint64_t caps;
	struct kver kernels[KERNELS_MAX]; /* sorted: from each on things may be different */
	size_t n_kernels;
	bool are_too_many;
};

struct cached {
	struct filter_target target;
	struct filter_model model;
};

/* Entries that differ in their names only. */
struct group {
	char *text;
	struct strv names;
};

struct printer {
	const struct policy *policy;
	struct strv *lost;
	struct policy_action fallback;
	struct cached **models;
	size_t n_models;
	struct group *groups;
	size_t n_groups;
};

static void printer_deinit(struct printer *p)
{
	for (size_t i = 0; i < p->n_models; i++) {
		filter_model_deinit(&p->models[i]->model);
		free(p->models[i]);
	}
	for (size_t i = 0; i < p->n_groups; i++) {
		free(p->groups[i].text);
		strv_deinit(&p->groups[i].names);
	}
	free(p->models);
	free(p->groups);
}
DEFINE_CLEANUP(printer, printer_deinit)

static const struct filter_model *get_model(struct printer *p, enum arch arch, struct kver kernel,
					    uint64_t caps)
{
	const struct filter_target target = {arch, kernel, caps};
	struct cached *cached;

	for (size_t i = 0; i < p->n_models; i++) {
		cached = p->models[i];
		if (cached->target.arch == arch && cached->target.caps == caps &&
		    kver_compare(&cached->target.kernel, &kernel) == 0)
			return &cached->model;
	}
	cached = xcalloc(1, sizeof(*cached));
	cached->target = target;
	filter_model_make(p->policy, &target, &cached->model, NULL); /* has a fallback: checked */
	p->models = xreallocarray(p->models, p->n_models + 1, sizeof(struct cached *));
	p->models[p->n_models++] = cached;
	return &cached->model;
}

/* --- what a call's rules depend on ------------------------------------------------------------ */

static void add_kernel(struct dims *dims, const struct kver_cmp *cmp, bool after)
{
	struct kver v = cmp->than;
	size_t i = 0;

	if (after)
		v.part[cmp->parts - 1]++;
	while (i < dims->n_kernels && kver_compare(&dims->kernels[i], &v) < 0)
		i++;
	if (i < dims->n_kernels && kver_compare(&dims->kernels[i], &v) == 0)
		return;
	if (dims->n_kernels == KERNELS_MAX) {
		dims->are_too_many = true;
		return;
	}
	memmove(&dims->kernels[i + 1], &dims->kernels[i], (dims->n_kernels - i) * sizeof(v));
	dims->kernels[i] = v;
	dims->n_kernels++;
}

/* Whether a rule for one call may also count for another that stands for it. */
static bool concerns(const struct policy_rule *rule, const struct syscall_def *call)
{
	if (rule->call == call)
		return true;
	for (int a = 0; a < ARCH_COUNT; a++) {
		const struct call_equivalent *e = call_equivalent(rule->call, a);

		if (e && str_eq(e->instead, call->name))
			return true;
	}
	return false;
}

static void collect_dims(const struct policy *policy, const struct syscall_def *call,
			 struct dims *dims)
{
	for (size_t i = 0; i < policy->n; i++) {
		const struct policy_when *when = &policy->rules[i].when;

		if (!concerns(&policy->rules[i], call))
			continue;
		dims->caps |= when->caps | when->no_caps;
		for (size_t k = 0; k < when->kernel.n; k++) {
			const struct kver_cmp *cmp = &when->kernel.cmp[k];

			if (cmp->op != KVER_LE && cmp->op != KVER_GT)
				add_kernel(dims, cmp, false);
			if (cmp->op != KVER_LT && cmp->op != KVER_GE)
				add_kernel(dims, cmp, true);
		}
	}
	for (size_t i = 0; i < policy->n_bases; i++)
		collect_dims(&policy->bases[i], call, dims);
}

/* --- one call in one situation ---------------------------------------------------------------- */

static void print_action(const struct policy_action *action, const char *key, const char *error_key,
			 struct buf *out)
{
	static const char *const names[] = {
		[POLICY_ALLOW] = "ALLOW",	[POLICY_LOG] = "LOG",
		[POLICY_NOTIFY] = "NOTIFY",	[POLICY_ERRNO] = "ERRNO",
		[POLICY_TRAP] = "TRAP",		[POLICY_KILL_THREAD] = "KILL_THREAD",
		[POLICY_KILL] = "KILL_PROCESS",
	};

	buf_addf(out, "\"%s\": \"SCMP_ACT_%s\"", key, names[action->kind]);
	if (action->kind == POLICY_ERRNO)
		buf_addf(out, ",\n%s\"%s\": %d", str_eq(key, "action") ? "\t\t\t" : "\t", error_key,
			 action->error);
}

static void print_case(const struct flat_case *c, struct buf *out)
{
	static const char *const ops[] = {
		[POLICY_EQ] = "EQ",
		[POLICY_NE] = "NE",
		[POLICY_LT] = "LT",
		[POLICY_LE] = "LE",
		[POLICY_GT] = "GT",
		[POLICY_GE] = "GE",
		[POLICY_MASKED_EQ] = "MASKED_EQ",
	};

	print_action(&c->action, "action", "errnoRet", out);
	buf_adds(out, c->n_conds ? ",\n\t\t\t\"args\": [" : "");
	for (size_t i = 0; i < c->n_conds; i++) {
		const struct policy_cond *cond = &c->conds[i];
		const bool masked = cond->op == POLICY_MASKED_EQ;

		buf_addf(out, "%s\n\t\t\t\t{\"index\": %u, \"value\": %llu, ", i ? "," : "",
			 cond->arg, (unsigned long long)(masked ? cond->mask[0] : cond->value[0]));
		if (masked)
			buf_addf(out, "\"valueTwo\": %llu, ", (unsigned long long)cond->value[0]);
		buf_addf(out, "\"op\": \"SCMP_CMP_%s\"}", ops[cond->op]);
	}
	buf_adds(out, c->n_conds ? "\n\t\t\t]" : "");
}

/*
 * The entries of a call: each a text; what the default does anyway is left out. Returns 0, or
 * -E2BIG when there would be too many.
 */
static int print_call(const struct printer *p, const struct filter_model *model, int nr,
		      struct strv *ret)
{
	auto_cleanup(flat) flat = {0};
	auto_cleanup(buf) text = {0};

	int r = flat_call(model, nr, &flat);

	if (r < 0)
		return r;
	for (size_t i = 0; i < flat.n; i++) {
		if (policy_action_equal(&flat.cases[i].action, &p->fallback))
			continue;
		buf_reset(&text);
		print_case(&flat.cases[i], &text);
		if (!strv_has(ret, text.data))
			strv_add(ret, text.data);
	}
	return 0;
}

/* --- one call in all situations --------------------------------------------------------------- */

/* All there is to know about one call: entries[kernel][arch << n_caps | caps]. */
struct table {
	const struct syscall_def *call;
	struct dims dims;
	int caps[CAPS_MAX], n_caps;
	struct strv entries[KERNELS_MAX + 1][CELLS_MAX];
};

static void table_deinit(struct table *t)
{
	for (size_t k = 0; k <= KERNELS_MAX; k++)
		for (int c = 0; c < CELLS_MAX; c++)
			strv_deinit(&t->entries[k][c]);
}
DEFINE_CLEANUP(table, table_deinit)

static struct kver kernel_of(const struct table *t, size_t k)
{
	const struct kver oldest = {{0, 0, 1}};

	return k ? t->dims.kernels[k - 1] : oldest;
}

static uint64_t caps_of(const struct table *t, int cell)
{
	uint64_t mask = 0;

	for (int i = 0; i < t->n_caps; i++)
		if (cell >> i & 1)
			mask |= UINT64_C(1) << t->caps[i];
	return mask;
}

/* What cannot be held is refused in every situation: by default, or by an entry. */
static void refuse(const struct printer *p, struct table *t, const char *why)
{
	const struct flat_case refused = {.action = {POLICY_ERRNO, EPERM}};
	auto_cleanup(buf) text = {0};

	strv_addf(p->lost, "%s: %s: it is refused always", t->call->name, why);
	table_deinit(t);
	*t = (struct table){.call = t->call};
	if (!policy_kind_allows(p->fallback.kind))
		return;
	print_case(&refused, &text);
	for (int arch = 0; arch < ARCH_COUNT; arch++)
		if (t->call->nr[arch] >= 0)
			strv_add(&t->entries[0][arch], text.data);
}

static void fill_table(struct printer *p, struct table *t)
{
	collect_dims(p->policy, t->call, &t->dims);
	for (int cap = 0; cap < CAP_NAMES_COUNT; cap++) {
		if (!(t->dims.caps >> cap & 1))
			continue;
		if (t->n_caps == CAPS_MAX)
			t->dims.are_too_many = true;
		else
			t->caps[t->n_caps++] = cap;
	}
	if (t->dims.are_too_many)
		return refuse(p, t, "its rules depend on too many capabilities or kernels");
	for (size_t k = 0; k <= t->dims.n_kernels; k++)
		for (int c = 0; c < ARCH_COUNT << t->n_caps; c++) {
			const enum arch arch = c >> t->n_caps;

			if (t->call->nr[arch] >= 0 &&
			    print_call(p, get_model(p, arch, kernel_of(t, k), caps_of(t, c)),
				       t->call->nr[arch], &t->entries[k][c]) < 0)
				return refuse(p, t, "its comparisons of arguments are too many");
		}
}

/* Whether any entry changes with a bit of the cell's number. */
static bool depends_on_bit(const struct table *t, int bit)
{
	for (size_t k = 0; k <= t->dims.n_kernels; k++)
		for (int c = 0; c < ARCH_COUNT << t->n_caps; c++)
			if (!strv_equal(&t->entries[k][c], &t->entries[k][c ^ 1 << bit]))
				return true;
	return false;
}

static bool same_kernel(const struct table *t, size_t a, size_t b)
{
	for (int c = 0; c < ARCH_COUNT << t->n_caps; c++)
		if (!strv_equal(&t->entries[a][c], &t->entries[b][c]))
			return false;
	return true;
}

/*
 * Read back, an entry that allows a call which an architecture lacks would allow what stands for it
 * there. Whether that is so already: its own rule counts there, or one that does the same, behind
 * none that would be left out as being the default.
 */
static bool is_mapped_in(struct printer *p, const struct table *t, enum arch lacking, size_t k,
			 int cell)
{
	const struct call_equivalent *e = call_equivalent(t->call, lacking);
	const struct syscall_def *instead = syscall_find(e->instead);
	const struct filter_call *own, *other;
	const struct filter_rule *last;

	own = &get_model(p, lacking ^ 1, kernel_of(t, k), caps_of(t, cell))
		       ->calls[t->call->nr[lacking ^ 1]];
	last = own->n ? &own->rules[own->n - 1] : NULL;
	if (!last || last->n_conds || !policy_kind_allows(last->action.kind))
		return true; /* nothing that would be mapped */
	other = &get_model(p, lacking, kernel_of(t, k), caps_of(t, cell))
			 ->calls[instead->nr[lacking]];
	for (size_t i = 0; i < other->n; i++) {
		const struct filter_rule *rule = &other->rules[i];

		if (rule->rule->call == t->call ||
		    (!rule->n_conds && rule->action.kind == last->action.kind))
			return true;
		if (rule->action.kind == p->fallback.kind &&
		    rule->action.error == p->fallback.error)
			return false;
	}
	return false;
}

static bool is_mapped(struct printer *p, const struct table *t, enum arch lacking)
{
	for (size_t k = 0; k <= t->dims.n_kernels; k++)
		for (int c = 0; c < 1 << t->n_caps; c++)
			if (!is_mapped_in(p, t, lacking, k, c))
				return false;
	return true;
}

static void add_member(struct buf *out, const char *key, const char *value)
{
	buf_addf(out, "%s\"%s\": %s", out->len ? ", " : "", key, value);
}

static void print_kernel(const struct kver *v, struct buf *out)
{
	buf_addf(out, "\"%u.%u", v->part[0], v->part[1]);
	if (v->part[2])
		buf_addf(out, ".%u", v->part[2]);
	buf_adds(out, "\"");
}

/* "includes" and "excludes" of a cell; kernels first to last have the same entries. */
static void print_when(const struct table *t, int cell, unsigned int bits, bool by_arch,
		       size_t first, size_t last, struct buf *out)
{
	auto_cleanup(buf) in = {0}, ex = {0}, have = {0}, lack = {0}, text = {0};

	for (int i = 0; i < t->n_caps; i++) {
		struct buf *list = cell >> i & 1 ? &have : &lack;

		if (bits >> i & 1)
			buf_addf(list, "%s\"CAP_%s\"", list->len ? ", " : "[",
				 cap_name(t->caps[i]));
	}
	if (have.len) {
		buf_adds(&have, "]");
		add_member(&in, "caps", have.data);
	}
	if (lack.len) {
		buf_adds(&lack, "]");
		add_member(&ex, "caps", lack.data);
	}
	if (by_arch) {
		buf_addf(&text, "[\"%s\"]", arch_name(cell >> t->n_caps));
		add_member(&in, "arches", text.data);
	}
	if (first) {
		buf_reset(&text);
		print_kernel(&t->dims.kernels[first - 1], &text);
		add_member(&in, "minKernel", text.data);
	}
	if (last < t->dims.n_kernels) {
		buf_reset(&text);
		print_kernel(&t->dims.kernels[last], &text);
		add_member(&ex, "minKernel", text.data);
	}
	if (in.len)
		buf_addf(out, ",\n\t\t\t\"includes\": {%s}", in.data);
	if (ex.len)
		buf_addf(out, ",\n\t\t\t\"excludes\": {%s}", ex.data);
}

static void add_to_group(struct printer *p, const char *entry, const char *when, const char *name)
{
	auto_free char *text = str_printf("%s%s", entry, when);
	size_t i = 0;

	while (i < p->n_groups && !str_eq(p->groups[i].text, text))
		i++;
	if (i == p->n_groups) {
		p->groups = xreallocarray(p->groups, p->n_groups + 1, sizeof(*p->groups));
		p->groups[p->n_groups++] = (struct group){.text = take_ptr(text)};
	}
	strv_add(&p->groups[i].names, name);
}

static void add_call(struct printer *p, const struct syscall_def *call)
{
	auto_cleanup(table) t = {.call = call};
	const bool on_all = call->nr[ARCH_AMD64] >= 0 && call->nr[ARCH_ARM64] >= 0;
	const enum arch only = call->nr[ARCH_AMD64] >= 0 ? ARCH_AMD64 : ARCH_ARM64;
	unsigned int bits = 0;
	bool by_arch;

	fill_table(p, &t);
	for (int i = 0; i < t.n_caps; i++)
		bits |= (unsigned int)depends_on_bit(&t, i) << i;
	by_arch = on_all ? depends_on_bit(&t, t.n_caps)
			 : call_equivalent(call, only ^ 1) && !is_mapped(p, &t, only ^ 1);
	for (size_t first = 0, last; first <= t.dims.n_kernels; first = last + 1) {
		last = first;
		while (last < t.dims.n_kernels && same_kernel(&t, first, last + 1))
			last++;
		for (int c = 0; c < ARCH_COUNT << t.n_caps; c++) {
			const enum arch arch = c >> t.n_caps;
			const struct strv *entries = &t.entries[first][c];
			auto_cleanup(buf) when = {0};

			/* one of the cells that are the same stands for all */
			if (call->nr[arch] < 0 || (c & ((1 << t.n_caps) - 1) & ~bits) ||
			    (on_all && !by_arch && arch != ARCH_AMD64))
				continue;
			print_when(&t, c, bits, by_arch, first, last, &when);
			for (size_t i = 0; i < entries->n; i++)
				add_to_group(p, entries->items[i], when.data ? when.data : "",
					     call->name);
		}
	}
}

/* --- the whole -------------------------------------------------------------------------------- */

static size_t count_rules(const struct policy *policy, bool never, enum policy_kind kind)
{
	size_t n = 0;

	for (size_t i = 0; i < policy->n; i++)
		n += never ? policy->rules[i].when.never : policy->rules[i].action.kind == kind;
	for (size_t i = 0; i < policy->n_bases; i++)
		n += count_rules(&policy->bases[i], never, kind);
	return n;
}

static void say_lost(struct printer *p, const struct filter_model *model)
{
	const struct policy_settings *s = &p->policy->settings;
	const struct {
		bool is_lost;
		const char *text;
	} parts[] = {
		{s->env.has_preserve || s->env.preserve_all == TRI_NO || s->env.set.n ||
			 s->env.unset.n,
		 "env: the engine's own configuration has it"},
		{s->has_paths, "paths: engines do not set Landlock; use mounts"},
		{s->has_ports, "ports: engines do not set Landlock"},
		{s->has_caps, "capabilities: the engine's own configuration has them"},
		{s->has_namespaces, "namespaces: the engine's own configuration has them"},
		{s->network != NETWORK_UNSET, "network: the engine's own configuration has it"},
		{s->plugins.n > 0, "plugins: engines have none"},
		{count_rules(p->policy, false, POLICY_NOTIFY) > 0,
		 "notify: an engine needs an agent (listenerPath) that answers for these calls"},
		{count_rules(p->policy, true, 0) > 0,
		 "rules for architectures other than amd64 and arm64"},
		{p->policy->format != FORMAT_OCI && (model->unknown.kind != model->fallback.kind ||
						     model->unknown.error != model->fallback.error),
		 "unknown: calls newer than any name here get the default action"},
	};

	for (int i = 0; i < LIMIT_COUNT; i++)
		if (s->limits[i].is_set)
			strv_addf(p->lost, "limits: %s: profiles have no limits",
				  policy_limit_name(i));
	for (size_t i = 0; i < array_len(parts); i++)
		if (parts[i].is_lost)
			strv_add(p->lost, parts[i].text);
}

void policy_print_oci(const struct policy *policy, struct buf *out, struct strv *lost)
{
	auto_cleanup(printer) p = {.policy = policy, .lost = lost};
	auto_cleanup(filter_model) model = {0};
	const struct filter_target any = {.kernel = FILTER_NEWEST_KERNEL};

	if (filter_model_make(policy, &any, &model, NULL) < 0) {
		strv_add(lost,
			 "nothing says what happens to a call without a rule: EPERM is taken");
		model.fallback = (struct policy_action){POLICY_ERRNO, EPERM};
	}
	p.fallback = model.fallback;
	for (size_t i = 0; model.calls && i < syscall_count; i++) {
		const struct syscall_def *call = syscall_at(i);

		if (call->nr[ARCH_AMD64] >= 0 || call->nr[ARCH_ARM64] >= 0)
			add_call(&p, call);
	}
	say_lost(&p, &model);
	buf_adds(out, "{\n\t");
	print_action(&model.fallback, "defaultAction", "defaultErrnoRet", out);
	buf_adds(out, ",\n\t\"syscalls\": [");
	for (size_t i = 0; i < p.n_groups; i++) {
		const struct group *group = &p.groups[i];

		buf_addf(out, "%s\n\t\t{\n\t\t\t\"names\": [", i ? "," : "");
		for (size_t k = 0; k < group->names.n; k++)
			buf_addf(out, "%s\n\t\t\t\t\"%s\"", k ? "," : "", group->names.items[k]);
		buf_addf(out, "\n\t\t\t],\n\t\t\t%s\n\t\t}", group->text);
	}
	buf_addf(out, "%s]\n}\n", p.n_groups ? "\n\t" : "");
}
