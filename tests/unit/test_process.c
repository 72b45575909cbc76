/* Commands of the user's: what they print, how they end, what they inherit, how they are stopped. */
#include "base/process.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/memory.h"
#include "check.h"

/* Runs, checks the status; the line, which the caller frees. */
static char *line_of(const char *command, int want_status)
{
	struct process_options options = {.command = command, .capture = true};
	struct text line = {0};
	struct error err;
	int status = -1;

	CU_ASSERT(process_run(&options, -1, &line, &status, &err) == 0);
	CU_ASSERT(status == want_status);
	return text_steal(&line);
}

static void test_first_line(void)
{
	static const struct {
		const char *command, *line;
		int status;
	} rows[] = {
		{"echo one; echo two", "one", 0},
		{"printf 'no end'", "no end", 0},
		{"true", "", 0},
		{"echo; echo two", "", 0},
		{"echo x; exit 3", "x", 3 << 8},
		{"no-such-command-here 2>&-", "", 127 << 8},
		{"kill -9 $$", "", SIGKILL},
		{"echo a | tr a b", "b", 0},
		{"cat; echo done", "done", 0}, /* standard input is empty */
		{"trap 'exit 1' PIPE; echo one; head -c 300000 /dev/zero; echo two", "one", 0},
		{"echo one; sleep 5 >&1 &", "one", 0}, /* something stays behind with the pipe */
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char *line = line_of(rows[i].command, rows[i].status);

		CU_ASSERT_STRING_EQUAL(line, rows[i].line);
		free(line);
	}
}

static void test_long_line(void)
{
	char *line = line_of("head -c 200000 /dev/zero | tr '\\0' x", 0);

	CU_ASSERT(strlen(line) == 65536);
	free(line);
}

static void test_inherits_nothing(void)
{
	int fd = open("/dev/null", O_RDONLY); /* without O_CLOEXEC */
	char *line, *command = xasprintf("[ ! -e /proc/self/fd/%d ] && echo closed", fd);

	CU_ASSERT(fd > 2);
	line = line_of(command, 0);
	CU_ASSERT_STRING_EQUAL(line, "closed");
	free(line);
	free(command);
	close(fd);
	line = line_of("read -r pid comm state parent group rest </proc/$$/stat && "
		       "[ $group = $$ ] && [ $$ != $PPID ] && echo own",
		       0);
	CU_ASSERT_STRING_EQUAL(line, "own");
	free(line);
}

/* Blocked or ignored with us, not with the command. */
static void test_signals_are_fresh(void)
{
	sigset_t set, old;
	char *line;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, &old);
	signal(SIGPIPE, SIG_IGN);
	line = line_of("kill -TERM $$; echo alive", SIGTERM);
	CU_ASSERT_STRING_EQUAL(line, "");
	free(line);
	line = line_of("kill -PIPE $$; echo alive", SIGPIPE);
	free(line);
	sigprocmask(SIG_SETMASK, &old, NULL);
	signal(SIGPIPE, SIG_DFL);
}

static void test_environment(void)
{
	static const char *const environment[] = {"MAILTWIN_DOWNLOADED=5", "MAILTWIN_X=a=b", "bad"};
	struct process_options options = {.command = "echo $MAILTWIN_DOWNLOADED $MAILTWIN_X",
					  .environment = environment,
					  .n_environment = 3,
					  .capture = true};
	struct text line = {0};
	struct error err;
	int status;

	CU_ASSERT(process_run(&options, -1, &line, &status, &err) == 0 && status == 0);
	CU_ASSERT_STRING_EQUAL(text_get(&line), "5 a=b");
	text_release(&line);
	CU_ASSERT(getenv("MAILTWIN_DOWNLOADED") == NULL);
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* The whole group goes, also what the shell has started. */
static void test_stop(void)
{
	struct process_options options = {.command = "sleep 60 | sleep 60", .capture = true};
	struct text line = {0};
	struct error err = {0};
	double began = now();
	int ends[2], status;

	CU_ASSERT_FATAL(pipe(ends) == 0);
	close(ends[1]); /* readable: its end */
	CU_ASSERT(process_run(&options, ends[0], &line, &status, &err) == -1);
	CU_ASSERT(err.kind == ERROR_STOPPED && line.data == NULL && now() - began < 5);
	close(ends[0]);
}

static void test_without_blocking(void)
{
	struct process_options options = {.command = "echo x; sleep 60", .capture = true};
	struct process process;
	struct error err;
	double began = now();
	int status;

	CU_ASSERT_FATAL(process_start(&process, &options, &err) == 0);
	CU_ASSERT(!process_ended(&process, &status));
	while (!process.line_ended && now() - began < 5)
		process_read(&process);
	CU_ASSERT_STRING_EQUAL(text_get(&process.line), "x");
	CU_ASSERT(!process_ended(&process, &status));
	process_stop(&process, SIGKILL);
	while (!process_ended(&process, &status) && now() - began < 5)
		usleep(1000);
	CU_ASSERT(process.pid == 0 && WIFSIGNALED(status));
	process_release(&process);
}

static void test_describe(void)
{
	char *text = process_describe(3 << 8);

	CU_ASSERT_STRING_EQUAL(text, "ended with status 3");
	free(text);
	text = process_describe(SIGKILL);
	CU_ASSERT_STRING_EQUAL(text, "was killed by signal 9 (Killed)");
	free(text);
}

int main(void)
{
	static const struct test_case cases[] = {
		{"first line and status", test_first_line},
		{"a long line", test_long_line},
		{"inherits nothing", test_inherits_nothing},
		{"signals are fresh", test_signals_are_fresh},
		{"environment", test_environment},
		{"stop", test_stop},
		{"without blocking", test_without_blocking},
		{"in words", test_describe},
	};

	return run_tests("process", cases, ARRAY_SIZE(cases));
}
