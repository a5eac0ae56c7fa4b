/* The host's side of the channel, against a well-behaved guest and against hostile ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "jail/base/io.h"
#include "lab/machine/channel.h"
#include "lab/machine/terminal.h"
#include "vm/proto.h"

enum { LIMIT = 1000 };

struct fixture {
	char dir[64];
	int guest;
	struct outcome outcome;
	struct evidence evidence;
	struct channel channel;
	struct job job;
	struct job_file file;
	char *payload;
	char *argv[3];
};

static int setup(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));
	int sv[2];

	strcpy(f->dir, "/tmp/test-channel-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
	f->guest = sv[1];
	assert_int_equal(fcntl(f->guest, F_SETFL, O_NONBLOCK), 0);
	f->argv[0] = xstrdup("/bin/echo");
	f->argv[1] = xstrdup("a b");
	f->payload = path_join(f->dir, "payload");
	f->job = (struct job){.argv = f->argv, .timeout_ms = 30000, .trace = true};
	assert_int_equal(evidence_open(&f->evidence, f->dir, LIMIT, &f->outcome, NULL), 0);
	assert_int_equal(channel_init(&f->channel, sv[0], &f->job, &f->evidence, NULL), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	channel_deinit(&f->channel);
	evidence_close(&f->evidence);
	outcome_deinit(&f->outcome);
	close(f->guest);
	io_remove_tree(AT_FDCWD, f->dir, NULL);
	free(f->argv[0]);
	free(f->argv[1]);
	free(f->payload);
	free(f);
	return 0;
}

/* The guest says data; the host reads as often as there is something. Returns what it made of it.
 */
static int say(struct fixture *f, const void *data, size_t len, struct err *err)
{
	const char *at = data;
	int r = 0;

	while (len && r == 0) {
		ssize_t n = write(f->guest, at, len);

		if (n < 0)
			assert_int_equal(errno, EAGAIN);
		else
			at += n, len -= n;
		r = channel_read(&f->channel, err);
	}
	return r;
}

static int say_frame(struct fixture *f, enum proto_type type, const void *body, size_t len)
{
	auto_cleanup(buf) out = {0};

	proto_add_frame(&out, type, body, len);
	return say(f, out.data, out.len, NULL);
}

#define SAY(f, type, words) say_frame(f, type, words, sizeof(words) - 1)
#define HELLO "version\0001\0release\0006.1.0-\033[31mred\0machine\0x86_64\0uptime_ms\0900\0"

/* All that the host sends now. */
static void hear(struct fixture *f, struct buf *heard)
{
	char chunk[4096];
	ssize_t n;

	do {
		assert_int_equal(channel_write(&f->channel, NULL), 0);
		while ((n = read(f->guest, chunk, sizeof(chunk))) > 0)
			buf_add(heard, chunk, n);
	} while (channel_wants_write(&f->channel));
}

static void start_job(struct fixture *f)
{
	auto_cleanup(buf) heard = {0};

	assert_int_equal(SAY(f, PROTO_HELLO, HELLO), 0);
	hear(f, &heard);
	assert_int_equal(SAY(f, PROTO_STARTED, "pid\00042\0"), 0);
}

static void assert_file(struct fixture *f, const char *name, const char *text)
{
	auto_cleanup(buf) have = {0};

	assert_int_equal(io_read_file(f->evidence.dirfd, name, 1 << 20, &have, NULL), 0);
	assert_string_equal(have.data ? have.data : "", text);
}

static void test_silent_until_greeted(void **state)
{
	struct fixture *f = *state;

	assert_false(channel_wants_write(&f->channel));
	assert_int_equal(channel_read(&f->channel, NULL), 0);
	assert_int_equal(SAY(f, PROTO_HELLO, HELLO), 0);
	assert_int_equal(f->channel.state, CHANNEL_SENDING);
	assert_true(channel_wants_write(&f->channel));
	assert_null(strchr(f->outcome.release, '\033'));
}

/* A file of many chunks, then the job: the frames say the same as the job. */
static void test_sends_files_and_job(void **state)
{
	struct fixture *f = *state;
	auto_cleanup(buf) heard = {0}, got = {0};
	auto_free char *data = xcalloc(1, 300000);
	enum proto_type type;
	const uint8_t *body;
	size_t len, used = 0;
	int files = 0, ends = 0, jobs = 0;
	ssize_t n;

	memset(data, 'x', 300000);
	assert_int_equal(io_write_atomic(AT_FDCWD, f->payload, data, 300000, 0755, NULL), 0);
	f->file = (struct job_file){.path = f->payload, .name = "sub/payload"};
	f->job.files = &f->file;
	f->job.n_files = 1;
	assert_int_equal(SAY(f, PROTO_HELLO, HELLO), 0);
	hear(f, &heard);
	while ((n = proto_next_frame((uint8_t *)heard.data + used, heard.len - used, &type, &body,
				     &len, NULL)) > 0) {
		used += n;
		files += type == PROTO_FILE;
		ends += type == PROTO_FILE_END;
		jobs += type == PROTO_JOB;
		if (type == PROTO_FILE)
			assert_memory_equal(body, "path\0sub/payload\0mode\000755\0", 26);
		if (type == PROTO_DATA)
			buf_add(&got, body, len);
		if (type == PROTO_JOB)
			assert_memory_equal(body, "argv\0/bin/echo\0argv\0a b\0", 24);
	}
	assert_int_equal(used, heard.len);
	assert_int_equal(files, 1);
	assert_int_equal(ends, 1);
	assert_int_equal(jobs, 1);
	assert_int_equal(got.len, 300000);
	assert_memory_equal(got.data, data, 300000);
	assert_true(f->channel.out.cap < 200000);
}

static void test_file_that_is_not_there(void **state)
{
	struct fixture *f = *state;
	struct err err = {0};

	f->file = (struct job_file){.path = "/nonexistent/payload", .name = "payload"};
	f->job.files = &f->file;
	f->job.n_files = 1;
	assert_int_equal(SAY(f, PROTO_HELLO, HELLO), 0);
	assert_int_equal(channel_write(&f->channel, &err), -ENOENT);
	assert_non_null(strstr(err.msg, "/nonexistent/payload"));
}

static void test_whole_job(void **state)
{
	struct fixture *f = *state;

	start_job(f);
	assert_int_equal(SAY(f, PROTO_STDOUT, "out\n"), 0);
	assert_int_equal(SAY(f, PROTO_STDERR, "err\n"), 0);
	assert_int_equal(SAY(f, PROTO_STRACE, "execve()\n"), 0);
	assert_int_equal(SAY(f, PROTO_KMSG, "[ 1.0] log\n"), 0);
	assert_int_equal(say_frame(f, PROTO_TICK, NULL, 0), 0);
	assert_int_equal(SAY(f, PROTO_FILE, "path\0a/b/c\0mode\000644\0size\0003\0"), 0);
	assert_int_equal(SAY(f, PROTO_DATA, "one"), 0);
	assert_int_equal(SAY(f, PROTO_FILE_END, ""), 0);
	assert_int_equal(SAY(f, PROTO_EXIT, "exit\0003\0wall_ms\0005\0stdout_seen\0004\0"), 0);
	assert_int_equal(f->channel.state, CHANNEL_OVER);
	assert_int_equal(f->outcome.ending, END_EXITED);
	assert_int_equal(f->outcome.exit_code, 3);
	assert_int_equal(f->outcome.out.seen, 4);
	assert_int_equal(f->outcome.notes.n, 0);
	assert_file(f, "stdout", "out\n");
	assert_file(f, "stderr", "err\n");
	assert_file(f, "strace.log", "execve()\n");
	assert_file(f, "dmesg.log", "[ 1.0] log\n");
	assert_file(f, "artefacts/a/b/c", "one");
}

static void test_other_endings(void **state)
{
	struct fixture *f = *state;

	start_job(f);
	assert_int_equal(SAY(f, PROTO_EXIT, "signal\0009\0timeout\0001\0"), 0);
	assert_int_equal(f->outcome.ending, END_TIMEOUT);
	assert_int_equal(f->outcome.signal, 9);
	assert_int_equal(f->outcome.exit_code, -1);
}

static void test_agent_failed(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(SAY(f, PROTO_HELLO, HELLO), 0);
	assert_int_equal(SAY(f, PROTO_ERROR, "mount: \033]0;title\a no"), 0);
	assert_true(f->channel.failed);
	assert_null(strchr(f->outcome.detail, '\033'));
	assert_non_null(strstr(f->outcome.detail, "mount"));
}

static void test_streams_are_bounded(void **state)
{
	struct fixture *f = *state;
	char flood[700];

	memset(flood, 'y', sizeof(flood));
	start_job(f);
	for (int i = 0; i < 100; i++)
		assert_int_equal(say_frame(f, PROTO_STDOUT, flood, sizeof(flood)), 0);
	assert_int_equal(f->outcome.out.seen, 70000);
	assert_int_equal(f->outcome.out.kept, LIMIT);
	assert_int_equal(f->outcome.notes.n, 1);
	/* what the agent itself left out counts, and is not noted twice */
	assert_int_equal(SAY(f, PROTO_EXIT, "exit\0000\0stdout_seen\00099999\0"), 0);
	assert_int_equal(f->outcome.out.seen, 99999);
	assert_int_equal(f->outcome.notes.n, 1);
}

static void test_artefacts_are_bounded(void **state)
{
	struct fixture *f = *state;
	auto_free char *mib = xcalloc(1, 1 << 20);
	struct stat st;

	start_job(f);
	assert_int_equal(SAY(f, PROTO_FILE, "path\0big\0"), 0);
	for (int i = 0; i < (MACHINE_ARTEFACT_LIMIT >> 20) + 3; i++)
		assert_int_equal(say_frame(f, PROTO_DATA, mib, 1 << 20), 0);
	assert_int_equal(SAY(f, PROTO_FILE_END, ""), 0);
	assert_int_equal(fstatat(f->evidence.dirfd, "artefacts/big", &st, 0), 0);
	assert_int_equal(st.st_size, MACHINE_ARTEFACT_LIMIT);
	assert_int_equal(f->outcome.notes.n, 1);
	assert_true(f->channel.in.cap < 3 << 20);
	/* the same name again is refused, and noted; the first one stays */
	assert_int_equal(SAY(f, PROTO_FILE, "path\0big\0"), 0);
	assert_int_equal(SAY(f, PROTO_FILE_END, ""), 0);
	assert_int_equal(f->outcome.notes.n, 2);
	for (int i = 0; i < MACHINE_ARTEFACT_FILES + 100; i++) {
		auto_free char *words = str_printf("path%cf%d%c", 0, i, 0);
		size_t len = 5 + strlen(words + 5) + 1;

		assert_int_equal(say_frame(f, PROTO_FILE, words, len), 0);
		assert_int_equal(SAY(f, PROTO_FILE_END, ""), 0);
	}
	assert_int_equal(f->evidence.n_files, MACHINE_ARTEFACT_FILES);
	assert_true(f->outcome.notes.n < 100);
}

#define FRAME(len, type, body) len type body, sizeof(len type body) - 1
static const struct hostile {
	const char *what;
	bool started; /* after HELLO and STARTED; else before HELLO */
	const char *bytes;
	size_t len;
	const char *says;
} hostile[] = {
	{"4 GiB", true, FRAME("\xff\xff\xff\xff", "\x03", ""), "4294967295 bytes"},
	{"4 GiB at once", false, FRAME("\xff\xff\xff\xff", "\x01", ""), "4294967295 bytes"},
	{"a byte too many", true, FRAME("\x01\x00\x10\x00", "\x03", ""), "1048577 bytes"},
	{"type 0", true, FRAME("\0\0\0\0", "\0", ""), "unknown type 0"},
	{"type 255", true, FRAME("\0\0\0\0", "\xff", ""), "unknown type 255"},
	{"zeros", false, FRAME("\0\0\0\0", "\0", "\0\0\0\0\0\0\0\0"), "unknown type 0"},
	{"no greeting", false, FRAME("\x01\0\0\0", "\x03", "x"), "before its greeting"},
	{"malformed greeting", false, FRAME("\x03\0\0\0", "\x01", "abc"), "malformed greeting"},
	{"other version", false, FRAME("\x0a\0\0\0", "\x01", "version\0002\0"), "version 2"},
	{"no version", false, FRAME("\0\0\0\0", "\x01", ""), "version 0"},
	{"greeting twice", true, FRAME("\x0a\0\0\0", "\x01", "version\0001\0"), "second greeting"},
	{"started twice", true, FRAME("\0\0\0\0", "\x02", ""), "was not given"},
	{"the host's frame", true, FRAME("\0\0\0\0", "\x0d", ""), "only the host sends"},
	{"power off", true, FRAME("\0\0\0\0", "\x0f", ""), "only the host sends"},
	{"data without a file", true, FRAME("\x01\0\0\0", "\x0b", "x"), "without a file"},
	{"end without a file", true, FRAME("\0\0\0\0", "\x0c", ""), "did not begin"},
	{"no path", true, FRAME("\x09\0\0\0", "\x0a", "mode\000644\0"), "without a path"},
	{"empty file", true, FRAME("\0\0\0\0", "\x0a", ""), "without a path"},
	{"path up", true, FRAME("\x10\0\0\0", "\x0a", "path\0../../etc/\0"), "leaves the folder"},
	{"path up later", true, FRAME("\x0d\0\0\0", "\x0a", "path\0a/../b/\0"),
	 "leaves the folder"},
	{"path absolute", true, FRAME("\x0a\0\0\0", "\x0a", "path\0/etc\0"), "leaves the folder"},
	{"path empty", true, FRAME("\x06\0\0\0", "\x0a", "path\0\0"), "leaves the folder"},
	{"path with escapes", true, FRAME("\x0a\0\0\0", "\x0a", "path\0\033[2J\0"),
	 "leaves the folder"},
	{"exit without a code", true, FRAME("\0\0\0\0", "\x08", ""), "without a code"},
	{"exit 256", true, FRAME("\x09\0\0\0", "\x08", "exit\000256\0"), "a number that is none"},
	{"exit -1", true, FRAME("\x08\0\0\0", "\x08", "exit\0-1\0"), "a number that is none"},
	{"exit and signal", true, FRAME("\x10\0\0\0", "\x08", "exit\0000\0signal\0009\0"),
	 "without a code"},
	{"signal 0", true, FRAME("\x09\0\0\0", "\x08", "signal\0000\0"), "a number that is none"},
	{"unterminated words", true, FRAME("\x06\0\0\0", "\x08", "exit\0001"), "without a code"},
};

static void test_hostile(void **state)
{
	(void)state;
	for (size_t i = 0; i < array_len(hostile); i++) {
		const struct hostile *h = &hostile[i];
		struct fixture *f;
		struct err err = {0};
		void *fixture;
		int r;

		setup(&fixture);
		f = fixture;
		if (h->started)
			start_job(f);
		r = say(f, h->bytes, h->len, &err);
		if (r != -EPROTO || !strstr(err.msg, h->says))
			fail_msg("%s: %d '%s'", h->what, r, err.msg);
		assert_null(strchr(err.msg, '\033'));
		assert_true(f->channel.in.cap < 1 << 20);
		teardown(&fixture);
	}
}

/* Byte by byte, a frame is the same frame. */
static void test_in_pieces(void **state)
{
	struct fixture *f = *state;
	auto_cleanup(buf) out = {0};

	start_job(f);
	proto_add_frame(&out, PROTO_STDOUT, "in pieces\n", 10);
	proto_add_frame(&out, PROTO_EXIT, "exit\0000\0", 7);
	for (size_t i = 0; i < out.len; i++)
		assert_int_equal(say(f, out.data + i, 1, NULL), 0);
	assert_int_equal(f->channel.state, CHANNEL_OVER);
	assert_file(f, "stdout", "in pieces\n");
}

static void test_guest_hangs_up(void **state)
{
	struct fixture *f = *state;

	start_job(f);
	assert_int_equal(SAY(f, PROTO_STDOUT, "last words"), 0);
	shutdown(f->guest, SHUT_RDWR);
	assert_int_equal(channel_read(&f->channel, NULL), 0);
	assert_true(f->channel.ended);
	assert_false(channel_wants_write(&f->channel));
	assert_file(f, "stdout", "last words");
}

/* The words and frames of a job that reads what somebody types. */
static void test_terminal(void **state)
{
	static char text[100000];
	struct fixture *f = *state;
	struct terminal t = {.tty = true, .rows = 30, .columns = 90, .out = {-1, -1}};
	auto_cleanup(buf) heard = {0}, typed = {0};
	const uint8_t *body;
	enum proto_type type;
	size_t used = 0, len;
	ssize_t n;

	f->job.terminal = &t;
	assert_int_equal(SAY(f, PROTO_HELLO, HELLO), 0);
	hear(f, &heard);
	assert_non_null(memmem(heard.data, heard.len, "tty\0001\0", 6));
	assert_non_null(memmem(heard.data, heard.len, "rows\00030\0columns\00090\0", 19));
	memset(text, 'x', sizeof(text));
	buf_add(&t.typed, text, sizeof(text));
	assert_false(channel_wants_write(&f->channel)); /* it does not run yet */
	assert_int_equal(SAY(f, PROTO_STARTED, "pid\00042\0"), 0);

	buf_reset(&heard);
	t.rows = 31;
	hear(f, &heard);
	assert_false(channel_wants_write(&f->channel));
	while ((n = proto_next_frame((uint8_t *)heard.data + used, heard.len - used, &type, &body,
				     &len, NULL)) > 0) {
		assert_int_equal(type, used ? PROTO_STDIN : PROTO_WINSIZE);
		if (used)
			buf_add(&typed, body, len);
		used += n;
	}
	assert_int_equal(used, heard.len);
	assert_int_equal(typed.len, sizeof(text));
	assert_memory_equal(typed.data, text, sizeof(text));

	buf_reset(&heard);
	t.in_ended = true;
	hear(f, &heard);
	assert_int_equal(heard.len, PROTO_HEADER); /* the end, once */
	assert_int_equal(heard.data[4], PROTO_STDIN);
	assert_false(channel_wants_write(&f->channel));
	terminal_close(&t);
	f->job.terminal = NULL;
}

/* Who does not take what the guest says has the guest wait: little is held. */
static void test_terminal_full(void **state)
{
	static char text[64 << 10];
	struct fixture *f = *state;
	struct terminal t = {.out = {-1, -1}};
	auto_cleanup(buf) frame = {0};

	f->job.terminal = &t;
	start_job(f);
	proto_add_frame(&frame, PROTO_STDOUT, text, sizeof(text));
	for (int i = 0; i < 100; i++) {
		ssize_t ignored = write(f->guest, frame.data, frame.len);

		(void)ignored;
		assert_int_equal(channel_read(&f->channel, NULL), 0);
	}
	assert_true(channel_blocked(&f->channel));
	assert_in_range(t.shown[0].len, TERMINAL_SHOWN, TERMINAL_SHOWN + 2 * sizeof(text));
	terminal_close(&t);
	f->job.terminal = NULL;
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_silent_until_greeted),
		TEST(test_sends_files_and_job),
		TEST(test_file_that_is_not_there),
		TEST(test_whole_job),
		TEST(test_other_endings),
		TEST(test_agent_failed),
		TEST(test_streams_are_bounded),
		TEST(test_artefacts_are_bounded),
		TEST(test_in_pieces),
		TEST(test_guest_hangs_up),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test_setup_teardown(test_terminal, setup, teardown),
		cmocka_unit_test_setup_teardown(test_terminal_full, setup, teardown),
	};

	return cmocka_run_group_tests_name("channel", tests, NULL, NULL);
}
