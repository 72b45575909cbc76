/* Looking up a host. getaddrinfo cannot be interrupted and has its own idea of patience (half a
 * minute with a dead name server), so a name is looked up in a thread of its own. If the run stops
 * or the time is over first, the thread is left to itself: it frees what it has when it is done. */
#include "imap/stream_private.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/text.h"

#define RESOLVER_STACK ((size_t)512 << 10)

struct lookup {
	pthread_mutex_t lock;
	bool done;
	bool abandoned;
	int done_fd;
	char *host;
	char port[8];
	pthread_t thread;
	int status; /* of getaddrinfo */
	int error;  /* errno, for EAI_SYSTEM */
	struct addrinfo *list;
};

static int look_up(struct lookup *lookup, const char *host, int flags)
{
	struct addrinfo hints = {.ai_family = AF_UNSPEC,
				 .ai_socktype = SOCK_STREAM,
				 .ai_flags = flags | AI_NUMERICSERV};
	int status = getaddrinfo(host, lookup->port, &hints, &lookup->list);

	lookup->error = errno;
	return status;
}

/* RFC 6761, 6.3: localhost is this machine, also where no /etc/hosts says so. */
static int look_up_name(struct lookup *lookup)
{
	int status = look_up(lookup, lookup->host, 0);

	if (status != 0 && ascii_case_equal(lookup->host, "localhost"))
		status = look_up(lookup, "127.0.0.1", AI_NUMERICHOST);
	return status;
}

static void lookup_free(struct lookup *lookup)
{
	if (lookup->list != NULL)
		freeaddrinfo(lookup->list);
	if (lookup->done_fd >= 0)
		close(lookup->done_fd);
	pthread_mutex_destroy(&lookup->lock);
	free(lookup->host);
	free(lookup);
}

static void *lookup_run(void *arg)
{
	struct lookup *lookup = arg;
	bool abandoned;
	int status = look_up_name(lookup);

	pthread_mutex_lock(&lookup->lock);
	lookup->status = status;
	lookup->done = true;
	abandoned = lookup->abandoned;
	if (!abandoned)
		eventfd_write(lookup->done_fd, 1);
	pthread_mutex_unlock(&lookup->lock);
	if (abandoned)
		lookup_free(lookup);
	return NULL;
}

/* Signals are for the threads that know what to do about them. */
static int start_thread(struct lookup *lookup)
{
	pthread_attr_t attr;
	sigset_t all, old;
	int status;

	sigfillset(&all);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, RESOLVER_STACK);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	status = pthread_create(&lookup->thread, &attr, lookup_run, lookup);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	return status;
}

static int wait_for_lookup(struct stream *stream, const struct lookup *lookup)
{
	struct pollfd fds[2] = {{.fd = lookup->done_fd, .events = POLLIN},
				{.fd = stream->stop_fd, .events = POLLIN}};
	int64_t deadline = wire_clock_ms() + stream->timeout, left;
	int n;

	do {
		left = deadline - wire_clock_ms();
		n = poll(fds, 2, left > 0 ? (int)left : 0);
	} while (n < 0 && errno == EINTR);
	if (fds[1].revents != 0)
		return wire_check_stop(stream);
	if (n <= 0)
		return stream_fail(stream, ERROR_NETWORK,
				   "cannot find the address of %s: no answer for %d seconds",
				   stream->host, stream->timeout / 1000);
	return 0;
}

static int finish(struct stream *stream, struct lookup *lookup, struct addrinfo **list)
{
	if (lookup->status != 0)
		return stream_fail(stream, ERROR_NETWORK, "cannot find the address of %s: %s",
				   stream->host,
				   lookup->status == EAI_SYSTEM ? strerror(lookup->error)
								: gai_strerror(lookup->status));
	*list = lookup->list;
	lookup->list = NULL;
	return 0;
}

/* The thread is running: returns whether the lookup is ours to read and to free. A thread that is
 * done is waited for, since what the C library keeps for it goes only with its end. */
static bool await_thread(struct stream *stream, struct lookup *lookup)
{
	pthread_t thread = lookup->thread;
	bool done;

	wait_for_lookup(stream, lookup);
	pthread_mutex_lock(&lookup->lock);
	done = lookup->done;
	lookup->abandoned = !done;
	pthread_mutex_unlock(&lookup->lock);
	if (done)
		pthread_join(thread, NULL);
	else
		pthread_detach(thread);
	return done;
}

int resolve_host(struct stream *stream, struct addrinfo **list)
{
	struct lookup *lookup = xcalloc(1, sizeof(*lookup));
	int status;

	pthread_mutex_init(&lookup->lock, NULL);
	lookup->host = xstrdup(stream->host);
	lookup->done_fd = -1;
	snprintf(lookup->port, sizeof(lookup->port), "%u", (unsigned)stream->port);
	lookup->status = look_up(lookup, lookup->host, AI_NUMERICHOST);
	if (lookup->status != 0) {
		lookup->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (lookup->done_fd < 0 || start_thread(lookup) != 0)
			lookup->status = look_up_name(lookup);
		else if (!await_thread(stream, lookup))
			return -1;
	}
	status = stream->error.kind == ERROR_NONE ? finish(stream, lookup, list) : -1;
	lookup_free(lookup);
	return status;
}
