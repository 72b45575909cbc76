/* The parent of a `sync`: a loop over signals, pipes and ends of processes. It is single-threaded and
 * opens neither base nor TLS, so that forking is safe and a crash in an account cannot reach it.
 *
 * One password-command at a time (two could ask for a passphrase at once), one after-sync hook at a
 * time (two indexers would block each other), and `jobs` accounts at once. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "cmd/report.h"
#include "cmd/sync_job.h"
#include "sync/words.h"

#define PATIENCE 2.0 /* seconds from the second signal to SIGKILL */

double monotonic_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static size_t count_state(const struct sync_run *run, enum job_state state)
{
	size_t n = 0;

	for (size_t i = 0; i < run->n_jobs; i++)
		n += run->jobs[i].state == state;
	return n;
}

/* ---- the end of an account ---- */

static void job_finish(struct sync_run *run, struct job *job)
{
	job->state = JOB_DONE;
	job->progress.account = NULL;
	job_summary(run, job);
}

/* The account could not even begin. */
static void job_fail(struct sync_run *run, struct job *job, const struct error *err)
{
	job->exit = exit_status_of(err);
	job_problem(run, job, problem_kind_of(err), err->text);
	job_finish(run, job);
}

static int status_of_final(const struct sync_run *run, const struct final_word *final)
{
	if (final->result != 0)
		return exit_status_of(&final->err);
	if (final->summary.held != 0)
		return EXIT_HELD;
	if (run->options->bits & OPT_DRY_RUN)
		return EXIT_FINE;
	return final->undone || final->summary.problems != 0 ? EXIT_UNDONE : EXIT_FINE;
}

static void tell_crash(struct sync_run *run, struct job *job, int status)
{
	struct error stopped = {.kind = ERROR_STOPPED,
				.text = "stopped at once by a second signal"};
	char *what, *message;

	if (run->stops > 1) {
		job->exit = exit_status_of(&stopped);
		job_problem(run, job, problem_kind_of(&stopped), stopped.text);
		return;
	}
	what = process_describe(status);
	message = xasprintf("the process of this account %s without finishing; "
			    "the next run goes on from what was done",
			    what);

	job->exit = EXIT_TEMPORARY;
	job_problem(run, job, PROBLEM_LOCAL, message);
	free(message);
	free(what);
}

static void child_ended(struct sync_run *run, struct job *job, int status)
{
	bool hook;

	job->child = 0;
	job->seconds = monotonic_now() - job->began;
	job->progress.account = NULL;
	if (!job->has_final) {
		tell_crash(run, job, status);
	} else {
		job->exit = status_of_final(run, &job->final);
		if (job->final.result != 0)
			job_problem(run, job, problem_kind_of(&job->final.err),
				    job->final.err.text);
	}
	hook = job->disk_changed && *job->account->after_sync != '\0' && run->stops < 2 &&
	       (run->options->bits & OPT_DRY_RUN) == 0;
	if (hook)
		job->state = JOB_ENDED;
	else
		job_finish(run, job);
}

/* ---- hooks ---- */

static char **hook_environment(const struct job *job, size_t *n)
{
	struct summary_number numbers[SUMMARY_NUMBERS];
	char **list = xcalloc(SUMMARY_NUMBERS + 3, sizeof(char *));

	summary_numbers(&job->final.summary, numbers);
	*n = 0;
	list[(*n)++] = xasprintf("MAILTWIN_ACCOUNT=%s", job->account->name);
	list[(*n)++] = xasprintf("MAILTWIN_MAILDIR=%s", job->account->maildir);
	list[(*n)++] = xasprintf("MAILTWIN_EXIT=%d", job->exit);
	for (size_t i = 0; i < SUMMARY_NUMBERS; i++) {
		char *entry = xasprintf("MAILTWIN_%s=%llu", numbers[i].name,
					(unsigned long long)numbers[i].value);

		for (char *p = entry; *p != '='; p++)
			*p = ascii_upper(*p);
		list[(*n)++] = entry;
	}
	return list;
}

static void hook_failed(struct sync_run *run, struct job *job, const char *what)
{
	char *message = xasprintf("after-sync %s", what);

	job->exit = worse_status(job->exit, EXIT_UNDONE);
	job_problem(run, job, PROBLEM_HOOK, message);
	free(message);
	job_finish(run, job);
}

static void start_hook(struct sync_run *run, struct job *job)
{
	size_t n;
	char **environment = hook_environment(job, &n);
	struct process_options command = {.command = job->account->after_sync,
					  .environment = (const char *const *)environment,
					  .n_environment = n};
	struct error err;

	log_verbose("%s: after-sync: %s", job->account->name, job->account->after_sync);
	progress_clear();
	job->state = JOB_HOOK;
	if (process_start(&job->command, &command, &err) != 0)
		hook_failed(run, job, err.text);
	for (size_t i = 0; i < n; i++)
		free(environment[i]);
	free(environment);
}

static void hook_ended(struct sync_run *run, struct job *job, int status)
{
	char *what;

	process_release(&job->command);
	if (status == 0) {
		job_finish(run, job);
		return;
	}
	what = process_describe(status);
	hook_failed(run, job, what);
	free(what);
}

/* ---- signals ---- */

static void forward_stop(struct sync_run *run)
{
	for (size_t i = 0; i < run->n_jobs; i++) {
		struct job *job = &run->jobs[i];

		if (job->child > 0)
			kill(job->child, run->stops < 3 ? SIGUSR1 : SIGKILL);
		if (job->state == JOB_PASSWORD || (job->state == JOB_HOOK && run->stops > 1))
			process_stop(&job->command, run->stops < 3 ? SIGTERM : SIGKILL);
	}
}

static void on_stop_signal(struct sync_run *run)
{
	run->stops++;
	if (run->stops == 1 && !run->options->quiet && isatty(STDERR_FILENO))
		print_line(stderr, "mailtwin: stopping; once more to stop at once");
	if (run->stops == 2)
		run->kill_after = monotonic_now() + PATIENCE;
	forward_stop(run);
}

static void take_signals(struct sync_run *run)
{
	struct signalfd_siginfo info;

	while (read(run->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		if (info.ssi_signo != SIGCHLD)
			on_stop_signal(run);
	}
}

static void kill_the_slow(struct sync_run *run)
{
	if (run->kill_after == 0 || monotonic_now() < run->kill_after)
		return;
	run->kill_after = 0;
	run->stops = 3;
	forward_stop(run);
}

/* ---- the beginning ---- */

static void start_child(struct sync_run *run, struct job *job, const char *password)
{
	struct error err = {0};

	job->state = JOB_RUNNING;
	job->began = monotonic_now();
	job->progress.account = job->account->name;
	if (job_fork(run, job, password, &err) != 0)
		job_fail(run, job, &err);
}

static void start_job(struct sync_run *run, struct job *job)
{
	struct process_options command = {.command = job->account->password_command,
					  .capture = true};
	struct error err;

	if (command.command == NULL) {
		start_child(run, job, job->account->password);
		return;
	}
	log_verbose("%s: password-command", job->account->name);
	progress_clear();
	job->state = JOB_PASSWORD;
	if (process_start(&job->command, &command, &err) != 0)
		job_fail(run, job, &err);
}

static void password_ended(struct sync_run *run, struct job *job, int status)
{
	struct error err = {0};
	char *password = NULL;

	/* ^C while it had the terminal was meant for all of us. */
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGINT && run->stops == 0)
		on_stop_signal(run);
	if (run->stops != 0)
		error_set(&err, ERROR_STOPPED, "stopped by a signal");
	else
		check_password_output(status, text_get(&job->command.line), job->command.line.len,
				      &password, &err);
	process_release(&job->command);
	if (password == NULL)
		job_fail(run, job, &err);
	else
		start_child(run, job, password);
	wipe(password);
	free(password);
}

static void start_what_can(struct sync_run *run)
{
	struct error stopped = {.kind = ERROR_STOPPED, .text = "stopped by a signal"};

	for (size_t i = 0; i < run->n_jobs; i++) {
		struct job *job = &run->jobs[i];
		size_t busy = count_state(run, JOB_RUNNING) + count_state(run, JOB_PASSWORD);

		if (job->state == JOB_ENDED && count_state(run, JOB_HOOK) == 0)
			start_hook(run, job);
		else if (job->state == JOB_QUEUED && run->stops != 0)
			job_fail(run, job, &stopped);
		else if (job->state == JOB_QUEUED && busy < run->at_once &&
			 count_state(run, JOB_PASSWORD) == 0)
			start_job(run, job);
	}
}

/* ---- messages ---- */

static void take_messages(struct sync_run *run, struct job *job)
{
	struct message_header header;
	size_t used = 0;

	while (job->input.len - used >= sizeof(header)) {
		memcpy(&header, job->input.data + used, sizeof(header));
		if (job->input.len - used - sizeof(header) < header.len)
			break;
		job_message(run, job, &header, job->input.data + used + sizeof(header));
		used += sizeof(header) + header.len;
	}
	if (used != 0) {
		memmove(job->input.data, job->input.data + used, job->input.len - used);
		job->input.len -= used;
	}
}

static void read_child(struct sync_run *run, struct job *job)
{
	char data[32768];
	ssize_t n;

	while (job->fd >= 0) {
		n = read(job->fd, data, sizeof(data));
		if (n > 0) {
			text_add(&job->input, data, (size_t)n);
			take_messages(run, job);
		} else if (n < 0 && errno == EAGAIN) {
			return;
		} else if (n == 0 || errno != EINTR) {
			close(job->fd);
			job->fd = -1;
		}
	}
}

/* What a dead child has written is read before its end is told. */
static void reap_child(struct sync_run *run, struct job *job)
{
	int status;
	pid_t pid = waitpid(job->child, &status, WNOHANG);

	if (pid != job->child)
		return;
	read_child(run, job);
	if (job->fd >= 0)
		close(job->fd);
	job->fd = -1;
	text_release(&job->input);
	child_ended(run, job, status);
}

static void look_at(struct sync_run *run, struct job *job)
{
	int status;

	if (job->child > 0) {
		read_child(run, job);
		reap_child(run, job);
	} else if (job->state == JOB_PASSWORD || job->state == JOB_HOOK) {
		process_read(&job->command);
		if (!process_ended(&job->command, &status))
			return;
		if (job->state == JOB_PASSWORD)
			password_ended(run, job, status);
		else
			hook_ended(run, job, status);
	}
}

/* ---- the loop ---- */

static double draw_progress(struct sync_run *run)
{
	const struct progress_view **views;
	size_t n = 0;
	double next;

	if (!run->show_progress)
		return 60;
	views = xcalloc(run->n_jobs, sizeof(*views));
	for (size_t i = 0; i < run->n_jobs; i++) {
		if (run->jobs[i].progress.account != NULL)
			views[n++] = &run->jobs[i].progress;
	}
	/* A command may be asking for a passphrase on this very line. */
	next = count_state(run, JOB_PASSWORD) != 0 ? 60 : progress_draw(views, n, monotonic_now());
	free(views);
	return next;
}

static void wait_for_news(struct sync_run *run, double seconds)
{
	struct pollfd *fds = xcalloc(run->n_jobs + 1, sizeof(*fds));

	fds[run->n_jobs] = (struct pollfd){.fd = run->signal_fd, .events = POLLIN};
	for (size_t i = 0; i < run->n_jobs; i++) {
		struct job *job = &run->jobs[i];
		bool command = job->state == JOB_PASSWORD || job->state == JOB_HOOK;

		fds[i] = (struct pollfd){.fd = command ? job->command.fd : job->fd,
					 .events = POLLIN};
	}
	if (run->kill_after != 0)
		seconds = 0.1;
	poll(fds, (nfds_t)run->n_jobs + 1, (int)(seconds * 1000) + 1);
	free(fds);
}

static int block_signals(struct sync_run *run, sigset_t *old, struct error *err)
{
	static const int wanted[] = {SIGINT, SIGTERM, SIGHUP, SIGCHLD};
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++)
		sigaddset(&set, wanted[i]);
	sigprocmask(SIG_BLOCK, &set, old);
	run->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (run->signal_fd < 0)
		return error_errno(err, ERROR_LOCAL, "cannot wait for signals");
	return 0;
}

int run_jobs(struct sync_run *run, struct error *err)
{
	sigset_t old;

	signal(SIGCHLD, SIG_DFL); /* ignored, it would hide how children ended */
	if (block_signals(run, &old, err) != 0)
		return -1;
	for (;;) {
		start_what_can(run);
		if (count_state(run, JOB_DONE) == run->n_jobs)
			break;
		wait_for_news(run, draw_progress(run));
		take_signals(run);
		for (size_t i = 0; i < run->n_jobs; i++)
			look_at(run, &run->jobs[i]);
		kill_the_slow(run);
		fflush(stdout);
	}
	progress_clear();
	close(run->signal_fd);
	sigprocmask(SIG_SETMASK, &old, NULL);
	return 0;
}
