/*
 * cleanup.h - resources that end with their scope.
 *
 * Initialise at declaration (`auto_close int fd = -1;`, `auto_free char *s = NULL;`); hand over
 * with take_fd()/take_ptr(). All cleanups leave errno alone and accept the empty value.
 * DEFINE_CLEANUP(type, fn) next to a type gives it `auto_cleanup(type)`: fn(type *) runs at the end
 * of the scope. ("unused" is for clang, which does not count the cleanup as a use.)
 */
#ifndef BASE_CLEANUP_H
#define BASE_CLEANUP_H

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define auto_cleanup(type) __attribute__((cleanup(cleanup_##type), unused)) struct type

#define DEFINE_CLEANUP(type, fn)                          \
	static inline void cleanup_##type(struct type *p) \
	{                                                 \
		int saved = errno;                        \
		fn(p);                                    \
		errno = saved;                            \
	}

static inline void cleanup_free(void *p)
{
	int saved = errno;

	free(*(void **)p);
	errno = saved;
}

static inline void cleanup_close(int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		close(*fd);
	errno = saved;
}

static inline void cleanup_fclose(FILE **f)
{
	int saved = errno;

	if (*f)
		fclose(*f);
	errno = saved;
}

static inline void cleanup_closedir(DIR **d)
{
	int saved = errno;

	if (*d)
		closedir(*d);
	errno = saved;
}

#define auto_free __attribute__((cleanup(cleanup_free), unused))
#define auto_close __attribute__((cleanup(cleanup_close), unused))
#define auto_fclose __attribute__((cleanup(cleanup_fclose), unused))
#define auto_closedir __attribute__((cleanup(cleanup_closedir), unused))

#define take_ptr(p)                        \
	({                                 \
		__typeof__(p) taken = (p); \
		(p) = NULL;                \
		taken;                     \
	})

static inline int take_fd_from(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

#define take_fd(fd) take_fd_from(&(fd))

#define array_len(a) (sizeof(a) / sizeof((a)[0]))

#endif
