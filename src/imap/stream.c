/* The stream: one buffer in each direction above up to three layers (socket, TLS, DEFLATE).
 *
 * The deadlock: we write many commands, the server writes many answers, the socket buffers of both
 * directions fill up, and both sides wait for the other to read. So whoever waits to write here also
 * takes what arrives, into the input buffer, which then grows (the spill) and shrinks again when it
 * was read. The spill is bounded; a caller that runs into the bound has too many commands under way.
 *
 * Octets that arrived are handed out before a failure is reported: a server that says BYE and hangs
 * up is heard even if the next command already found the connection closed. */
#include "imap/stream_private.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/memory.h"

#define DEFAULT_TIMEOUT 60
#define MAX_TIMEOUT 86400
#define DIRECT_READ ((size_t)8 << 10) /* a read of this size goes past the input buffer */

static int report(const struct stream *stream, struct error *err)
{
	if (err != NULL)
		*err = stream->error;
	return -1;
}

/* ---- the layers ---- */

ptrdiff_t layer_read_now(struct stream *stream, char *data, size_t len)
{
	stream->want_read = POLLIN;
	return stream->ssl != NULL ? tls_read_now(stream, data, len)
				   : socket_receive_now(stream, data, len);
}

static ptrdiff_t receive_now(struct stream *stream, char *data, size_t len)
{
	return stream->zip != NULL ? deflate_read_now(stream, data, len)
				   : layer_read_now(stream, data, len);
}

/* Octets that poll would not know of. */
static bool has_leftover(const struct stream *stream)
{
	return (stream->zip != NULL && deflate_has_input(stream)) ||
	       (stream->ssl != NULL && SSL_has_pending(stream->ssl) != 0);
}

static uint64_t microseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

#define FIRST_TURNS 4 /* later ones may be of commands that overlap, and seem short */

static void end_turn(struct stream *stream)
{
	uint64_t took = microseconds() - stream->wrote_at;
	bool untimed = stream->untimed;

	stream->wrote = stream->untimed = false;
	if (++stream->traffic.round_trips > FIRST_TURNS || untimed)
		return;
	if (stream->traffic.fastest_turn == 0 || took < stream->traffic.fastest_turn)
		stream->traffic.fastest_turn = took != 0 ? took : 1;
}

void stream_was_away(struct stream *stream)
{
	struct pollfd fd = {.fd = stream->fd, .events = POLLIN};

	stream->untimed = stream->wrote && poll(&fd, 1, 0) != 0;
}

/* At least one octet from the wire. */
static ptrdiff_t receive(struct stream *stream, char *data, size_t len)
{
	bool leftover = has_leftover(stream);
	ptrdiff_t n;

	stream->want_read = POLLIN;
	do {
		if (stream->error.kind != ERROR_NONE)
			return -1;
		if (leftover ? wire_check_stop(stream) : wire_wait(stream, stream->want_read, NULL))
			return -1;
		leftover = false;
		n = receive_now(stream, data, len);
	} while (n == 0);
	if (n > 0 && stream->wrote)
		end_turn(stream);
	return n;
}

/* ---- the input buffer ---- */

static size_t buffered(const struct stream *stream)
{
	return stream->in_end - stream->in_start;
}

static void reset_input(struct stream *stream)
{
	stream->in_start = stream->in_end = 0;
	if (stream->in_room > STREAM_IN_SIZE) {
		free(stream->in);
		stream->in = NULL;
		stream->in_room = 0;
	}
	if (stream->in == NULL) {
		stream->in = xmalloc(STREAM_IN_SIZE);
		stream->in_room = STREAM_IN_SIZE;
	}
}

static size_t take(struct stream *stream, char *data, size_t len)
{
	if (len > buffered(stream))
		len = buffered(stream);
	if (len != 0)
		memcpy(data, stream->in + stream->in_start, len);
	stream->in_start += len;
	return len;
}

static int make_room(struct stream *stream)
{
	if (stream->in == NULL || buffered(stream) == 0) {
		reset_input(stream);
	} else if (stream->in_start != 0) {
		memmove(stream->in, stream->in + stream->in_start, buffered(stream));
		stream->in_end -= stream->in_start;
		stream->in_start = 0;
	}
	if (stream->in_end < stream->in_room)
		return 0;
	if (stream->in_room >= STREAM_SPILL_MAX)
		return stream_fail(stream, ERROR_NETWORK,
				   "%s takes no more commands until %zu MiB of answers are read",
				   stream->host, STREAM_SPILL_MAX >> 20);
	stream->in = xreallocarray(stream->in, stream->in_room, 2);
	stream->in_room *= 2;
	return 0;
}

/* Takes what has arrived, without waiting: how much, or -1. */
static ptrdiff_t spill(struct stream *stream)
{
	ptrdiff_t n;

	if (stream->in_end == stream->in_room && make_room(stream) != 0)
		return -1;
	n = receive_now(stream, stream->in + stream->in_end, stream->in_room - stream->in_end);
	if (n > 0)
		stream->in_end += (size_t)n;
	return n;
}

static ptrdiff_t read_wire(struct stream *stream, char *data, size_t len)
{
	ptrdiff_t n;

	if (len >= DIRECT_READ)
		return receive(stream, data, len);
	reset_input(stream);
	n = receive(stream, stream->in, stream->in_room);
	if (n < 0)
		return -1;
	stream->in_end = (size_t)n;
	return (ptrdiff_t)take(stream, data, len);
}

ptrdiff_t stream_read_low(struct stream *stream, char *data, size_t len)
{
	stream_flush_low(stream); /* if that fails, what has arrived is still to be had */
	if (buffered(stream) != 0)
		return (ptrdiff_t)take(stream, data, len);
	return stream->error.kind == ERROR_NONE ? read_wire(stream, data, len) : -1;
}

/* ---- writing ---- */

static ptrdiff_t layer_write_now(struct stream *stream, const char *data, size_t len)
{
	stream->want_write = POLLOUT;
	return stream->ssl != NULL ? tls_write_now(stream, data, len)
				   : socket_send_now(stream, data, len);
}

/* Also takes what arrives. A TLS read that itself waits to write must not be woken by input. */
static int wait_to_write(struct stream *stream)
{
	short revents, input = stream->want_read == POLLOUT ? 0 : POLLIN;

	if (wire_wait(stream, (short)(stream->want_write | input), &revents) != 0)
		return -1;
	stream->want_read = POLLIN;
	return (revents & POLLIN) != 0 && spill(stream) < 0 ? -1 : 0;
}

/* What the server said before it hung up. */
static void hear_last_words(struct stream *stream)
{
	while (spill(stream) > 0)
		;
}

int layer_send(struct stream *stream, const char *data, size_t len)
{
	ptrdiff_t n;

	while (len != 0) {
		if (stream->error.kind != ERROR_NONE)
			return -1;
		n = layer_write_now(stream, data, len);
		if (n < 0)
			hear_last_words(stream);
		if (n < 0 || (n == 0 && wait_to_write(stream) != 0))
			return -1;
		data += n;
		len -= (size_t)n;
		if (n > 0 && !stream->wrote) {
			stream->wrote = true;
			stream->wrote_at = microseconds();
		}
	}
	return 0;
}

static int send_out(struct stream *stream, const char *data, size_t len, bool flush)
{
	if (stream->error.kind != ERROR_NONE)
		return -1;
	return stream->zip != NULL ? deflate_send(stream, data, len, flush)
				   : layer_send(stream, data, len);
}

static int empty_output(struct stream *stream, bool flush)
{
	size_t len = stream->out_len;

	stream->out_len = 0;
	return send_out(stream, stream->out, len, flush);
}

int stream_write_low(struct stream *stream, const char *data, size_t len)
{
	size_t part;

	if (stream->out == NULL)
		stream->out = xmalloc(STREAM_OUT_SIZE);
	while (len != 0) {
		if (stream->out_len == 0 && len >= STREAM_OUT_SIZE)
			return send_out(stream, data, len, false);
		part = STREAM_OUT_SIZE - stream->out_len;
		part = part < len ? part : len;
		memcpy(stream->out + stream->out_len, data, part);
		stream->out_len += part;
		data += part;
		len -= part;
		if (stream->out_len == STREAM_OUT_SIZE && empty_output(stream, false) != 0)
			return -1;
	}
	return stream->error.kind != ERROR_NONE ? -1 : 0;
}

int stream_flush_low(struct stream *stream)
{
	if (stream->out_len == 0 && stream->zip == NULL)
		return stream->error.kind != ERROR_NONE ? -1 : 0;
	return empty_output(stream, true);
}

/* ---- the interface ---- */

ptrdiff_t stream_read(struct stream *stream, void *data, size_t len, struct error *err)
{
	size_t given;
	ptrdiff_t n;

	driver_flush(stream);
	given = driver_take(stream, data, len);
	if (given != 0) {
		stream_flush_low(stream);
		return (ptrdiff_t)given;
	}
	n = stream_read_low(stream, data, len);
	return n >= 0 ? n : report(stream, err);
}

int stream_write(struct stream *stream, const void *data, size_t len, struct error *err)
{
	if (driver_flush(stream) != 0 || stream_write_low(stream, data, len) != 0)
		return report(stream, err);
	return 0;
}

int stream_flush(struct stream *stream, struct error *err)
{
	if (driver_flush(stream) != 0 || stream_flush_low(stream) != 0)
		return report(stream, err);
	return 0;
}

size_t stream_pending(const struct stream *stream)
{
	return driver_pending(stream) + buffered(stream);
}

bool stream_is_encrypted(const struct stream *stream)
{
	return stream->ssl != NULL;
}

void stream_get_traffic(const struct stream *stream, struct stream_traffic *traffic)
{
	*traffic = stream->traffic;
}

int stream_get_error(const struct stream *stream, struct error *err)
{
	return stream->error.kind != ERROR_NONE ? report(stream, err) : 0;
}

static void forget_input(struct stream *stream)
{
	char byte;

	while (driver_take(stream, &byte, 1) != 0)
		;
	stream->in_start = stream->in_end = 0;
}

int stream_start_tls(struct stream *stream, struct error *err)
{
	if (stream_flush(stream, err) != 0)
		return -1;
	if (stream->ssl != NULL)
		stream_fail(stream, ERROR_CERTIFICATE, "TLS with %s was already started",
			    stream->host);
	else if (stream_pending(stream) != 0)
		stream_fail(stream, ERROR_CERTIFICATE,
			    "%s sent %zu octets in plain text after STARTTLS: someone may be "
			    "tampering with "
			    "the connection",
			    stream->host, stream_pending(stream));
	else
		tls_start(stream);
	if (stream->error.kind == ERROR_NONE)
		return 0;
	forget_input(stream);
	return report(stream, err);
}

int stream_start_deflate(struct stream *stream, struct error *err)
{
	if (stream_flush(stream, err) != 0)
		return -1;
	return deflate_start(stream) == 0 ? 0 : report(stream, err);
}

/* ---- opening and closing ---- */

static bool has_tunnel(const struct stream_options *options)
{
	return options->tunnel != NULL && *options->tunnel != '\0';
}

static struct stream *stream_new(const struct stream_options *options)
{
	struct stream *stream = xcalloc(1, sizeof(*stream));
	int seconds = options->timeout > 0 ? options->timeout : DEFAULT_TIMEOUT;

	stream->fd = -1;
	stream->stop_fd = options->stop_fd;
	stream->timeout = (seconds < MAX_TIMEOUT ? seconds : MAX_TIMEOUT) * 1000;
	stream->port = options->port;
	stream->host = xstrdup(has_tunnel(options) ? "the tunnel" : options->host);
	return stream;
}

static int open_connection(struct stream *stream, const struct stream_options *options)
{
	if (has_tunnel(options))
		return tunnel_open(stream, options->tunnel);
	if (connect_host(stream, options) != 0)
		return -1;
	return options->tls == TLS_IMPLICIT ? tls_start(stream) : 0;
}

int stream_open(struct stream **result, const struct stream_options *options, struct error *err)
{
	struct stream *stream;
	int status = 0;

	*result = NULL;
	if (!has_tunnel(options) && host_check(options->host, err) != 0)
		return -1;
	stream = stream_new(options);
	if (!has_tunnel(options) && options->tls != TLS_NONE)
		status = trust_prepare(stream, options, err);
	if (status == 0 && open_connection(stream, options) != 0)
		status = report(stream, err);
	if (status != 0)
		stream_close(&stream);
	*result = stream;
	return status;
}

void stream_close(struct stream **result)
{
	struct stream *stream = *result;

	*result = NULL;
	if (stream == NULL)
		return;
	driver_release(stream);
	tls_release(stream);
	deflate_release(stream);
	if (stream->fd >= 0)
		close(stream->fd);
	tunnel_close(stream);
	free(stream->in);
	free(stream->out);
	free(stream->ca_file);
	free(stream->ticket_key);
	free(stream->host);
	free(stream);
}
