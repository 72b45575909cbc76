/* Commands of the user's (password-command, after-sync), run by /bin/sh -c in a process group of
 * their own, with nothing inherited but standard error: standard input is /dev/null, standard output
 * is caught or goes to standard error, so that it never mixes with results. There is no time limit
 * (somebody may have to type a passphrase), but a command can be stopped at any time. A command that
 * asks for the terminal gets it. When we die, the command gets SIGTERM. */
#ifndef MAILTWIN_BASE_PROCESS_H
#define MAILTWIN_BASE_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/text.h"

struct process_options {
	const char *command;
	const char *const *environment; /* "NAME=value", added to ours; NULL: none */
	size_t n_environment;
	bool capture; /* catch the first line of its output */
};

struct process {
	pid_t pid;        /* also its process group; 0: not running */
	int fd;           /* its output, to poll for; -1: none, or at its end */
	struct text line; /* what came up to the first line end */
	bool line_ended;
	bool has_terminal;
};

int process_start(struct process *process, const struct process_options *options,
		  struct error *err);
/* Reads what there is, without blocking; at the end of the output closes fd. */
void process_read(struct process *process);
/* Looks, without blocking, whether it has ended: true, with the status of waitpid. What it left in
 * its pipe has then been read. */
bool process_ended(struct process *process, int *status);
void process_stop(struct process *process, int signal_number); /* the whole group */
void process_release(struct process *process); /* wipes the line; the process must have ended */

/* Start, read, wait. stop_fd: when it becomes readable the command is stopped and the error is
 * ERROR_STOPPED; -1: none. line may be NULL; else the caller wipes and releases it. */
int process_run(const struct process_options *options, int stop_fd, struct text *line, int *status,
		struct error *err);

/* "ended with status 2", "was killed by signal 9 (Killed)", for messages; caller frees. */
char *process_describe(int status);

/* Overwrites a secret in a way that no compiler leaves out; NULL is fine. */
void wipe(char *secret);

#endif
