/* A command that speaks IMAP on its standard input and output, instead of a connection. One socket
 * pair serves both, so the stream need not know. The command gets a process group of its own, no
 * descriptors but 0 to 2, and no signal settings of ours.
 *
 * It ends by itself when its input ends (ssh, imapd); what does not, is told to, with its group. The
 * group is signalled before the child is reaped: until then its number cannot belong to a stranger. */
#include "imap/stream_private.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"

#define GRACE 500 /* milliseconds to end by itself, and again after SIGTERM */
#define STEP 5

extern char **environ;

/* Every descriptor of ours is close-on-exec; those that came from our parent may not be. */
static int close_the_rest(posix_spawn_file_actions_t *actions)
{
#ifdef __GLIBC_PREREQ
#if __GLIBC_PREREQ(2, 34)
	return posix_spawn_file_actions_addclosefrom_np(actions, 3);
#endif
#endif
	(void)actions;
	return 0;
}

static int set_attributes(posix_spawnattr_t *attributes)
{
	sigset_t all, none;

	sigfillset(&all);
	sigemptyset(&none);
	posix_spawnattr_setsigdefault(attributes, &all);
	posix_spawnattr_setsigmask(attributes, &none);
	posix_spawnattr_setpgroup(attributes, 0);
	return posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK |
							    POSIX_SPAWN_SETPGROUP);
}

static int spawn(pid_t *pid, const char *command, int fd)
{
	char *copy = xstrdup(command), sh[] = "sh", c[] = "-c";
	char *argv[] = {sh, c, copy, NULL};
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	int status;

	posix_spawn_file_actions_init(&actions);
	posix_spawnattr_init(&attributes);
	status = posix_spawn_file_actions_adddup2(&actions, fd, STDIN_FILENO);
	if (status == 0)
		status = posix_spawn_file_actions_adddup2(&actions, fd, STDOUT_FILENO);
	if (status == 0)
		status = close_the_rest(&actions);
	if (status == 0)
		status = set_attributes(&attributes);
	if (status == 0)
		status = posix_spawn(pid, "/bin/sh", &actions, &attributes, argv, environ);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	free(copy);
	return status;
}

/* A pair above the standard descriptors, so that putting one of them there cannot hit the other. */
static int make_pair(int fds[2])
{
	int raw[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, raw) != 0)
		return -1;
	for (int i = 0; i < 2; i++) {
		fds[i] = fcntl(raw[i], F_DUPFD_CLOEXEC, 3);
		close(raw[i]);
	}
	if (fds[0] >= 0 && fds[1] >= 0 && fcntl(fds[0], F_SETFL, O_NONBLOCK) == 0)
		return 0;
	if (fds[0] >= 0)
		close(fds[0]);
	if (fds[1] >= 0)
		close(fds[1]);
	return -1;
}

int tunnel_open(struct stream *stream, const char *command)
{
	int fds[2], status;

	if (make_pair(fds) != 0)
		return stream_fail(stream, ERROR_LOCAL, "cannot start the tunnel: %s",
				   strerror(errno));
	stream->fd = fds[0];
	status = spawn(&stream->tunnel_pid, command, fds[1]);
	close(fds[1]);
	if (status != 0) {
		stream->tunnel_pid = 0;
		return stream_fail(stream, ERROR_LOCAL, "cannot start the tunnel: %s",
				   strerror(status));
	}
	log_verbose("tunnel: %s", command);
	return 0;
}

/* Whether it has ended; it stays to be reaped. 1 yes, 0 not in that time, -1 not our child (any more). */
static int await_end(pid_t pid, int milliseconds, siginfo_t *info)
{
	for (int waited = 0;; waited += STEP) {
		memset(info, 0, sizeof(*info));
		if (waitid(P_PID, (id_t)pid, info, WEXITED | WNOHANG | WNOWAIT) != 0)
			return -1;
		if (info->si_pid != 0)
			return 1;
		if (waited >= milliseconds)
			return 0;
		poll(NULL, 0, STEP);
	}
}

int tunnel_ended(struct stream *stream)
{
	siginfo_t info;

	if (await_end(stream->tunnel_pid, GRACE, &info) != 1)
		return stream_fail(stream, ERROR_NETWORK,
				   "the tunnel closed its end of the connection");
	if (info.si_code == CLD_EXITED)
		return stream_fail(stream, ERROR_NETWORK, "the tunnel ended with exit status %d",
				   info.si_status);
	return stream_fail(stream, ERROR_NETWORK, "the tunnel was killed by signal %d",
			   info.si_status);
}

void tunnel_close(struct stream *stream)
{
	pid_t pid = stream->tunnel_pid;
	siginfo_t info;
	int ended;

	if (pid == 0)
		return;
	stream->tunnel_pid = 0;
	ended = await_end(pid, stream->error.kind == ERROR_NONE ? GRACE : 0, &info);
	if (ended < 0)
		return;
	kill(-pid, SIGTERM);
	if (ended == 0)
		await_end(pid, GRACE, &info);
	kill(-pid, SIGKILL);
	waitpid(pid, NULL, 0);
}
