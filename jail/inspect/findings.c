#include "jail/inspect/findings.h"

#include <stdlib.h>
#include <string.h>

const char *finding_kind_name(enum finding_kind kind)
{
	static const char *const names[FINDING_KINDS] = {
		[FINDING_READER] = "reader",
		[FINDING_DEAD] = "dead",
		[FINDING_NO_EFFECT] = "no-effect",
		[FINDING_DANGER] = "danger",
		[FINDING_GAP] = "gap",
		[FINDING_AGE] = "age",
	};

	return names[kind];
}

void findings_deinit(struct findings *findings)
{
	for (size_t i = 0; i < findings->n; i++)
		free(findings->items[i].text);
	free(findings->items);
	*findings = (struct findings){0};
}

void findings_add(struct findings *findings, struct finding finding)
{
	for (size_t i = findings->n; i-- > 0;) {
		struct finding *other = &findings->items[i];

		if (other->kind == finding.kind && other->at.line == finding.at.line &&
		    other->at.column == finding.at.column && other->call == finding.call &&
		    other->subject == finding.subject && other->instead == finding.instead &&
		    str_eq(other->file, finding.file) && str_eq(other->text, finding.text)) {
			other->arches |= finding.arches;
			free(finding.text);
			return;
		}
	}
	if (findings->n == FINDINGS_MAX) {
		free(finding.text);
		return;
	}
	if (findings->n == findings->cap) {
		findings->cap = findings->cap ? 2 * findings->cap : 64;
		findings->items =
			xreallocarray(findings->items, findings->cap, sizeof(*findings->items));
	}
	findings->items[findings->n++] = finding;
}

static int compare(const void *va, const void *vb)
{
	const struct finding *a = va, *b = vb;
	int r = strcmp(a->file, b->file);

	if (r)
		return r;
	if (a->at.line != b->at.line)
		return a->at.line < b->at.line ? -1 : 1;
	if (a->at.column != b->at.column)
		return a->at.column < b->at.column ? -1 : 1;
	if (a->is_note != b->is_note)
		return a->is_note ? 1 : -1;
	r = strcmp(a->text, b->text);
	return r || !a->subject || !b->subject ? r : strcmp(a->subject, b->subject);
}

void findings_sort(struct findings *findings)
{
	if (findings->n)
		qsort(findings->items, findings->n, sizeof(*findings->items), compare);
}
