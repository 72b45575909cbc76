/* Running a command of the user's. The delicate points:
 *
 * - Own process group: ^C at the terminal reaches us alone, and stopping a command stops all that
 *   its shell started. The group is set on both sides of the fork, whoever comes first.
 * - A group in the background that reads from the terminal is stopped by SIGTTIN and would hang us.
 *   So, as a shell does, we lend it the terminal when it asks, and take it back when it has ended.
 * - Whatever we hold open (locks, sockets, pipes of other accounts) must not leak: all descriptors
 *   from 3 up are closed.
 * - Only the first line counts, but the rest must be read too, or the command would block or die
 *   of SIGPIPE. */
#include "base/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/memory.h"

#define LINE_MAX_OCTETS 65536
#define STOP_PATIENCE 60 /* looks of 50 ms from SIGTERM to SIGKILL */

static void close_inherited(void)
{
	if (close_range(3, ~0U, 0) == 0)
		return;
	for (int fd = 3; fd < 1024; fd++)
		close(fd);
}

static void reset_signals(void)
{
	sigset_t none;

	for (int i = 1; i < NSIG; i++) {
		if (i != SIGKILL && i != SIGSTOP)
			signal(i, SIG_DFL);
	}
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static void add_environment(const struct process_options *options)
{
	for (size_t i = 0; i < options->n_environment; i++) {
		const char *entry = options->environment[i];
		const char *equals = strchr(entry, '=');
		char *name;

		if (equals == NULL)
			continue;
		name = xstrndup(entry, (size_t)(equals - entry));
		setenv(name, equals + 1, 1);
		free(name);
	}
}

__attribute__((noreturn)) static void become_command(const struct process_options *options,
						     pid_t parent, int output)
{
	int null = open("/dev/null", O_RDWR);

	setpgid(0, 0);
	reset_signals();
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(127);
	if (null < 0 || dup2(null, STDIN_FILENO) < 0)
		_exit(127);
	if (dup2(options->capture ? output : STDERR_FILENO, STDOUT_FILENO) < 0)
		_exit(127);
	close_inherited();
	add_environment(options);
	execl("/bin/sh", "sh", "-c", options->command, (char *)NULL);
	_exit(127);
}

int process_start(struct process *process, const struct process_options *options, struct error *err)
{
	int ends[2] = {-1, -1};
	pid_t parent = getpid(), pid;

	memset(process, 0, sizeof(*process));
	process->fd = -1;
	if (options->capture && pipe2(ends, O_CLOEXEC) != 0)
		return error_errno(err, ERROR_LOCAL, "cannot make a pipe");
	pid = fork();
	if (pid == 0)
		become_command(options, parent, ends[1]);
	if (options->capture)
		close(ends[1]);
	if (pid < 0) {
		error_errno(err, ERROR_LOCAL, "cannot start a process");
		if (options->capture)
			close(ends[0]);
		return -1;
	}
	setpgid(pid, pid);
	process->pid = pid;
	process->fd = ends[0];
	if (process->fd >= 0)
		fcntl(process->fd, F_SETFL, O_NONBLOCK);
	return 0;
}

static void take_output(struct process *process, const char *data, size_t len)
{
	const char *end = memchr(data, '\n', len);

	if (process->line_ended)
		return;
	if (end != NULL) {
		len = (size_t)(end - data);
		process->line_ended = true;
	}
	if (process->line.len + len > LINE_MAX_OCTETS)
		len = LINE_MAX_OCTETS - process->line.len;
	/* Room for all of it from the start: growing would leave copies of a secret behind. */
	if (process->line.room == 0) {
		process->line.data = xcalloc(1, LINE_MAX_OCTETS + 1);
		process->line.room = LINE_MAX_OCTETS + 1;
	}
	text_add(&process->line, data, len);
}

void process_read(struct process *process)
{
	char data[4096];
	ssize_t len;

	while (process->fd >= 0) {
		len = read(process->fd, data, sizeof(data));
		if (len > 0) {
			take_output(process, data, (size_t)len);
			continue;
		}
		if (len < 0 && errno == EINTR)
			continue;
		if (len < 0 && errno == EAGAIN)
			break;
		close(process->fd);
		process->fd = -1;
	}
	explicit_bzero(data, sizeof(data));
}

/* The terminal's foreground group; SIGTTOU would stop us while we are in the background. */
static bool give_terminal(pid_t group)
{
	sigset_t set, old;
	int tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
	bool given;

	if (tty < 0)
		return false;
	sigemptyset(&set);
	sigaddset(&set, SIGTTOU);
	sigprocmask(SIG_BLOCK, &set, &old);
	given = tcsetpgrp(tty, group) == 0;
	sigprocmask(SIG_SETMASK, &old, NULL);
	close(tty);
	return given;
}

static void on_stopped(struct process *process, int signal_number)
{
	if (signal_number != SIGTTIN && signal_number != SIGTTOU)
		return;
	if (!process->has_terminal && give_terminal(process->pid)) {
		process->has_terminal = true;
		kill(-process->pid, SIGCONT);
	} else {
		kill(-process->pid, SIGKILL);
	}
}

bool process_ended(struct process *process, int *status)
{
	pid_t pid = waitpid(process->pid, status, WNOHANG | WUNTRACED);

	if (pid == process->pid && WIFSTOPPED(*status)) {
		on_stopped(process, WSTOPSIG(*status));
		return false;
	}
	if (pid == 0 || (pid < 0 && errno == EINTR))
		return false;
	if (pid < 0) /* not our child any more: count it as failed */
		*status = 127 << 8;
	if (process->has_terminal)
		give_terminal(getpgrp());
	process->has_terminal = false;
	process_read(process);
	process->pid = 0;
	return true;
}

void process_stop(struct process *process, int signal_number)
{
	if (process->pid > 0) {
		kill(-process->pid, signal_number);
		kill(-process->pid, SIGCONT);
	}
}

void wipe(char *secret)
{
	if (secret != NULL)
		explicit_bzero(secret, strlen(secret));
}

void process_release(struct process *process)
{
	if (process->fd >= 0)
		close(process->fd);
	process->fd = -1;
	if (process->line.data != NULL)
		explicit_bzero(process->line.data, process->line.room);
	text_release(&process->line);
}

/* A command may leave something in the background that holds the pipe open, so the end of the
 * process is what counts, not the end of its output: hence the short sleeps of poll. */
static int wait_for(struct process *process, int stop_fd, int *status)
{
	int stopped = 0, pause = 1; /* stopped: looks since then, 50 ms each */

	while (!process_ended(process, status)) {
		struct pollfd fds[2] = {{.fd = process->fd, .events = POLLIN},
					{.fd = stopped ? -1 : stop_fd, .events = POLLIN}};

		if (poll(fds, 2, pause) == 0 && pause < 50)
			pause *= 2;
		process_read(process);
		if (!stopped && fds[1].revents != 0)
			process_stop(process, SIGTERM);
		else if (stopped == STOP_PATIENCE)
			process_stop(process, SIGKILL);
		stopped += stopped || fds[1].revents != 0;
	}
	return stopped;
}

int process_run(const struct process_options *options, int stop_fd, struct text *line, int *status,
		struct error *err)
{
	struct process process;
	int stopped;

	if (process_start(&process, options, err) != 0)
		return -1;
	stopped = wait_for(&process, stop_fd, status);
	if (line != NULL && !stopped) {
		*line = process.line;
		memset(&process.line, 0, sizeof(process.line));
	}
	process_release(&process);
	return stopped ? error_set(err, ERROR_STOPPED, "stopped by a signal") : 0;
}

char *process_describe(int status)
{
	if (WIFSIGNALED(status))
		return xasprintf("was killed by signal %d (%s)", WTERMSIG(status),
				 strsignal(WTERMSIG(status)));
	return xasprintf("ended with status %d", WEXITSTATUS(status));
}
