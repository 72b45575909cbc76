/* crashat [-s | -l | -e ERRNO] N program [argument...]
 *
 * Runs a program and kills it, with all its threads and children, at the entry of the N-th
 * system call that could change something outside the process: a file, a directory or what
 * is sent to a peer. The call itself does not happen, so the world is left as it was after
 * N - 1 effects. With N = 0 nothing happens and the number of such calls is printed on
 * standard error as "crashat: COUNT".
 *
 *   -s        instead of the end, a pause: this tool stops itself (SIGSTOP), and when it is
 *             continued, the call happens and the program goes on. So something can be done in
 *             its midst.
 *   -l        the same, and what looks at the mail counts too: directories read, files found or
 *             opened below one, answers received.
 *   -e ERRNO  instead of the end, a failure: the N-th effect on a file is not carried out but
 *             fails with that number, once.
 *
 * strace's fault injection counts by name of the call and by thread, which leaves points of
 * a program with threads that no number reaches; this tool has one count for all of them.
 *
 * The exit status is the program's own (128 + signal if one ended it), 137 when it was
 * killed here, 125 when tracing itself failed. Only x86-64 and arm64 Linux 5.3 and later. */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

enum { KILLED = 137, FAILED = 125 };

static const int options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |
			   PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL;

static const char *const usage = "usage: crashat [-s | -l | -e ERRNO] N program [argument...]\n";

enum mode { MODE_KILL, MODE_HOLD, MODE_FAIL };

static struct {
	enum mode mode;
	bool looks;    /* count too */
	int error;     /* MODE_FAIL */
	pid_t failing; /* the task whose call must return it; 0: none */
	uint64_t n, count;
} plan;

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

/* Below the root of a Maildir or a state directory all is opened from a directory; what the loader
 * and the libraries open has absolute names. */
static bool is_look(const struct __ptrace_syscall_info *info)
{
	bool below = (int)info->entry.args[0] != AT_FDCWD;

	switch (info->entry.nr) {
	case SYS_openat:
	case SYS_openat2: return below;
#ifdef SYS_newfstatat
	case SYS_newfstatat: return below && (info->entry.args[3] & AT_EMPTY_PATH) == 0;
#endif
	case SYS_statx: return below && (info->entry.args[2] & AT_EMPTY_PATH) == 0;
	case SYS_getdents64:
	case SYS_recvfrom: return true;
	default: return false;
	}
}

static bool is_on_file(pid_t pid, const struct __ptrace_syscall_info *info)
{
	char link[64], target[8];

	if (changes_names(info->entry.nr) || !changes_data(info->entry.nr))
		return true;
	snprintf(link, sizeof(link), "/proc/%d/fd/%d", (int)pid, (int)info->entry.args[0]);
	return readlink(link, target, sizeof(target)) > 0 && target[0] == '/';
}

static bool counts(pid_t pid, const struct __ptrace_syscall_info *info)
{
	bool effect = !is_report(info) && is_effect(pid, info);

	if (plan.looks)
		return effect || is_look(info);
	return effect && (plan.mode != MODE_FAIL || is_on_file(pid, info));
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

/* The call of a task that stopped at its entry becomes none. */
static int cancel_call(pid_t pid)
{
#if defined(__x86_64__)
	return (int)ptrace(PTRACE_POKEUSER, pid, offsetof(struct user, regs.orig_rax), (void *)-1L);
#elif defined(__aarch64__)
	int none = -1;
	struct iovec io = {&none, sizeof(none)};

	return (int)ptrace(PTRACE_SETREGSET, pid, NT_ARM_SYSTEM_CALL, &io);
#endif
}

/* What a call returns, at its exit. */
static int set_result(pid_t pid, long result)
{
#if defined(__x86_64__)
	return (int)ptrace(PTRACE_POKEUSER, pid, offsetof(struct user, regs.rax), (void *)result);
#elif defined(__aarch64__)
	struct user_regs_struct regs;
	struct iovec io = {&regs, sizeof(regs)};

	if (ptrace(PTRACE_GETREGSET, pid, NT_PRSTATUS, &io) != 0)
		return -1;
	regs.regs[0] = (unsigned long long)result;
	return (int)ptrace(PTRACE_SETREGSET, pid, NT_PRSTATUS, &io);
#endif
}

static void fail_call(pid_t pid)
{
	if (cancel_call(pid) == 0)
		plan.failing = pid;
}

/* True when this stop is the N-th call that counts. */
static bool is_the_point(pid_t pid, int status)
{
	struct __ptrace_syscall_info info;

	if (WSTOPSIG(status) != (SIGTRAP | 0x80))
		return false;
	if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof(info), &info) <= 0)
		return false;
	if (info.op == PTRACE_SYSCALL_INFO_EXIT && plan.failing == pid) {
		set_result(pid, -plan.error);
		plan.failing = 0;
	}
	return info.op == PTRACE_SYSCALL_INFO_ENTRY && counts(pid, &info) && ++plan.count == plan.n;
}

/* False: all is over. */
static bool act(pid_t pid)
{
	switch (plan.mode) {
	case MODE_HOLD: raise(SIGSTOP); return true;
	case MODE_FAIL: fail_call(pid); return true;
	case MODE_KILL: break;
	}
	kill_all();
	return false;
}

static int exit_status(int status)
{
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Until the first process has ended and no task is left. */
static int follow(pid_t first)
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
		if (is_the_point(pid, status) && !act(pid))
			return KILLED;
		ptrace(PTRACE_SYSCALL, pid, NULL, (void *)(intptr_t)signal_of(status, known));
	}
	return result;
}

static bool number_of(const char *text, uint64_t *number)
{
	char *end;

	*number = strtoull(text, &end, 10);
	return *text != '\0' && *end == '\0';
}

/* The program and its arguments; NULL if this is no such command. */
static char **read_plan(int argc, char *argv[])
{
	uint64_t value;
	int option;

	while ((option = getopt(argc, argv, "+sle:")) != -1) {
		plan.mode = option == 'e' ? MODE_FAIL : MODE_HOLD;
		plan.looks = option == 'l';
		if (option == '?' || (option == 'e' && !number_of(optarg, &value)))
			return NULL;
		if (option == 'e')
			plan.error = (int)value;
	}
	if (argc - optind < 2 || !number_of(argv[optind], &plan.n))
		return NULL;
	return argv + optind + 1;
}

int main(int argc, char *argv[])
{
	char **program = read_plan(argc, argv);
	pid_t first;
	int status;

	if (program == NULL) {
		fputs(usage, stderr);
		return 64;
	}
	first = start(program);
	if (first < 0 || waitpid(first, &status, 0) != first || !WIFSTOPPED(status) ||
	    ptrace(PTRACE_SETOPTIONS, first, NULL, (void *)(intptr_t)options) != 0) {
		fprintf(stderr, "crashat: cannot trace %s: %s\n", program[0], strerror(errno));
		return FAILED;
	}
	tasks_add(first);
	ptrace(PTRACE_SYSCALL, first, NULL, NULL);
	status = follow(first);
	if (plan.n == 0)
		fprintf(stderr, "crashat: %llu\n", (unsigned long long)plan.count);
	free(tasks.pids);
	return status;
}
