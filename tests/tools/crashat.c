/* crashat [-s] N program [argument...]
 *
 * Runs a program and kills it, with all its threads and children, at the entry of the N-th
 * system call that could change something outside the process: a file, a directory or what
 * is sent to a peer. The call itself does not happen, so the world is left as it was after
 * N - 1 effects. With N = 0 nothing is killed and the number of such calls is printed on
 * standard error as "crashat: COUNT".
 *
 * With -s the program is held there instead: this tool stops itself (SIGSTOP), and when it is
 * continued, the call happens and the program goes on. So something can be done in its midst.
 *
 * strace's fault injection counts by name of the call and by thread, which leaves points of
 * a program with threads that no number reaches; this tool has one count for all of them.
 *
 * The exit status is the program's own (128 + signal if one ended it), 137 when it was
 * killed here, 125 when tracing itself failed. Only x86-64 and arm64 Linux 5.3 and later. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { KILLED = 137, FAILED = 125 };

static const int options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |
			   PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL;

static const char *const usage = "usage: crashat [-s] N program [argument...]\n";

static bool opens_for_change(uint64_t flags)
{
	return (flags & (O_CREAT | O_TRUNC)) != 0;
}

/* The flags of openat2 stand in the memory of the process, first in its struct open_how. */
static uint64_t peek_flags(pid_t pid, uint64_t address)
{
	uint64_t flags = 0;
	struct iovec here = {&flags, sizeof(flags)};
	struct iovec there = {(void *)(uintptr_t)address, sizeof(flags)};

	if (process_vm_readv(pid, &here, 1, &there, 1, 0) != (ssize_t)sizeof(flags))
		return O_CREAT;
	return flags;
}

static bool changes_names(uint64_t number)
{
	switch (number) {
#ifdef SYS_rename
	case SYS_rename:
	case SYS_link:
	case SYS_unlink:
	case SYS_mkdir:
	case SYS_rmdir:
	case SYS_symlink:
	case SYS_mknod:
	case SYS_chmod:
	case SYS_utime:
	case SYS_utimes:
	case SYS_futimesat:
#endif
#ifdef SYS_renameat
	case SYS_renameat:
#endif
	case SYS_renameat2:
	case SYS_linkat:
	case SYS_unlinkat:
	case SYS_mkdirat:
	case SYS_symlinkat:
	case SYS_mknodat:
	case SYS_fchmodat:
	case SYS_utimensat: return true;
	default: return false;
	}
}

static bool changes_data(uint64_t number)
{
	switch (number) {
	case SYS_write:
	case SYS_pwrite64:
	case SYS_writev:
	case SYS_pwritev:
	case SYS_pwritev2:
	case SYS_sendto:
	case SYS_sendmsg:
	case SYS_sendmmsg:
	case SYS_sendfile:
	case SYS_copy_file_range:
	case SYS_splice:
	case SYS_fsync:
	case SYS_fdatasync:
	case SYS_sync:
	case SYS_syncfs:
	case SYS_sync_file_range:
	case SYS_msync:
	case SYS_truncate:
	case SYS_ftruncate:
	case SYS_fallocate: return true;
	default: return false;
	}
}

static bool is_effect(pid_t pid, const struct __ptrace_syscall_info *info)
{
	uint64_t number = info->entry.nr;

	switch (number) {
#ifdef SYS_open
	case SYS_open: return opens_for_change(info->entry.args[1]);
	case SYS_creat: return true;
#endif
	case SYS_openat: return opens_for_change(info->entry.args[2]);
	case SYS_openat2: return opens_for_change(peek_flags(pid, info->entry.args[2]));
	default: return changes_names(number) || changes_data(number);
	}
}

/* Standard output and error are reports, not effects on mail. */
static bool is_report(const struct __ptrace_syscall_info *info)
{
	return (info->entry.nr == SYS_write || info->entry.nr == SYS_writev) &&
	       (info->entry.args[0] == STDOUT_FILENO || info->entry.args[0] == STDERR_FILENO);
}

/* All tasks seen, so that each can be killed: a child may have a process group of its own. */
static struct {
	pid_t *pids;
	size_t count, room;
} tasks;

static void tasks_add(pid_t pid)
{
	for (size_t i = 0; i < tasks.count; i++) {
		if (tasks.pids[i] == pid)
			return;
	}
	if (tasks.count == tasks.room) {
		tasks.room = tasks.room == 0 ? 16 : tasks.room * 2;
		tasks.pids = realloc(tasks.pids, tasks.room * sizeof(*tasks.pids));
		if (tasks.pids == NULL)
			abort();
	}
	tasks.pids[tasks.count++] = pid;
}

static void tasks_remove(pid_t pid)
{
	for (size_t i = 0; i < tasks.count; i++) {
		if (tasks.pids[i] == pid) {
			tasks.pids[i] = tasks.pids[--tasks.count];
			return;
		}
	}
}

/* A child that was being made at that moment shows itself only now, by its first stop. */
static void kill_all(void)
{
	int status;
	pid_t pid;

	for (size_t i = 0; i < tasks.count; i++)
		kill(tasks.pids[i], SIGKILL);
	while ((pid = waitpid(-1, &status, __WALL)) > 0 || errno == EINTR) {
		if (pid > 0 && WIFSTOPPED(status))
			kill(pid, SIGKILL);
	}
}

static pid_t start(char *const argv[])
{
	pid_t pid = fork();

	if (pid == 0) {
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
			_exit(FAILED);
		raise(SIGSTOP);
		execvp(argv[0], argv);
		fprintf(stderr, "crashat: %s: %s\n", argv[0], strerror(errno));
		_exit(127);
	}
	return pid;
}

/* The signal to hand on to the task: none for the stops that tracing itself makes. */
static int signal_of(int status, bool seen_before)
{
	int signal = WSTOPSIG(status);

	if (status >> 16 != 0 || signal == (SIGTRAP | 0x80))
		return 0;
	if (signal == SIGSTOP && !seen_before)
		return 0;
	return signal;
}

static bool task_known(pid_t pid)
{
	for (size_t i = 0; i < tasks.count; i++) {
		if (tasks.pids[i] == pid)
			return true;
	}
	return false;
}

/* True when this stop is the N-th effect. */
static bool is_the_point(pid_t pid, int status, uint64_t n, uint64_t *count)
{
	struct __ptrace_syscall_info info;

	if (WSTOPSIG(status) != (SIGTRAP | 0x80))
		return false;
	if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof(info), &info) <= 0)
		return false;
	if (info.op != PTRACE_SYSCALL_INFO_ENTRY || is_report(&info) || !is_effect(pid, &info))
		return false;
	return ++*count == n;
}

static int exit_status(int status)
{
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Until the first process has ended and no task is left. */
static int follow(pid_t first, uint64_t n, bool hold, uint64_t *count)
{
	int status, result = FAILED;
	pid_t pid;

	while ((pid = waitpid(-1, &status, __WALL)) > 0 || errno == EINTR) {
		bool known;

		if (pid <= 0)
			continue;
		if (!WIFSTOPPED(status)) {
			tasks_remove(pid);
			if (pid == first)
				result = exit_status(status);
			continue;
		}
		known = task_known(pid);
		tasks_add(pid);
		if (is_the_point(pid, status, n, count)) {
			if (!hold) {
				kill_all();
				return KILLED;
			}
			raise(SIGSTOP);
		}
		ptrace(PTRACE_SYSCALL, pid, NULL, (void *)(intptr_t)signal_of(status, known));
	}
	return result;
}

int main(int argc, char *argv[])
{
	bool hold = argc > 1 && strcmp(argv[1], "-s") == 0;
	uint64_t n, count = 0;
	char *end;
	pid_t first;
	int status;

	argc -= hold;
	argv += hold;
	if (argc < 3 || (n = strtoull(argv[1], &end, 10), *end != '\0')) {
		fputs(usage, stderr);
		return 64;
	}
	first = start(argv + 2);
	if (first < 0 || waitpid(first, &status, 0) != first || !WIFSTOPPED(status) ||
	    ptrace(PTRACE_SETOPTIONS, first, NULL, (void *)(intptr_t)options) != 0) {
		fprintf(stderr, "crashat: cannot trace %s: %s\n", argv[2], strerror(errno));
		return FAILED;
	}
	tasks_add(first);
	ptrace(PTRACE_SYSCALL, first, NULL, NULL);
	status = follow(first, n, hold, &count);
	if (n == 0)
		fprintf(stderr, "crashat: %llu\n", (unsigned long long)count);
	free(tasks.pids);
	return status;
}
