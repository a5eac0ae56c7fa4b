#include "lab/vmcore/vmcore-file.h"

static int by_offset(const void *a, const void *b)
{
	const struct vm_run *x = a, *y = b;
	uint64_t dx = x->virtual - x->physical, dy = y->virtual - y->physical;

	return dx < dy ? -1 : dx > dy;
}

/* Virtual minus physical addresses of most memory: the direct map's. False: nothing is mapped. */
static bool find_direct(const struct vm_runs *runs, uint64_t *ret)
{
	auto_free struct vm_run *sorted = xcalloc(runs->n + 1, sizeof(*sorted));
	uint64_t most = 0, sum = 0;

	for (size_t i = 0; i < runs->n; i++)
		sorted[i] = runs->items[i];
	qsort(sorted, runs->n, sizeof(*sorted), by_offset);
	for (size_t i = 0; i < runs->n; i++) {
		sum = (i && by_offset(&sorted[i - 1], &sorted[i]) == 0 ? sum : 0) + sorted[i].len;
		if (sum > most) {
			most = sum;
			*ret = sorted[i].virtual - sorted[i].physical;
		}
	}
	return most > 0;
}

void vm_map_list(struct vmcore *v, struct vm_runs *ret)
{
	auto_cleanup(vm_runs) runs = {0};
	uint64_t direct = 0, stext = 0;
	bool has_direct;

	vm_paging_list(v, &runs);
	has_direct = find_direct(&runs, &direct);
	/* whole, although the kernel takes single pages out of it (KFENCE's guards, say) */
	for (size_t i = 0; i < v->n_ranges && i < VM_MAP_MAX; i++)
		vm_runs_add(ret, (struct vm_run){has_direct ? v->ranges[i].address + direct : 0,
						 v->ranges[i].address, v->ranges[i].len});
	/* the image first: it is what must not fall to VM_MAP_MAX */
	vmcoreinfo_number(&v->info, "SYMBOL(_stext)", &stext);
	for (int others = 0; others < 2; others++)
		for (size_t i = 0; i < runs.n && ret->n < VM_MAP_MAX; i++) {
			const struct vm_run *r = &runs.items[i];
			bool is_image = stext - r->virtual < r->len;

			if (r->virtual - r->physical != direct && is_image == !others)
				vm_runs_add(ret, *r);
		}
}
