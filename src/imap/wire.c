/* The socket. Every wait of the stream happens in wire_wait: it ends when the socket is ready, when
 * the run is to stop, or when nothing moved for the stream's timeout. A descriptor that is ready
 * means octets, so a fresh deadline for every wait is the same as one since the last octet. */
#include "imap/stream_private.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

int stream_fail(struct stream *stream, enum error_kind kind, const char *fmt, ...)
{
	va_list args;

	if (stream->error.kind != ERROR_NONE)
		return -1;
	stream->error.kind = kind;
	va_start(args, fmt);
	vsnprintf(stream->error.text, sizeof(stream->error.text), fmt, args);
	va_end(args);
	return -1;
}

int64_t wire_clock_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int wire_no_answer(struct stream *stream)
{
	int seconds = stream->timeout / 1000;

	return stream_fail(stream, ERROR_NETWORK, "no answer from %s for %d second%s", stream->host,
			   seconds, seconds == 1 ? "" : "s");
}

static int stopped(struct stream *stream)
{
	return stream_fail(stream, ERROR_STOPPED, "stopped while talking to %s", stream->host);
}

int wire_check_stop(struct stream *stream)
{
	struct pollfd stop = {.fd = stream->stop_fd, .events = POLLIN};

	if (atomic_load(&stream->cancelled) || (stream->stop_fd >= 0 && poll(&stop, 1, 0) > 0))
		return stopped(stream);
	return 0;
}

int wire_wait(struct stream *stream, short events, short *revents)
{
	struct pollfd fds[2] = {{.fd = stream->fd, .events = events},
				{.fd = stream->stop_fd, .events = POLLIN}};
	int64_t deadline = wire_clock_ms() + stream->timeout, left;
	int n;

	do {
		left = deadline - wire_clock_ms();
		n = poll(fds, 2, left > 0 ? (int)left : 0);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return stream_fail(stream, ERROR_NETWORK, "cannot wait for %s: %s", stream->host,
				   strerror(errno));
	if (fds[1].revents != 0 || atomic_load(&stream->cancelled))
		return stopped(stream);
	if (n == 0)
		return wire_no_answer(stream);
	if (revents != NULL)
		*revents = fds[0].revents;
	return 0;
}

/* The connection is gone: why is for errno, the child of a tunnel, or nobody to tell. */
static ptrdiff_t lost(struct stream *stream, int error)
{
	if (atomic_load(&stream->cancelled))
		return stopped(stream);
	if (stream->tunnel_pid != 0 && (error == 0 || error == EPIPE || error == ECONNRESET))
		return tunnel_ended(stream);
	if (error == 0 || error == EPIPE)
		return stream_fail(stream, ERROR_NETWORK, "%s closed the connection", stream->host);
	if (error == ETIMEDOUT)
		return wire_no_answer(stream);
	return stream_fail(stream, ERROR_NETWORK, "connection to %s lost: %s", stream->host,
			   strerror(error));
}

ptrdiff_t socket_receive_now(struct stream *stream, void *data, size_t len)
{
	ssize_t n;

	do {
		n = recv(stream->fd, data, len, 0);
	} while (n < 0 && errno == EINTR);
	if (n > 0) {
		stream->traffic.bytes_in += (uint64_t)n;
		return n;
	}
	stream->want_read = POLLIN;
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return 0;
	return lost(stream, n == 0 ? 0 : errno);
}

ptrdiff_t socket_send_now(struct stream *stream, const void *data, size_t len)
{
	ssize_t n;

	do {
		n = send(stream->fd, data, len, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	if (n >= 0) {
		stream->traffic.bytes_out += (uint64_t)n;
		return n;
	}
	stream->want_write = POLLOUT;
	if (errno == EAGAIN || errno == EWOULDBLOCK)
		return 0;
	return lost(stream, errno);
}
