/*
 * A guest that means harm: takes the agent's place, opens the channel as the agent does, and then
 * does what MODE says instead. Built by hostile.sh, static, out of the agent's own objects.
 */
#include <endian.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "jail/base/io.h"
#include "vm/agent/channel.h"
#include "vm/agent/setup.h"

static struct channel channel = {.fd = -1};

static int is(const char *mode)
{
	return str_eq(MODE, mode);
}

/* By hand: proto.h would refuse to. */
static void frame(struct buf *out, int type, const char *body, size_t len)
{
	uint32_t le = htole32((uint32_t)len);
	uint8_t byte = type;

	buf_add(out, &le, sizeof(le));
	buf_add(out, &byte, 1);
	buf_add(out, body, len);
}

static void send_all(const struct buf *out)
{
	fcntl(channel.fd, F_SETFL, O_RDWR);
	io_write_all(channel.fd, out->data, out->len);
}

/* Until the job is here: what a guest starts before is refused. */
static void wait_for_job(void)
{
	enum proto_type type = 0;
	const uint8_t *body;
	size_t len;
	ssize_t n;

	while (type != PROTO_JOB) {
		channel_receive(&channel);
		while ((n = channel_next(&channel, &type, &body, &len, NULL)) > 0)
			channel_consume(&channel, n);
		usleep(1000);
	}
}

static void flood_console(void)
{
	static char text[4096];
	int fd = open("/dev/console", O_WRONLY | O_NOCTTY);

	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\n';
	while (fd >= 0)
		io_write_all(fd, text, sizeof(text));
}

static void flood_stdout(void)
{
	static char text[PROTO_MAX_BODY];
	struct buf out = {0};

	frame(&out, PROTO_STDOUT, text, sizeof(text));
	for (;;)
		send_all(&out);
}

static const struct {
	const char *mode;
	int type;
	uint32_t len; /* as the header says; 0: the truth */
	const char *body;
	size_t body_len;
} said[] = {
#define BODY(text) text, sizeof(text) - 1
	{"giant", PROTO_STDOUT, UINT32_MAX, BODY("x")},
	{"unknown", 200, 0, BODY("x")},
	{"data", PROTO_DATA, 0, BODY("data")},
	{"dotdot", PROTO_FILE, 0, BODY("path\0../../../../../escaped\0")},
	{"absolute", PROTO_FILE, 0, BODY("path\0/tmp/escaped\0")},
	{"escapes", PROTO_ERROR, 0, BODY("\033[2J\033]0;owned\007\nforged: pass\r\x9b")},
};

int main(void)
{
	struct buf hello = {0}, words = {0}, out = {0};
	uint8_t header[PROTO_HEADER];
	size_t started;

	setup_root(NULL);
	setup_modules(false);
	if (is("dies")) /* the kernel panics when its init ends */
		return 1;
	if (is("silent"))
		for (;;)
			pause();
	if (is("console"))
		flood_console();
	proto_add_word(&words, "version", "1");
	proto_add_word(&words, "release", "\033[31mred\033]0;owned\007");
	frame(&hello, PROTO_HELLO, words.data, words.len);
	if (is("rude")) {
		proto_put_header(header, PROTO_STDOUT, 4);
		memcpy(hello.data, header, sizeof(header));
	}
	channel_open(&channel, -1, &hello, NULL);
	wait_for_job();
	frame(&out, PROTO_STARTED, "pid\0001", 6);
	started = out.len;
	for (size_t i = 0; i < array_len(said); i++) {
		if (!is(said[i].mode))
			continue;
		frame(&out, said[i].type, said[i].body, said[i].body_len);
		if (said[i].len)
			memcpy(out.data + started, &(uint32_t){htole32(said[i].len)}, 4);
	}
	send_all(&out);
	if (is("flood"))
		flood_stdout();
	for (;;)
		pause();
}
