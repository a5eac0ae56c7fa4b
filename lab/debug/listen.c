#include "lab/debug/listen.h"

#include <ctype.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netdb.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "jail/base/io.h"

enum {
	BACKLOG = 8,
	TABLE_MAX = 4 << 20, /* of /proc/net/tcp */
	PORT_MAX = 65535,
};

pid_t listen_peer(int fd)
{
	struct ucred peer = {.pid = -1};
	socklen_t len = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0 || peer.pid <= 0)
		return -1;
	return peer.pid;
}

/* "in use by gdb, process 12", as far as it is known; allocated. */
static char *in_use_by(pid_t pid)
{
	auto_free char *path = str_printf("/proc/%d/comm", (int)pid);
	auto_cleanup(buf) name = {0}, text = {0};

	if (pid <= 0)
		return xstrdup("in use");
	if (io_read_file(AT_FDCWD, path, 100, &name, NULL) == 0 && name.len > 1)
		str_printable(&text, name.data, name.len - 1, 50, false);
	return str_printf("in use by %s, process %d", text.data ? text.data : "another program",
			  (int)pid);
}

/* --- unix sockets --- */

/* Whether somebody listens there, and who. What nobody listens on any more is removed. */
static int take_place(const struct sockaddr_un *addr, struct err *err)
{
	auto_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	auto_free char *holder = NULL;
	struct stat st;

	if (fd < 0)
		return err_errno(err, "socket");
	if (lstat(addr->sun_path, &st) < 0)
		return errno == ENOENT ? 0 : err_errno(err, "%s", addr->sun_path);
	if (!S_ISSOCK(st.st_mode))
		return err_set(err, EADDRINUSE, "%s is there already, and no socket",
			       addr->sun_path);
	if (connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) < 0 && errno == ECONNREFUSED)
		return unlink(addr->sun_path) < 0 ? err_errno(err, "remove %s", addr->sun_path) : 0;
	holder = in_use_by(listen_peer(fd));
	return err_set(err, EADDRINUSE, "%s is %s", addr->sun_path, holder);
}

static int on_unix(const char *path, char **address, struct err *err)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	auto_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int r;

	if (fd < 0)
		return err_errno(err, "socket");
	if (strlen(path) >= sizeof(addr.sun_path))
		return err_set(err, ENAMETOOLONG, "%s: a socket's path has at most %zu characters",
			       path, sizeof(addr.sun_path) - 1);
	strcpy(addr.sun_path, path);
	r = take_place(&addr, err);
	if (r < 0)
		return r;
	/* before it has a name: nobody else ever reaches it */
	if (fchmod(fd, 0600) < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
	    listen(fd, BACKLOG) < 0)
		return err_errno(err, "listen on %s", path);
	*address = xstrdup(path);
	return take_fd(fd);
}

/* --- TCP --- */

/* The process that has a socket of this inode open; -1: none of those that may be looked at. */
static pid_t owner_of(const char *inode)
{
	auto_free char *want = str_printf("socket:[%s]", inode);
	auto_closedir DIR *proc = opendir("/proc");
	struct dirent *e, *f;

	while (proc && (e = readdir(proc))) {
		auto_free char *path = str_printf("/proc/%s/fd", e->d_name);
		auto_closedir DIR *fds = isdigit((uint8_t)e->d_name[0]) ? opendir(path) : NULL;

		while (fds && (f = readdir(fds))) {
			char link[64] = "";

			if (readlinkat(dirfd(fds), f->d_name, link, sizeof(link) - 1) > 0 &&
			    str_eq(link, want))
				return atoi(e->d_name);
		}
	}
	return -1;
}

/* Who listens on a port of any of this host's addresses (proc(5): /proc/net/tcp). */
static pid_t port_holder(unsigned int port)
{
	static const char *const tables[] = {"/proc/net/tcp", "/proc/net/tcp6"};

	for (size_t i = 0; i < array_len(tables); i++) {
		auto_cleanup(buf) table = {0};
		char *line, *save = NULL;

		if (io_read_file(AT_FDCWD, tables[i], TABLE_MAX, &table, NULL) < 0 || !table.data)
			continue;
		for (line = strtok_r(table.data, "\n", &save); line;
		     line = strtok_r(NULL, "\n", &save)) {
			unsigned int at, state;
			char inode[24];

			if (sscanf(line, " %*d: %*[0-9A-Fa-f]:%x %*s %x %*s %*s %*s %*s %*s %23s",
				   &at, &state, inode) == 3 &&
			    at == port && state == 0x0a)
				return owner_of(inode);
		}
	}
	return -1;
}

static int bind_to(const struct addrinfo *a, const char *where, char **address, struct err *err)
{
	auto_close int fd =
		socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, a->ai_protocol);
	struct sockaddr_storage got = {0};
	socklen_t len = sizeof(got);
	char host[NI_MAXHOST], port[NI_MAXSERV];
	int on = 1;

	if (fd < 0)
		return err_errno(err, "socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, a->ai_addr, a->ai_addrlen) < 0 || listen(fd, BACKLOG) < 0) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)a->ai_addr;
		auto_free char *holder = NULL;

		if (errno != EADDRINUSE)
			return err_errno(err, "listen on %s", where);
		/* the port is at the same place in an IPv6 address */
		holder = in_use_by(port_holder(ntohs(in->sin_port)));
		return err_set(err, EADDRINUSE, "port %u is %s", ntohs(in->sin_port), holder);
	}
	if (getsockname(fd, (struct sockaddr *)&got, &len) < 0 ||
	    getnameinfo((struct sockaddr *)&got, len, host, sizeof(host), port, sizeof(port),
			NI_NUMERICHOST | NI_NUMERICSERV))
		return err_set(err, EIO, "%s: which port it became is not known", where);
	*address = str_printf(strchr(host, ':') ? "[%s]:%s" : "%s:%s", host, port);
	return take_fd(fd);
}

static int on_tcp(const char *where, char **address, struct err *err)
{
	const char *colon = strrchr(where, ':'), *port = colon ? colon + 1 : where;
	auto_free char *host = colon && colon > where ? xstrndup(where, colon - where) : NULL;
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
	struct addrinfo *found = NULL;
	const char *name = host ? host : "127.0.0.1";
	uint64_t number;
	int r;

	if (str_to_u64(port, 0, PORT_MAX, &number) < 0)
		return err_set(err, EINVAL,
			       "'%s' is no place to listen: unix:/PATH, HOST:PORT or PORT", where);
	if (host && host[0] == '[' && str_ends(host, "]")) {
		host[strlen(host) - 1] = 0;
		name = host + 1;
	}
	r = getaddrinfo(name, port, &hints, &found);
	if (r)
		return err_set(err, EINVAL, "'%s': %s", where, gai_strerror(r));
	r = bind_to(found, where, address, err);
	freeaddrinfo(found);
	return r;
}

int listen_on(const char *where, char **address, struct err *err)
{
	const char *path = str_starts(where, "unix:") ? where + 5 : where;

	if (path[0] == '/')
		return on_unix(path, address, err);
	if (path != where)
		return err_set(err, EINVAL, "'%s': the socket's path is to be absolute", where);
	return on_tcp(where, address, err);
}
