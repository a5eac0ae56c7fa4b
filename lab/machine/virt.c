#include "lab/machine/virt.h"

#include <fcntl.h>
#include <inttypes.h>
#include <libvirt/libvirt-qemu.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include <libxml/uri.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>

#include "jail/base/io.h"
#include "lab/machine/guardian.h"
#include "lab/machine/qemu.h"
#include "lab/machine/virt-root.h"

enum {
	KILL_MS = 3000,	 /* until a killed QEMU must be gone */
	DYING_MAX = 128, /* machines that end at once; beyond it one waits a little longer */
	KEEPALIVE_S = 5, /* a daemon is asked that often for a sign of life */
	KEEPALIVE_TRIES = 6,
	LOG_MAX_BYTES = 1 << 20,
	LINE_MAX_BYTES = 250,
};

struct virt_machine {
	struct virt *v;
	struct virt_machine *next;
	char *name;
	virDomainPtr dom;
	_Atomic enum virt_state state;
	atomic_bool died, reset;
	int event_fd, pidfd;
	pid_t pid;
};

struct virt {
	virConnectPtr conn;
	struct virt_root root;	   /* of the embedded driver; else only a folder for sockets */
	bool embedded, privileged; /* privileged: a daemon that runs as root */
	int callback, monitor;	   /* numbers of what was registered; -1 */
	char *describe;
	pthread_mutex_t lock; /* of machines */
	struct virt_machine *machines;
};

/* libvirt's last error of this thread as ours. It may have several lines, and holds guest's names.
 */
static int virt_error(struct err *err, const char *what)
{
	const virError *e = virGetLastError();
	auto_cleanup(buf) text = {0};
	size_t len = e && e->message ? strlen(e->message) : 0;

	while (len && e->message[len - 1] == '\n')
		len--;
	if (len)
		str_printable(&text, e->message, len, 400, false);
	return err_set(err, EIO, "%s: %s", what, text.data ? text.data : "libvirt gives no reason");
}

static void silent(void *data, virErrorPtr error)
{
	(void)data;
	(void)error;
}

static void *run_events(void *unused)
{
	while (virEventRunDefaultImpl() == 0)
		;
	return unused;
}

static int start_result;

/* Once for the process: libvirt has one event loop, and the embedded driver hangs without it. */
static void start_libvirt(void)
{
	sigset_t all, old;
	pthread_t loop;

	/* Its log goes to stderr unless told otherwise; ours says what matters. */
	setenv("LIBVIRT_LOG_OUTPUTS", "4:file:/dev/null", 0);
	virSetErrorFunc(NULL, silent);
	start_result = -EIO;
	if (virInitialize() < 0 || virEventRegisterDefaultImpl() < 0)
		return;
	/* Signals are for the main thread. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	start_result = -pthread_create(&loop, NULL, run_events, NULL);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (start_result == 0)
		pthread_detach(loop);
}

static void set_state(struct virt_machine *m, enum virt_state state)
{
	/* Off is the end: an event that is late does not revive it. */
	if (atomic_load(&m->state) == VIRT_OFF)
		return;
	atomic_store(&m->state, state);
	eventfd_write(m->event_fd, 1);
}

static struct virt_machine *find_machine(struct virt *v, virDomainPtr dom)
{
	const char *name = virDomainGetName(dom);
	struct virt_machine *m = v->machines;

	while (m && (!name || !str_eq(m->name, name)))
		m = m->next;
	return m;
}

/* Of a reset libvirt says what it says of a power-off: QEMU's own words come by another way. */
static void on_shutdown(virConnectPtr conn, virDomainPtr dom, const char *event, long long seconds,
			unsigned int micros, const char *details, void *data)
{
	struct virt *v = data;
	struct virt_machine *m;

	(void)conn, (void)event, (void)seconds, (void)micros;
	pthread_mutex_lock(&v->lock);
	m = find_machine(v, dom);
	if (m && details && strstr(details, "\"guest-reset\""))
		atomic_store(&m->reset, true);
	pthread_mutex_unlock(&v->lock);
}

static int on_lifecycle(virConnectPtr conn, virDomainPtr dom, int event, int detail, void *data)
{
	struct virt *v = data;
	struct virt_machine *m;

	(void)conn;
	pthread_mutex_lock(&v->lock);
	m = find_machine(v, dom);
	if (m && event == VIR_DOMAIN_EVENT_STOPPED) {
		atomic_store(&m->died, detail != VIR_DOMAIN_EVENT_STOPPED_SHUTDOWN);
		set_state(m, VIRT_OFF);
	} else if (m && event == VIR_DOMAIN_EVENT_CRASHED) {
		set_state(m, VIRT_CRASHED);
	} else if (m && event == VIR_DOMAIN_EVENT_SUSPENDED &&
		   atomic_load(&m->state) != VIRT_CRASHED) {
		set_state(m, VIRT_PAUSED);
	} else if (m && event == VIR_DOMAIN_EVENT_RESUMED) {
		set_state(m, VIRT_RUNNING);
	}
	pthread_mutex_unlock(&v->lock);
	return 0;
}

static int check_parts(const char *uri, xmlURIPtr u, struct err *err)
{
	if (!u || !u->scheme || (!str_eq(u->scheme, "qemu") && !str_starts(u->scheme, "qemu+")))
		return err_set(err, EINVAL,
			       "%s: machines are QEMU's: name qemu:///session or qemu:///system",
			       uri);
	if ((u->server && *u->server) || str_starts(u->scheme, "qemu+ext"))
		return err_set(err, EINVAL,
			       "%s: a remote host's consoles and channels cannot be reached from "
			       "here: run lab there",
			       uri);
	if (!u->path || (!str_eq(u->path, "/session") && !str_eq(u->path, "/system")))
		return err_set(err, EINVAL, "%s: name qemu:///session or qemu:///system", uri);
	return 0;
}

int virt_check_uri(const char *uri, struct err *err)
{
	xmlURIPtr u = xmlParseURI(uri);
	int r = check_parts(uri, u, err);

	xmlFreeURI(u);
	return r;
}

static int connect_to(struct virt *v, const char *uri, struct err *err)
{
	const virError *e;

	v->conn = virConnectOpen(uri);
	if (v->conn && !v->embedded)
		virConnectSetKeepAlive(v->conn, KEEPALIVE_S, KEEPALIVE_TRIES);
	if (v->conn)
		return 0;
	e = virGetLastError();
	if (v->embedded && e && e->code == VIR_ERR_NO_CONNECT)
		return err_set(
			err, ENOENT,
			"libvirt has no embedded QEMU driver here (on Debian: apt-get install "
			"libvirt-daemon-driver-qemu)");
	return virt_error(err, uri);
}

static char *describe(struct virt *v, const char *uri)
{
	auto_free char *qemu = qemu_find(arch_native(), NULL), *version = NULL;
	unsigned long lib = 0, hv = 0;

	virGetVersion(&lib, NULL, NULL);
	/* Asking the embedded driver would have it probe an emulator that may not be used. */
	if (v->embedded)
		version = qemu ? qemu_version(qemu, NULL) : NULL;
	else if (virConnectGetVersion(v->conn, &hv) == 0 && hv)
		version = str_printf("%lu.%lu.%lu", hv / 1000000, hv / 1000 % 1000, hv % 1000);
	return str_printf("QEMU %s, libvirt %lu.%lu.%lu, %s", version ? version : "?",
			  lib / 1000000, lib / 1000 % 1000, lib % 1000, uri);
}

static int open_connection(struct virt *v, const char *uri, struct err *err)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	int r = v->embedded ? 0 : virt_check_uri(uri, err);

	if (r == 0)
		r = virt_root_open(&v->root, err);
	if (r < 0)
		return r;
	pthread_once(&once, start_libvirt);
	if (start_result < 0)
		return virt_error(err, "start libvirt");
	r = connect_to(v, v->embedded ? v->root.uri : uri, err);
	if (r < 0)
		return r;
	v->callback =
		virConnectDomainEventRegisterAny(v->conn, NULL, VIR_DOMAIN_EVENT_ID_LIFECYCLE,
						 VIR_DOMAIN_EVENT_CALLBACK(on_lifecycle), v, NULL);
	if (v->callback < 0)
		return virt_error(err, "watch machines");
	v->monitor = virConnectDomainQemuMonitorEventRegister(v->conn, NULL, "SHUTDOWN",
							      on_shutdown, v, NULL, 0);
	v->describe = describe(v, v->embedded ? "qemu:///embed" : uri);
	return 0;
}

int virt_open(const char *uri, struct virt **ret, struct err *err)
{
	struct virt *v = xcalloc(1, sizeof(*v));
	int r;

	v->root.lock = v->callback = v->monitor = -1;
	v->embedded = !uri;
	v->privileged = uri && strstr(uri, ":///system");
	pthread_mutex_init(&v->lock, NULL);
	r = open_connection(v, uri, err);
	if (r < 0) {
		virt_close(v);
		return r;
	}
	*ret = v;
	return 0;
}

bool virt_is_embedded(const struct virt *v)
{
	return v->embedded;
}

const char *virt_run_dir(const struct virt *v)
{
	return v->root.dir;
}

const char *virt_describe(const struct virt *v)
{
	return v->describe;
}

static void add_machine(struct virt *v, struct virt_machine *m)
{
	pthread_mutex_lock(&v->lock);
	m->next = v->machines;
	v->machines = m;
	pthread_mutex_unlock(&v->lock);
}

static void remove_machine(struct virt *v, struct virt_machine *m)
{
	pthread_mutex_lock(&v->lock);
	for (struct virt_machine **p = &v->machines; *p; p = &(*p)->next)
		if (*p == m) {
			*p = m->next;
			break;
		}
	pthread_mutex_unlock(&v->lock);
}

void virt_close(struct virt *v)
{
	if (!v)
		return;
	while (v->machines)
		virt_machine_destroy(v->machines);
	if (v->callback >= 0)
		virConnectDomainEventDeregisterAny(v->conn, v->callback);
	if (v->monitor >= 0)
		virConnectDomainQemuMonitorEventDeregister(v->conn, v->monitor);
	if (v->conn)
		virConnectClose(v->conn);
	virt_root_close(&v->root);
	pthread_mutex_destroy(&v->lock);
	free(v->describe);
	free(v);
}

/* The emulator to name in the XML: the one asked for or found, wrapped when there is a guardian. */
static int choose_emulator(struct virt *v, const struct machine_spec *spec, char **ret,
			   struct err *err)
{
	auto_free char *qemu = NULL, *dir = NULL;

	if (!v->embedded) {
		*ret = xstrdup(spec->emulator);
		return 0;
	}
	qemu = spec->emulator ? xstrdup(spec->emulator) : qemu_find(spec->arch, err);
	if (!qemu)
		return err ? -err->code : -ENOENT;
	if (!guardian_pid()) {
		*ret = take_ptr(qemu);
		return 0;
	}
	dir = qemu_cache_dir(qemu, err);
	if (!dir)
		return err ? -err->code : -EIO;
	return guardian_wrap_qemu(dir, qemu, ret, err);
}

int virt_check_arch(struct virt *v, enum arch arch, struct err *err)
{
	struct machine_spec spec = {.arch = arch};
	auto_free char *qemu = NULL, *version = NULL, *emulator = NULL;

	if (!v->embedded)
		return 0;
	qemu = qemu_find(arch, err);
	version = qemu ? qemu_version(qemu, err) : NULL;
	if (!version)
		return err ? -err->code : -EIO;
	return choose_emulator(v, &spec, &emulator, err);
}

/* Hold on to the process itself: a pid may be somebody else's a moment later. */
static void find_process(struct virt *v, struct virt_machine *m)
{
	if (!v->embedded)
		return;
	m->pid = virt_root_pid(&v->root, m->name);
	if (m->pid > 0)
		m->pidfd = (int)syscall(SYS_pidfd_open, m->pid, 0);
}

static int create(struct virt *v, struct virt_machine *m, const struct machine_spec *asked,
		  struct err *err)
{
	struct machine_spec spec = *asked;
	unsigned int flags = 0;
	auto_free char *emulator = NULL, *xml = NULL;
	int r = choose_emulator(v, asked, &emulator, err);

	if (r < 0)
		return r;
	spec.emulator = emulator;
	spec.guardian = v->embedded ? guardian_pid() : 0;
	spec.as_user = v->privileged;
	spec.uid = geteuid();
	spec.gid = getegid();
	/* The embedded driver does not know that flag; there the guardian sees to it. */
	if (!v->embedded)
		flags |= VIR_DOMAIN_START_AUTODESTROY;
	if (spec.console_socket || spec.paused)
		flags |= VIR_DOMAIN_START_PAUSED;
	xml = domain_xml(&spec, err);
	if (!xml)
		return err ? -err->code : -EINVAL;
	m->dom = virDomainCreateXML(v->conn, xml, flags);
	if (!m->dom)
		return virt_error(err, "start the machine");
	find_process(v, m);
	return 0;
}

int virt_start(struct virt *v, const struct machine_spec *spec, struct virt_machine **ret,
	       struct err *err)
{
	struct virt_machine *m = xcalloc(1, sizeof(*m));
	int r;

	m->v = v;
	m->pid = m->pidfd = -1;
	m->name = xstrdup(spec->name);
	m->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r = m->event_fd < 0 ? err_errno(err, "eventfd") : 0;
	/* Listed before it starts: its first events find it. */
	add_machine(v, m);
	if (r == 0)
		r = create(v, m, spec, err);
	if (r < 0) {
		virt_machine_destroy(m);
		return r;
	}
	*ret = m;
	return 0;
}

int virt_machine_resume(struct virt_machine *m, struct err *err)
{
	return virDomainResume(m->dom) < 0 ? virt_error(err, "let the machine go") : 0;
}

int virt_machine_monitor(struct virt_machine *m, const char *command, struct buf *out,
			 struct err *err)
{
	char *said = NULL;

	if (virDomainQemuMonitorCommand(m->dom, command, &said,
					VIR_DOMAIN_QEMU_MONITOR_COMMAND_HMP) < 0)
		return virt_error(err, "ask QEMU's monitor");
	if (said)
		buf_adds(out, said);
	free(said);
	return 0;
}

int virt_machine_dump(struct virt_machine *m, const char *path, enum dump_form form,
		      struct err *err)
{
	unsigned int format = form == DUMP_ELF ? VIR_DOMAIN_CORE_DUMP_FORMAT_RAW
					       : VIR_DOMAIN_CORE_DUMP_FORMAT_KDUMP_ZLIB;
	int r;

	if (virDomainCoreDumpWithFormat(m->dom, path, format, VIR_DUMP_MEMORY_ONLY) == 0)
		return 0;
	r = virt_error(err, "dump the guest's memory");
	if (err && strstr(err->msg, "cannot execute") && strstr(err->msg, "libvirt_iohelper"))
		r = err_set(err, ENOENT,
			    "libvirt_iohelper is missing, by which libvirt writes dumps (on "
			    "Debian: apt-get install libvirt-daemon)");
	return r;
}

int virt_machine_nmi(struct virt_machine *m, struct err *err)
{
	return virDomainInjectNMI(m->dom, 0) < 0 ? virt_error(err, "send an NMI") : 0;
}

enum virt_state virt_machine_state(struct virt_machine *m)
{
	return atomic_load(&m->state);
}

bool virt_machine_died(struct virt_machine *m)
{
	return atomic_load(&m->died);
}

bool virt_machine_was_reset(struct virt_machine *m)
{
	return atomic_load(&m->reset);
}

/* libvirt logs the command line too, one argument a line; QEMU's own lines say "NAME: text". */
char *virt_machine_last_words(struct virt_machine *m)
{
	auto_free char *path = NULL;
	auto_cleanup(buf) log = {0}, said = {0};
	char *line, *at, *save = NULL;

	if (!m->v->embedded)
		return NULL;
	path = str_printf("%s/v/log/qemu/%s.log", m->v->root.dir, m->name);
	if (io_read_file(AT_FDCWD, path, LOG_MAX_BYTES, &log, NULL) < 0 || !log.data)
		return NULL;
	for (line = strtok_r(log.data, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		at = strstr(line, "qemu-system-");
		if (!at || !strstr(at, ": "))
			continue;
		buf_reset(&said);
		str_printable(&said, at, strlen(at), LINE_MAX_BYTES, false);
	}
	return take_ptr(said.data);
}

int virt_machine_event_fd(struct virt_machine *m)
{
	return m->event_fd;
}

pid_t virt_machine_pid(struct virt_machine *m)
{
	return m->pid;
}

/* QEMUs that were killed and may not be gone yet; 0: a free place. */
static _Atomic pid_t dying[DYING_MAX];

static bool is_dying(pid_t pid)
{
	for (size_t i = 0; i < DYING_MAX; i++)
		if (pid > 0 && atomic_load(&dying[i]) == pid)
			return true;
	return false;
}

/* Until its parent (the guardian) has reaped it, a process takes signals. */
static void wait_until_reaped(pid_t pid)
{
	int64_t limit = io_now_ms() + KILL_MS;

	while (syscall(SYS_kill, pid, 0) == 0 && io_now_ms() < limit)
		nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
}

/*
 * libvirt ends a QEMU by SIGTERM and then looks every 200 ms whether it is gone. There is nothing
 * in the guest to save: kill it and wait for the exact moment, and libvirt finds it gone. But a
 * thread of libvirt's hears the monitor hang up as well, a moment before the process has ended, and
 * sends SIGTERM on its own. This program's kill() comes before libc's: of a dying QEMU it tells
 * libvirt that it is gone, once it is.
 */
int kill(pid_t pid, int sig)
{
	if (is_dying(pid))
		wait_until_reaped(pid);
	return (int)syscall(SYS_kill, pid, sig);
}

void virt_machine_kill(struct virt_machine *m)
{
	struct pollfd p = {.fd = m ? m->pidfd : -1, .events = POLLIN};

	if (!m || m->pidfd < 0)
		return;
	for (size_t i = 0; i < DYING_MAX; i++) {
		pid_t nobody = 0;

		if (atomic_compare_exchange_strong(&dying[i], &nobody, m->pid))
			break;
	}
	syscall(SYS_pidfd_send_signal, m->pidfd, SIGKILL, NULL, 0);
	while (poll(&p, 1, KILL_MS) < 0 && errno == EINTR)
		;
	wait_until_reaped(m->pid);
}

static void forget_process(struct virt_machine *m)
{
	for (size_t i = 0; m->pidfd >= 0 && i < DYING_MAX; i++) {
		pid_t pid = m->pid;

		atomic_compare_exchange_strong(&dying[i], &pid, 0);
	}
}

void virt_machine_destroy(struct virt_machine *m)
{
	if (!m)
		return;
	virt_machine_kill(m);
	if (m->dom) {
		/* An error here means that it is gone, which is what was wanted. */
		virDomainDestroy(m->dom);
		virDomainFree(m->dom);
	}
	forget_process(m);
	remove_machine(m->v, m);
	if (m->pidfd >= 0)
		close(m->pidfd);
	if (m->event_fd >= 0)
		close(m->event_fd);
	free(m->name);
	free(m);
}
