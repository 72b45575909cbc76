/* What the commands share: the command line, exit statuses, and how to speak to people. */
#ifndef MAILTWIN_CMD_CMD_H
#define MAILTWIN_CMD_CMD_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/memory.h"
#include "sync/config.h"

enum { /* sysexits(3), and two of our own */
       EXIT_FINE = 0,
       EXIT_UNDONE = 1,      /* something was left undone, and is named */
       EXIT_HELD = 3,        /* deletions are held by the guard */
       EXIT_USAGE = 64,      /* the command line */
       EXIT_LOCAL = 74,      /* local I/O */
       EXIT_TEMPORARY = 75,  /* network, server, lock, stopped */
       EXIT_FORBIDDEN = 77,  /* login or certificate refused */
       EXIT_CONFIGURED = 78, /* the configuration */
};
int exit_status_of(const struct error *err);
int worse_status(int a, int b); /* the one that is told when accounts differ */

enum option_bit { /* options that only some commands take */
		  OPT_DRY_RUN = 1 << 0,
		  OPT_JSON = 1 << 1,
		  OPT_ALLOW_DELETE = 1 << 2,
		  OPT_UNDO_DELETE = 1 << 3,
		  OPT_FULL = 1 << 4,
		  OPT_WAIT = 1 << 5,
		  OPT_REPAIR = 1 << 6,
};

struct options {
	const char *config_path; /* NULL: look for it */
	bool quiet;
	unsigned verbose;
	bool help;
	bool version;
	unsigned bits;                 /* enum option_bit */
	const struct command *command; /* NULL: none was given */
	const char **operands;         /* strings of argv */
	size_t n_operands;
};

struct command {
	const char *name;
	const char *operands;                      /* for the synopsis */
	const char *summary;                       /* one line */
	const char *help;                          /* lines about its options; "" if it has none */
	unsigned bits;                             /* options it takes */
	int (*run)(const struct options *options); /* returns the exit status */
};
extern const struct command commands[]; /* ends with a NULL name */
const struct command *find_command(const char *name);

/* ERROR_USAGE. Release in any case. */
int options_parse(struct options *options, int argc, char **argv, struct error *err);
void options_release(struct options *options);

/* Prints "mailtwin: TEXT" on standard error, made visible; returns the exit status. */
int complain(const struct error *err);

/* Loads the configuration or says why not, and what to do next. 0, or the exit status. */
int load_config(struct config **config, const struct options *options);
/* The accounts named by the operands, in their order, all if there are none; the array lives in
 * the arena. ERROR_USAGE for an unknown one. */
int select_accounts(const struct config *config, const struct options *options, struct arena *arena,
		    const struct account_config ***accounts, size_t *n, struct error *err);
/* Loads the configuration and calls fn for every account that was named (all if none was); the worst
 * status of all. Errors before the first account are told here. */
typedef int account_fn(const struct account_config *account, bool json);
int each_account(const struct options *options, account_fn *fn);

/* The password as configured, or what password-command prints; NULL if there is none to give.
 * Caller wipes and frees. Blocks. */
int get_password(const struct account_config *account, char **password, struct error *err);
/* What a password-command left behind: its status and its first line. Likewise. */
int check_password_output(int status, const char *line, size_t len, char **password,
			  struct error *err);

/* Flushes standard output; EXIT_LOCAL if it could not be written, else status. */
int close_output(int status);

int cmd_sync(const struct options *options);
int cmd_status(const struct options *options);
int cmd_folders(const struct options *options);
int cmd_check(const struct options *options);
int cmd_init(const struct options *options);
int cmd_help(const struct options *options);
int cmd_version(const struct options *options);

#endif
