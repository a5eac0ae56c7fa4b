#include "jail/plan/mountinfo.h"

#include <errno.h>
#include <string.h>

enum { POINT_FIELD = 5 };

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

int mountinfo_next(char **cursor, const char **ret)
{
	char *line = *cursor, *end, *rest, *word;

	if (!*line)
		return 0;
	end = strchr(line, '\n');
	if (!end)
		return -EINVAL;
	*end = '\0';
	word = strtok_r(line, " ", &rest);
	for (int field = 1; word && field < POINT_FIELD; field++)
		word = strtok_r(NULL, " ", &rest);
	if (!word || *word != '/')
		return -EINVAL;
	unescape(word);
	*ret = word;
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
