/* The log: what and why, for -v and -vv, on standard error. base, core, maildir, imap and
 * state never print results or errors; a trace line is all they may say. */
#ifndef MAILTWIN_BASE_LOG_H
#define MAILTWIN_BASE_LOG_H

enum log_level {
	LOG_QUIET = -1, /* -q: errors only */
	LOG_NORMAL = 0,
	LOG_VERBOSE = 1,  /* -v: what and why */
	LOG_PROTOCOL = 2, /* -vv: the protocol, secrets masked */
};

void log_set_level(enum log_level level);
enum log_level log_get_level(void);

/* A prefix for every line of this process, such as the account's name; borrowed. */
void log_set_prefix(const char *prefix);

/* One line at -v / at -vv. Safe from any thread; control characters are shown as \xNN. */
void log_verbose(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_protocol(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
