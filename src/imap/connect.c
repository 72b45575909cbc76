/* A connection to one of several addresses. An address that is dead in silence (IPv6 that is not
 * really there, one server of three) must not cost the whole timeout, so the next address is tried
 * after 2 s while the earlier ones are still being waited for; one that fails at once makes way at
 * once. The first that answers is taken. */
#include "imap/stream_private.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"

#define MAX_ATTEMPTS 16
#define HEAD_START 2000 /* milliseconds an address has before the next is tried */

struct race {
	struct stream *stream;
	const struct addrinfo *next;         /* not tried yet */
	struct pollfd fds[MAX_ATTEMPTS + 1]; /* the last is stop_fd */
	size_t n;
	int64_t deadline;
	int64_t next_start;
	int error; /* errno: of all that failed, the one that says most */
};

/* Refused by the server itself says more than a family this machine does not have. */
static int telling(int error)
{
	switch (error) {
	case 0: return 0;
	case EAFNOSUPPORT:
	case EADDRNOTAVAIL:
	case ENETUNREACH: return 1;
	case ECONNREFUSED: return 3;
	default: return 2;
	}
}

static void note_failure(struct race *race, int error)
{
	if (telling(error) > telling(race->error))
		race->error = error;
	race->next_start = 0;
}

/* Returns the socket if it is connected already, else -1. */
static int start_next(struct race *race)
{
	const struct addrinfo *address = race->next;
	int fd = socket(address->ai_family, address->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC,
			address->ai_protocol);

	race->next = address->ai_next;
	race->next_start = wire_clock_ms() + HEAD_START;
	if (fd >= 0 && connect(fd, address->ai_addr, address->ai_addrlen) == 0)
		return fd;
	if (fd >= 0 && errno == EINPROGRESS) {
		race->fds[race->n++] = (struct pollfd){.fd = fd, .events = POLLOUT};
		return -1;
	}
	note_failure(race, errno);
	if (fd >= 0)
		close(fd);
	return -1;
}

/* Returns a connected socket, or -1. */
static int look_at_attempts(struct race *race)
{
	for (size_t i = 0; i < race->n;) {
		int fd = race->fds[i].fd, error = 0;
		socklen_t len = sizeof(error);

		if (race->fds[i].revents == 0) {
			i++;
			continue;
		}
		if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
			error = errno;
		race->fds[i] = race->fds[--race->n];
		if (error == 0)
			return fd;
		note_failure(race, error);
		close(fd);
	}
	return -1;
}

static int all_failed(struct race *race)
{
	struct stream *stream = race->stream;

	if (race->error == ECONNREFUSED)
		return stream_fail(stream, ERROR_NETWORK, "connection to %s port %u refused",
				   stream->host, (unsigned)stream->port);
	if (race->error == ETIMEDOUT)
		return stream_fail(stream, ERROR_NETWORK, "no answer from %s port %u", stream->host,
				   (unsigned)stream->port);
	return stream_fail(stream, ERROR_NETWORK, "cannot connect to %s port %u: %s", stream->host,
			   (unsigned)stream->port, strerror(race->error));
}

/* Until an attempt changes or the next is due. */
static int wait_for_attempts(struct race *race)
{
	struct pollfd *stop = &race->fds[race->n];
	int64_t now = wire_clock_ms(), until = race->deadline;
	int n;

	if (race->next != NULL && race->n < MAX_ATTEMPTS && race->next_start < until)
		until = race->next_start;
	*stop = (struct pollfd){.fd = race->stream->stop_fd, .events = POLLIN};
	n = poll(race->fds, race->n + 1, until > now ? (int)(until - now) : 0);
	if (n < 0)
		return errno == EINTR ? 1 : all_failed(race);
	if (stop->revents != 0)
		return wire_check_stop(race->stream);
	if (n == 0 && wire_clock_ms() >= race->deadline)
		return wire_no_answer(race->stream);
	return n == 0; /* then no attempt is worth a look */
}

static int run_race(struct race *race)
{
	int fd, status;

	for (;;) {
		while (race->next != NULL && race->n < MAX_ATTEMPTS &&
		       wire_clock_ms() >= race->next_start) {
			fd = start_next(race);
			if (fd >= 0)
				return fd;
		}
		if (race->n == 0)
			return all_failed(race);
		status = wait_for_attempts(race);
		if (status < 0)
			return -1;
		fd = status == 0 ? look_at_attempts(race) : -1;
		if (fd >= 0)
			return fd;
	}
}

int connect_any(struct stream *stream, const struct addrinfo *list)
{
	struct race race = {
		.stream = stream, .next = list, .deadline = wire_clock_ms() + stream->timeout};
	int fd = run_race(&race), on = 1;

	for (size_t i = 0; i < race.n; i++)
		close(race.fds[i].fd);
	if (fd < 0)
		return -1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	stream->fd = fd;
	return 0;
}

bool address_is_loopback(const struct sockaddr *address)
{
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;

	if (address->sa_family == AF_INET) {
		memcpy(&v4, address, sizeof(v4));
		return ntohl(v4.sin_addr.s_addr) >> 24 == 127;
	}
	if (address->sa_family != AF_INET6)
		return false;
	memcpy(&v6, address, sizeof(v6));
	if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr))
		return v6.sin6_addr.s6_addr[12] == 127;
	return IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr);
}

static int check_peer(struct stream *stream, const struct stream_options *options)
{
	union {
		struct sockaddr plain;
		struct sockaddr_storage storage;
	} peer = {0};
	socklen_t len = sizeof(peer);
	char name[NI_MAXHOST] = "?";

	if (getpeername(stream->fd, &peer.plain, &len) != 0)
		return stream_fail(stream, ERROR_NETWORK, "connection to %s lost: %s", stream->host,
				   strerror(errno));
	getnameinfo(&peer.plain, len, name, sizeof(name), NULL, 0, NI_NUMERICHOST);
	log_verbose("connected to %s (%s) port %u", stream->host, name, (unsigned)stream->port);
	if (options->tls != TLS_NONE || options->allow_plaintext ||
	    address_is_loopback(&peer.plain))
		return 0;
	return stream_fail(stream, ERROR_CONFIG,
			   "tls = 'none' would send the password in the clear to %s: "
			   "use tls = 'implicit' or 'starttls', or set allow-plaintext = yes",
			   stream->host);
}

int connect_host(struct stream *stream, const struct stream_options *options)
{
	struct addrinfo *list;
	int status;

	if (resolve_host(stream, &list) != 0)
		return -1;
	status = connect_any(stream, list);
	freeaddrinfo(list);
	return status == 0 ? check_peer(stream, options) : -1;
}
