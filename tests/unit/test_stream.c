/* The stream without TLS: waiting, stopping, the two buffers and the spill, libetpan's view,
 * compression. SIGPIPE is left deadly. */
#include <libetpan/mailstream.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

#include "base/memory.h"
#include "base/text.h"
#include "check.h"
#include "imap/stream_private.h"
#include "stream_server.h"

#define MEBI ((size_t)1 << 20)

/* ---- reading and writing ---- */

static void test_talk(void)
{
	struct server server = {.serve = serve_echo};
	struct stream *stream;
	struct stream_traffic traffic;
	char byte;

	server_start(&server);
	stream = open_to(&server);
	CU_ASSERT(!stream_is_encrypted(stream) && stream_pending(stream) == 0);
	CU_ASSERT(stream_read(stream, &byte, 1, NULL) == 1 && byte == '*');
	CU_ASSERT(stream_pending(stream) == 11 && says(stream, " OK hello\r\n"));
	stream_get_traffic(stream, &traffic);
	CU_ASSERT(traffic.bytes_in == 12 && traffic.bytes_out == 0 && traffic.round_trips == 0);
	CU_ASSERT(stream_write(stream, "one ", 4, NULL) == 0 &&
		  stream_write(stream, "two", 3, NULL) == 0);
	stream_get_traffic(stream, &traffic);
	CU_ASSERT(traffic.bytes_out == 0);
	CU_ASSERT(says(stream, "one two"));
	stream_get_traffic(stream, &traffic);
	CU_ASSERT(traffic.bytes_in == 19 && traffic.bytes_out == 7 && traffic.round_trips == 1);
	CU_ASSERT(stream_write(stream, "three", 5, NULL) == 0 && stream_flush(stream, NULL) == 0);
	stream_get_traffic(stream, &traffic);
	CU_ASSERT(traffic.bytes_out == 12 && says(stream, "three"));
	stream_get_traffic(stream, &traffic);
	CU_ASSERT(traffic.round_trips == 2);
	stream_close(&stream);
	CU_ASSERT(stream == NULL);
	stream_close(&stream);
	server_stop(&server);
}

static void test_no_answer(void)
{
	struct server server = {.serve = serve_silence};
	struct stream_options options = plain_options;
	struct stream *stream;
	struct error err = {0};
	int64_t start = wire_clock_ms();
	char byte;

	server_start(&server);
	options.port = server.port;
	options.timeout = 1;
	CU_ASSERT_FATAL(stream_open(&stream, &options, &err) == 0);
	CU_ASSERT(stream_read(stream, &byte, 1, &err) == -1);
	expect_error(&err, ERROR_NETWORK, "no answer from 127.0.0.1 for 1 second");
	CU_ASSERT(seconds_since(start) > 0.9 && seconds_since(start) < 5);
	error_clear(&err);
	CU_ASSERT(stream_write(stream, "x", 1, &err) == -1 && err.kind == ERROR_NETWORK);
	error_clear(&err);
	CU_ASSERT(stream_get_error(stream, &err) == -1 && err.kind == ERROR_NETWORK);
	stream_close(&stream);
	server_stop(&server);
}

struct later {
	pthread_t thread;
	int fd;
	mailstream *stream; /* cancelled, if not NULL */
};

static void *act_later(void *arg)
{
	struct later *later = arg;
	struct timespec wait = {.tv_nsec = 100000000};

	nanosleep(&wait, NULL);
	if (later->stream != NULL)
		mailstream_cancel(later->stream);
	else
		eventfd_write(later->fd, 1);
	return NULL;
}

static void expect_stop(struct stream *stream, struct later *later)
{
	struct error err = {0};
	int64_t start = wire_clock_ms();
	char byte;

	CU_ASSERT_FATAL(pthread_create(&later->thread, NULL, act_later, later) == 0);
	CU_ASSERT(stream_read(stream, &byte, 1, &err) == -1);
	pthread_join(later->thread, NULL);
	expect_error(&err, ERROR_STOPPED, "stopped");
	CU_ASSERT(seconds_since(start) < 5);
	CU_ASSERT(stream_write(stream, "x", 1, &err) == -1 && err.kind == ERROR_STOPPED);
}

static void test_stop(void)
{
	struct server server = {.serve = serve_silence};
	struct stream_options options = plain_options;
	struct stream *stream;
	struct error err = {0};
	struct later later = {.fd = eventfd(0, EFD_CLOEXEC)};
	int fillers[2], fd;

	server_start(&server);
	options.port = server.port;
	options.stop_fd = later.fd;
	CU_ASSERT_FATAL(stream_open(&stream, &options, NULL) == 0);
	expect_stop(stream, &later);
	stream_close(&stream);
	options.stop_fd = -1;
	CU_ASSERT_FATAL(stream_open(&stream, &options, NULL) == 0);
	later.stream = stream_mailstream(stream);
	expect_stop(stream, &later);
	stream_close(&stream);
	server_stop(&server);

	options.stop_fd = later.fd; /* still readable */
	fd = deaf_listener(&options.port, fillers);
	CU_ASSERT(stream_open(&stream, &options, &err) == -1);
	expect_error(&err, ERROR_STOPPED, "stopped");
	options.host = "no-such-host.invalid";
	error_clear(&err);
	CU_ASSERT(stream_open(&stream, &options, &err) == -1 && err.kind != ERROR_NONE);
	close(fd);
	close(fillers[0]);
	close(fillers[1]);
	close(later.fd);
}

static void serve_goodbye(struct peer *peer)
{
	char byte;

	peer_read(peer, &byte, 1);
	peer_puts(peer, "* BYE too many connections\r\n");
}

/* The server hangs up with a reset while we write: its last words are heard. */
static void test_last_words(void)
{
	struct server server = {.serve = serve_goodbye};
	struct stream *stream;
	struct error err = {0};
	char data[65536] = "", text[4096];
	int status = 0;

	server_start(&server);
	stream = open_to(&server);
	for (int i = 0; i < 1000 && status == 0; i++)
		status = stream_write(stream, data, sizeof(data), &err);
	CU_ASSERT(status == -1 && err.kind == ERROR_NETWORK);
	error_clear(&err);
	read_to_end(stream, text, &err);
	CU_ASSERT_STRING_EQUAL(text, "* BYE too many connections\r\n");
	CU_ASSERT(err.kind == ERROR_NETWORK);
	stream_close(&stream);
	server_stop(&server);
}

static void test_end(void)
{
	struct server server = {.serve = serve_goodbye};
	struct stream *stream;
	struct error err = {0};
	char text[4096];

	server_start(&server);
	stream = open_to(&server);
	CU_ASSERT(stream_write(stream, "x", 1, &err) == 0);
	read_to_end(stream, text, &err);
	CU_ASSERT_STRING_EQUAL(text, "* BYE too many connections\r\n");
	expect_error(&err, ERROR_NETWORK, "127.0.0.1 closed the connection");
	stream_close(&stream);
	server_stop(&server);
}

static char *pattern(size_t len)
{
	char *data = xmalloc(len);

	for (size_t i = 0; i < len; i++)
		data[i] = (char)(i * 31 + i / 1009);
	return data;
}

#define BURST (8 * MEBI)
#define IN_SOCKETS (MEBI / 2) /* four of the buffers below, doubled by the kernel, hold less */

static void make_small(int fd)
{
	int size = 32768;

	CU_ASSERT(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)) == 0);
	CU_ASSERT(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)) == 0);
}

/* Reads nothing before all that it has to say is taken off it, then answers with what it reads, twice. */
static void serve_stubborn(struct peer *peer)
{
	char *read = xmalloc(BURST);
	size_t len = 0;
	long n;

	make_small(peer->fd);
	peer_puts(peer, "* OK hello\r\n");
	if (peer_write(peer, peer->server->data, BURST)) {
		while (len < BURST && (n = peer_read(peer, read + len, BURST - len)) > 0)
			len += (size_t)n;
		peer_write(peer, read, len);
		n = peer_read(peer, read, BURST);
		peer_write(peer, read, n > 0 ? (size_t)n : 0);
	}
	free(read);
}

/* Both sides write more than the sockets hold before they read: one has to give way, and it is us. */
static void test_no_deadlock(void)
{
	char *theirs = pattern(BURST), *ours = pattern(BURST + 1) + 1, *in = xmalloc(BURST);
	struct server server = {.serve = serve_stubborn, .data = theirs};
	struct stream *stream;
	struct error err = {0};

	server_start(&server);
	stream = open_to(&server);
	make_small(stream->fd);
	CU_ASSERT(says(stream, "* OK hello\r\n"));
	CU_ASSERT(stream_write(stream, ours, BURST / 2, &err) == 0);
	for (size_t at = BURST / 2; at < BURST; at += 1024)
		CU_ASSERT_FATAL(stream_write(stream, ours + at, 1024, &err) == 0);
	CU_ASSERT(stream_pending(stream) > BURST - IN_SOCKETS && stream_pending(stream) <= BURST);
	CU_ASSERT(read_all(stream, in, BURST, &err) && memcmp(in, theirs, BURST) == 0);
	CU_ASSERT(read_all(stream, in, BURST, &err) && memcmp(in, ours, BURST) == 0);
	CU_ASSERT(stream_write(stream, "again", 5, &err) == 0 && says(stream, "again"));
	CU_ASSERT(stream->in_room == STREAM_IN_SIZE);
	stream_close(&stream);
	server_stop(&server);
	free(theirs);
	free(ours - 1);
	free(in);
}

static void serve_flood(struct peer *peer)
{
	char data[65536] = "";

	while (peer_write(peer, data, sizeof(data)))
		;
}

static void test_spill_is_bounded(void)
{
	struct server server = {.serve = serve_flood};
	struct stream *stream;
	struct error err = {0};
	char data[65536] = "";
	int status = 0;

	server_start(&server);
	stream = open_to(&server);
	for (int i = 0; i < 10000 && status == 0; i++)
		status = stream_write(stream, data, sizeof(data), &err);
	CU_ASSERT(status == -1);
	expect_error(&err, ERROR_NETWORK, "until 16 MiB of answers are read");
	CU_ASSERT(stream_pending(stream) == 16 * MEBI);
	stream_close(&stream);
	server_stop(&server);
}

/* ---- libetpan ---- */

static void serve_lines(struct peer *peer)
{
	char line[256];

	peer_puts(peer, "* OK hello\r\nrest");
	while (peer_read_line(peer, line, sizeof(line)) && strcmp(line, "LOGOUT") != 0) {
		peer_puts(peer, line);
		peer_puts(peer, "\r\n");
	}
	peer_puts(peer, "half a li");
}

static void test_libetpan(void)
{
	struct server server = {.serve = serve_lines};
	struct stream *stream;
	mailstream *etpan;
	MMAPString *buffer = mmap_string_new("");
	char data[64] = "";

	server_start(&server);
	stream = open_to(&server);
	etpan = stream_mailstream(stream);
	CU_ASSERT(etpan == stream_mailstream(stream));
	CU_ASSERT_STRING_EQUAL(mailstream_read_line(etpan, buffer), "* OK hello\r\n");
	CU_ASSERT(stream_pending(stream) == 4 &&
		  says(stream, "rest")); /* out of libetpan's buffer */
	CU_ASSERT(mailstream_write(etpan, "from libetpan ", 14) == 14);
	CU_ASSERT(stream_write(stream, "and from us\r\n", 13, NULL) == 0);
	CU_ASSERT(mailstream_write(etpan, "again\r\n", 7) == 7 && mailstream_flush(etpan) == 0);
	CU_ASSERT_STRING_EQUAL(mailstream_read_line(etpan, buffer),
			       "from libetpan and from us\r\n");
	CU_ASSERT(mailstream_read(etpan, data, 7) == 7 && strcmp(data, "again\r\n") == 0);
	CU_ASSERT(mailstream_write(etpan, "last\r\n", 6) == 6); /* leaves before the read */
	CU_ASSERT_STRING_EQUAL(mailstream_read_line(etpan, buffer), "last\r\n");
	stream_close(&stream);
	server_stop(&server);
	mmap_string_free(buffer);
}

/* The end is a failure, not a line. */
static void test_libetpan_end(void)
{
	struct server server = {.serve = serve_lines};
	struct stream *stream;
	struct error err = {0};
	mailstream *etpan;
	MMAPString *buffer = mmap_string_new("");
	char data[64];

	server_start(&server);
	stream = open_to(&server);
	etpan = stream_mailstream(stream);
	CU_ASSERT(says(stream, "* OK hello\r\nrest"));
	CU_ASSERT(stream_get_error(stream, &err) == 0);
	CU_ASSERT(mailstream_write(etpan, "LOGOUT\r\n", 8) == 8 && mailstream_flush(etpan) == 0);
	CU_ASSERT(mailstream_read_line(etpan, buffer) == NULL);
	CU_ASSERT(mailstream_read(etpan, data, sizeof(data)) == -1);
	CU_ASSERT(stream_get_error(stream, &err) == -1);
	expect_error(&err, ERROR_NETWORK, "127.0.0.1 closed the connection");
	CU_ASSERT(mailstream_write(etpan, "x", 1) == 1 && mailstream_flush(etpan) == -1);
	stream_close(&stream);
	server_stop(&server);
	mmap_string_free(buffer);
}

/* ---- compression ---- */

static bool put_compressed(struct peer *peer, z_stream *z, Bytef *data, size_t len)
{
	Bytef out[8192];
	bool good = true;

	z->next_in = data;
	z->avail_in = (uInt)len;
	do {
		z->next_out = out;
		z->avail_out = sizeof(out);
		deflate(z, Z_SYNC_FLUSH);
		good = good && peer_write(peer, out, sizeof(out) - z->avail_out);
	} while (z->avail_out == 0);
	return good;
}

/* Answers COMPRESS, in the same piece with compressed data, then echoes. data set: garbage instead. */
static void serve_deflate(struct peer *peer)
{
	char line[256];
	Bytef in[8192], out[8192], early[] = "early";
	z_stream inflater = {0}, deflater = {0};
	long n;

	if (!peer_read_line(peer, line, sizeof(line)))
		return;
	inflateInit2(&inflater, -15);
	deflateInit2(&deflater, 6, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY);
	send(peer->fd, "OK\r\n", 4, MSG_MORE | MSG_NOSIGNAL);
	if (peer->server->data != NULL)
		peer_puts(peer, peer->server->data);
	else
		put_compressed(peer, &deflater, early, 5);
	while ((n = peer_read(peer, in, sizeof(in))) > 0) {
		inflater.next_in = in;
		inflater.avail_in = (uInt)n;
		do {
			inflater.next_out = out;
			inflater.avail_out = sizeof(out);
			inflate(&inflater, Z_SYNC_FLUSH);
			put_compressed(peer, &deflater, out, sizeof(out) - inflater.avail_out);
		} while (inflater.avail_out == 0);
	}
	inflateEnd(&inflater);
	deflateEnd(&deflater);
}

static struct stream *open_compressed(const struct server *server)
{
	struct stream *stream = open_to(server);

	CU_ASSERT(stream_write(stream, "COMPRESS\r\n", 10, NULL) == 0 && says(stream, "OK\r\n"));
	CU_ASSERT(stream_start_deflate(stream, NULL) == 0);
	return stream;
}

static void test_deflate(void)
{
	size_t size = 3 * MEBI;
	struct server server = {.serve = serve_deflate};
	struct stream *stream;
	struct stream_traffic traffic;
	struct error err = {0};
	char *out = pattern(size), *in = xmalloc(size);

	server_start(&server);
	stream = open_compressed(&server);
	CU_ASSERT(says(stream, "early"));
	CU_ASSERT(stream_write(stream, "ping", 4, NULL) == 0 && says(stream, "ping"));
	for (size_t at = 0, len = 1; at < size; at += len, len = len * 3 % 70001 + 1) {
		len = len < size - at ? len : size - at;
		CU_ASSERT_FATAL(stream_write(stream, out + at, len, &err) == 0);
	}
	CU_ASSERT(read_all(stream, in, size, &err) && memcmp(in, out, size) == 0);
	stream_get_traffic(stream, &traffic);
	CU_ASSERT(traffic.bytes_in < size / 2 && traffic.bytes_out < size / 2);
	CU_ASSERT(stream_start_deflate(stream, &err) == -1 && err.kind == ERROR_SERVER);
	stream_close(&stream);
	server_stop(&server);
	free(out);
	free(in);
}

static void test_broken_deflate(void)
{
	struct server server = {.serve = serve_deflate, .data = "\xff\xff this is not deflate"};
	struct stream *stream;
	struct error err = {0};
	char byte;

	server_start(&server);
	stream = open_compressed(&server);
	CU_ASSERT(stream_read(stream, &byte, 1, &err) == -1);
	expect_error(&err, ERROR_SERVER, "compressed data from 127.0.0.1 are broken");
	stream_close(&stream);
	server_stop(&server);
}

/* libetpan's buffer holds compressed data when compression starts. */
static void test_deflate_in_libetpan(void)
{
	struct server server = {.serve = serve_deflate};
	struct stream *stream;
	mailstream *etpan;
	MMAPString *buffer = mmap_string_new("");
	char data[16] = "";

	server_start(&server);
	stream = open_to(&server);
	etpan = stream_mailstream(stream);
	CU_ASSERT(mailstream_write(etpan, "COMPRESS\r\n", 10) == 10);
	CU_ASSERT_STRING_EQUAL(mailstream_read_line(etpan, buffer), "OK\r\n");
	CU_ASSERT(stream_start_deflate(stream, NULL) == 0);
	CU_ASSERT(mailstream_read(etpan, data, 5) == 5 && strcmp(data, "early") == 0);
	CU_ASSERT(mailstream_write(etpan, "line\r\n", 6) == 6 && mailstream_flush(etpan) == 0);
	CU_ASSERT_STRING_EQUAL(mailstream_read_line(etpan, buffer), "line\r\n");
	stream_close(&stream);
	server_stop(&server);
	mmap_string_free(buffer);
}

int main(void)
{
	static const struct test_case cases[] = {
		{"talk", test_talk},
		{"no answer", test_no_answer},
		{"stop", test_stop},
		{"last words", test_last_words},
		{"end of input", test_end},
		{"no deadlock", test_no_deadlock},
		{"the spill is bounded", test_spill_is_bounded},
		{"libetpan", test_libetpan},
		{"libetpan at the end", test_libetpan_end},
		{"compression", test_deflate},
		{"broken compression", test_broken_deflate},
		{"compression that begins in libetpan's buffer", test_deflate_in_libetpan},
	};

	return run_tests("stream", cases, ARRAY_SIZE(cases));
}
