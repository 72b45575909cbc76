/* One account of a `sync`: what the parent knows of it, and what the child tells it.
 *
 * A child writes messages into a pipe: a header, then the payload. So lines of several accounts never
 * mix, the progress line can be taken away before one is printed, and a child that dies in the middle
 * of a message leaves nothing half printed. */
#ifndef MAILTWIN_CMD_SYNC_JOB_H
#define MAILTWIN_CMD_SYNC_JOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "base/process.h"
#include "cmd/cmd.h"
#include "cmd/progress.h"
#include "sync/sync.h"

enum message_kind {
	MESSAGE_OUT = 1,  /* a line for standard output, without its end */
	MESSAGE_ERR,      /* a line for standard error */
	MESSAGE_PROGRESS, /* struct progress_view */
	MESSAGE_CHANGED,  /* the disk changed: after-sync is due, whatever becomes of the child */
	MESSAGE_FINAL,    /* struct final_word; the last one */
};

struct message_header {
	uint32_t kind; /* enum message_kind */
	uint32_t len;  /* of the payload */
};

struct final_word {
	struct sync_summary summary;
	int result; /* of sync_account */
	struct error err;
	bool undone; /* a problem was reported */
};

enum job_state {
	JOB_QUEUED,
	JOB_PASSWORD, /* password-command runs */
	JOB_RUNNING,  /* the child runs */
	JOB_ENDED,    /* after-sync is due */
	JOB_HOOK,     /* after-sync runs */
	JOB_DONE,
};

struct job {
	const struct account_config *account;
	const char **patterns; /* folders named on the command line */
	size_t n_patterns;
	enum job_state state;
	struct process command; /* of JOB_PASSWORD and JOB_HOOK */
	pid_t child;            /* 0: none */
	int fd;                 /* of the child's messages; -1: none */
	struct text input;      /* an incomplete message */
	bool has_final;
	bool disk_changed;
	struct final_word final;
	int exit;
	double began; /* monotonic seconds */
	double seconds;
	struct progress_view progress;
};

struct sync_run {
	const struct options *options;
	struct job *jobs;
	size_t n_jobs;
	unsigned at_once;
	int signal_fd;
	unsigned stops;    /* signals that asked to stop */
	double kill_after; /* monotonic seconds; 0: not yet */
	bool show_progress;
};

double monotonic_now(void);

/* Forks; in the child never returns. password may be NULL. */
int job_fork(struct sync_run *run, struct job *job, const char *password, struct error *err);

/* Runs all jobs to their end. */
int run_jobs(struct sync_run *run, struct error *err);

/* ---- what a job prints, in sync_report.c ---- */
void print_line(FILE *out, const char *line);
void job_problem(struct sync_run *run, struct job *job, enum problem_kind kind,
		 const char *message);
/* The last line of a job, and the hint about held deletions. */
void job_summary(struct sync_run *run, struct job *job);
/* Takes a whole message of the child. */
void job_message(struct sync_run *run, struct job *job, const struct message_header *header,
		 const char *payload);

#endif
