#include "lab/run/plan.h"

#include <stdio.h>

static bool has_option(const void *kernel, const char *option)
{
	char c = kernel_config_option(kernel, option);

	return c == 'y' || c == 'm';
}

const struct expect *plan_expectation(const struct scenario *s, const struct kernel *k)
{
	return scenario_expectation(s, &k->kver, k->arch, has_option, k);
}

/* Why the scenario does not apply to this kernel (allocated), or NULL. */
static char *skip_reason(const struct scenario *s, const struct kernel *k)
{
	if (!(s->archs & (1U << k->arch)))
		return str_printf("not for %s", arch_name(k->arch));
	if (!kver_in_range(&k->kver, &s->requires_kernel)) {
		auto_cleanup(buf) range = {0};

		kver_range_print(&range, &s->requires_kernel);
		return str_printf("requires kernel %s, this is %s", range.data, k->version);
	}
	/* a kernel that is only described (a dry run) has no configuration yet */
	for (size_t i = 0; k->image && i < s->requires_config.n; i++) {
		const char *option = s->requires_config.items[i];
		char c = kernel_config_option(k, option);

		if (c == 'n')
			return str_printf("requires CONFIG_%s, which %s lacks",
					  option + (str_starts(option, "CONFIG_") ? 7 : 0),
					  k->name);
		if (c == '?')
			return str_printf(
				"requires CONFIG_%s, and the configuration of %s is not known",
				option + (str_starts(option, "CONFIG_") ? 7 : 0), k->name);
	}
	if (s->n_expects && !plan_expectation(s, k))
		return str_printf("no entry of expect applies to %s on %s", k->version,
				  arch_name(k->arch));
	return NULL;
}

void plan_build(const struct kernel *kernels, size_t n_kernels, const struct scenario *scenarios,
		size_t n_scenarios, unsigned int repeat, struct plan *ret)
{
	struct plan p = {.cells = xcalloc(n_kernels * n_scenarios * repeat, sizeof(*p.cells))};

	for (size_t k = 0; k < n_kernels; k++)
		for (size_t s = 0; s < n_scenarios; s++)
			for (unsigned int r = 1; r <= repeat; r++) {
				struct cell *c = &p.cells[p.n++];
				char again[16] = "";

				if (r > 1)
					snprintf(again, sizeof(again), "@%u", r);
				c->kernel = &kernels[k];
				c->scenario = &scenarios[s];
				c->repeat = r;
				c->dir = str_printf("%s-%s/%s%s", kernels[k].name,
						    arch_name(kernels[k].arch), scenarios[s].name,
						    again);
				c->skip = skip_reason(&scenarios[s], &kernels[k]);
			}
	*ret = p;
}

void plan_deinit(struct plan *p)
{
	for (size_t i = 0; i < p->n; i++) {
		free(p->cells[i].dir);
		free(p->cells[i].skip);
	}
	free(p->cells);
	*p = (struct plan){0};
}

static json_t *strings_json(const struct strv *v)
{
	json_t *list = json_array();

	for (size_t i = 0; i < v->n; i++)
		json_array_append_new(list, json_string(v->items[i]));
	return list;
}

static json_t *cell_json(const struct cell *c)
{
	const struct scenario *s = c->scenario;
	const struct expect *e = plan_expectation(s, c->kernel);
	json_t *j = json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:b, s:s?}", "cell", c->dir,
			      "scenario", s->name, "kernel", c->kernel->name, "version",
			      c->kernel->version, "arch", arch_name(c->kernel->arch), "timeout_ms",
			      (json_int_t)s->timeout_ms, "trace", s->trace, "skip", c->skip);

	json_object_set_new(j, "argv", strings_json(&s->argv));
	if (s->jailed)
		json_object_set_new(j, "jail", strings_json(&s->jail_args));
	if (s->modules.n)
		json_object_set_new(j, "modules", strings_json(&s->modules));
	if (s->packages.n)
		json_object_set_new(j, "packages", strings_json(&s->packages));
	if (e)
		json_object_set_new(j, "expect_line", json_integer(e->line));
	return j;
}

json_t *plan_json(const struct plan *p)
{
	json_t *cells = json_array();

	for (size_t i = 0; i < p->n; i++)
		json_array_append_new(cells, cell_json(&p->cells[i]));
	return json_pack("{s:i, s:o}", "schema", 1, "cells", cells);
}
