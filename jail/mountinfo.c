#include "jail/mountinfo.h"

#include <string.h>
#include <sys/mount.h>

#include "jail/base/str.h"

enum { POINT_FIELD = 5, OPTIONS_FIELD = 6 };

/* Blanks, newlines and backslashes are written as \ooo. */
static void unescape(char *s)
{
	char *to = s;

	for (; *s; s++) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' && s[2] <= '7' &&
		    s[3] >= '0' && s[3] <= '7') {
			*to++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
			s += 3;
		} else {
			*to++ = *s;
		}
	}
	*to = '\0';
}

static unsigned long parse_flags(char *options)
{
	static const struct {
		const char *name;
		unsigned long flag;
	} known[] = {
		{"ro", MS_RDONLY},	   {"nosuid", MS_NOSUID},   {"nodev", MS_NODEV},
		{"noexec", MS_NOEXEC},	   {"noatime", MS_NOATIME}, {"nodiratime", MS_NODIRATIME},
		{"relatime", MS_RELATIME},
	};
	unsigned long flags = 0;
	char *rest;

	for (char *word = strtok_r(options, ",", &rest); word; word = strtok_r(NULL, ",", &rest))
		for (size_t i = 0; i < array_len(known); i++)
			if (str_eq(word, known[i].name))
				flags |= known[i].flag;
	return flags;
}

int mountinfo_next(char **cursor, struct mountinfo *ret)
{
	char *line = *cursor, *end, *rest, *word, *point = NULL, *options = NULL;
	int field = 0;

	if (!*line)
		return 0;
	end = strchr(line, '\n');
	if (!end)
		return -EINVAL;
	*end = '\0';
	for (word = strtok_r(line, " ", &rest); word && !options;
	     word = strtok_r(NULL, " ", &rest)) {
		field++;
		if (field == POINT_FIELD)
			point = word;
		if (field == OPTIONS_FIELD)
			options = word;
	}
	if (!options || *point != '/')
		return -EINVAL;
	unescape(point);
	*ret = (struct mountinfo){point, parse_flags(options)};
	*cursor = end + 1;
	return 1;
}

bool mountinfo_is_below(const char *point, const char *dir)
{
	size_t len = strlen(dir);

	if (len == 1 && *dir == '/')
		return true;
	return strncmp(point, dir, len) == 0 && (point[len] == '\0' || point[len] == '/');
}
