/* The process of one account. It has its own memory, threads and connections, so that a crash or a
 * hang in it stays in it; it owns nothing that the parent would miss.
 *
 * Signals: ^C reaches the whole foreground group and systemd signals the whole unit, so a child would
 * count the parent's forwarding as the second request. Therefore it takes no notice of SIGINT, SIGTERM
 * and SIGHUP (by an empty handler, which commands that it starts do not inherit) and listens to SIGUSR1
 * from the parent alone. If the parent dies, it dies: that is safe at any point. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/log.h"
#include "cmd/report.h"
#include "cmd/sync_job.h"

#define BUFFER_FULL 32768

struct child {
	const struct job *job;
	int fd;
	struct text output; /* messages not yet written */
	bool json;
	bool dry_run;
	bool quiet;
	bool show_progress;
	bool undone;
	bool told_changed;
	enum sync_phase phase;
	double drawn; /* when progress was sent last */
};

static void on_nothing(int signal_number)
{
	(void)signal_number;
}

static void on_stop(int signal_number)
{
	int saved = errno;

	(void)signal_number;
	sync_stop();
	errno = saved;
}

static void set_signals(void)
{
	static const int unheard[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE};
	struct sigaction nothing = {.sa_handler = on_nothing, .sa_flags = SA_RESTART};
	struct sigaction stop = {.sa_handler = on_stop, .sa_flags = SA_RESTART};
	sigset_t none;

	for (size_t i = 0; i < ARRAY_SIZE(unheard); i++)
		sigaction(unheard[i], &nothing, NULL);
	sigaction(SIGUSR1, &stop, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* A parent that no longer reads is about to die, and we with it. */
static void send_all(struct child *child)
{
	const char *data = text_get(&child->output);
	size_t left = child->output.len;
	ssize_t n;

	while (left != 0) {
		n = write(child->fd, data, left);
		if (n < 0 && errno != EINTR)
			break;
		data += n > 0 ? n : 0;
		left -= n > 0 ? (size_t)n : 0;
	}
	text_clear(&child->output);
}

static void add_message(struct child *child, enum message_kind kind, const void *payload,
			size_t len)
{
	struct message_header header = {.kind = kind, .len = (uint32_t)len};

	text_add(&child->output, &header, sizeof(header));
	text_add(&child->output, payload, len);
	if (child->output.len >= BUFFER_FULL)
		send_all(child);
}

static void add_line(struct child *child, enum message_kind kind, char *line)
{
	add_message(child, kind, line, strlen(line));
	free(line);
}

static bool is_local(enum change_verb verb)
{
	return verb == CHANGE_DOWNLOAD || verb == CHANGE_MOVE_LOCAL || verb == CHANGE_FLAGS_LOCAL ||
	       verb == CHANGE_DELETE_LOCAL || verb == CHANGE_FOLDER_CREATE_LOCAL ||
	       verb == CHANGE_FOLDER_DELETE_LOCAL || verb == CHANGE_FOLDER_RENAME_LOCAL;
}

/* The prefix of the log names the account already. */
static void log_change(const struct sync_change *change)
{
	char *line = human_change(NULL, change);

	log_verbose("%s", line);
	free(line);
}

static void on_change(void *ctx, const struct sync_change *change)
{
	struct child *child = ctx;
	const char *account = child->job->account->name;

	if (!child->dry_run && !child->told_changed && is_local(change->verb)) {
		child->told_changed = true;
		add_message(child, MESSAGE_CHANGED, "", 0);
		send_all(child);
	}
	if (child->json)
		add_line(child, MESSAGE_OUT, json_change(account, change));
	else if (child->dry_run && !child->quiet)
		add_line(child, MESSAGE_OUT, human_change(account, change));
	else if (log_get_level() >= LOG_VERBOSE)
		log_change(change);
}

static void on_problem(void *ctx, enum problem_kind kind, const char *folder, const char *message)
{
	struct child *child = ctx;
	const char *account = child->job->account->name;

	child->undone = child->undone || kind != PROBLEM_SKIPPED;
	if (child->json)
		add_line(child, MESSAGE_OUT, json_problem(account, kind, folder, message));
	else if (kind != PROBLEM_SKIPPED || !child->quiet)
		add_line(child, MESSAGE_ERR, human_problem(account, folder, message));
	send_all(child);
}

static void on_progress(void *ctx, enum sync_phase phase, const char *folder, uint64_t done,
			uint64_t total, uint64_t bytes)
{
	struct child *child = ctx;
	struct progress_view view = {.phase = phase, .done = done, .total = total, .bytes = bytes};
	double now = monotonic_now();

	if (!child->show_progress)
		return;
	if (phase == child->phase && now - child->drawn < PROGRESS_INTERVAL)
		return;
	child->phase = phase;
	child->drawn = now;
	if (folder != NULL)
		snprintf(view.folder, sizeof(view.folder), "%s", folder);
	add_message(child, MESSAGE_PROGRESS, &view, sizeof(view));
	send_all(child);
}

static enum deletion_policy deletions(const struct options *options)
{
	if (options->bits & OPT_ALLOW_DELETE)
		return DELETIONS_ALLOWED;
	return options->bits & OPT_UNDO_DELETE ? DELETIONS_UNDONE : DELETIONS_GUARDED;
}

static void sync_one(struct child *child, const struct options *options, const char *password)
{
	const struct job *job = child->job;
	struct sync_options sync_options = {
		.dry_run = child->dry_run,
		.full = (options->bits & OPT_FULL) != 0,
		.wait = (options->bits & OPT_WAIT) != 0,
		.deletions = deletions(options),
		.patterns = job->patterns,
		.n_patterns = job->n_patterns,
	};
	struct sync_report report = {
		.ctx = child, .change = on_change, .problem = on_problem, .progress = on_progress};
	struct final_word final;

	memset(&final, 0, sizeof(final));
	final.result = sync_account(job->account, password, &sync_options, &report, &final.summary,
				    &final.err);
	final.undone = child->undone;
	add_message(child, MESSAGE_FINAL, &final, sizeof(final));
	send_all(child);
}

/* What was inherited and is not ours. */
static void close_others(const struct sync_run *run)
{
	close(run->signal_fd);
	for (size_t i = 0; i < run->n_jobs; i++) {
		if (run->jobs[i].fd >= 0)
			close(run->jobs[i].fd);
		if (run->jobs[i].command.pid > 0 && run->jobs[i].command.fd >= 0)
			close(run->jobs[i].command.fd);
	}
}

__attribute__((noreturn)) static void be_child(const struct sync_run *run, const struct job *job,
					       const char *password, int fd)
{
	struct child child = {.job = job,
			      .fd = fd,
			      .json = (run->options->bits & OPT_JSON) != 0,
			      .dry_run = (run->options->bits & OPT_DRY_RUN) != 0,
			      .quiet = run->options->quiet,
			      .show_progress = run->show_progress};

	set_signals();
	close_others(run);
	log_set_prefix(job->account->name);
	sync_one(&child, run->options, password);
	text_release(&child.output);
	exit(EXIT_FINE);
}

int job_fork(struct sync_run *run, struct job *job, const char *password, struct error *err)
{
	pid_t parent = getpid();
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) != 0)
		return error_errno(err, ERROR_LOCAL, "cannot make a pipe");
	fflush(NULL);
	job->child = fork();
	if (job->child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(EXIT_TEMPORARY);
		close(ends[0]);
		be_child(run, job, password, ends[1]);
	}
	close(ends[1]);
	if (job->child < 0) {
		job->child = 0;
		error_errno(err, ERROR_LOCAL, "cannot start a process");
		close(ends[0]);
		return -1;
	}
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	job->fd = ends[0];
	return 0;
}
