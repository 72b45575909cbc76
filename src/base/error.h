/* Errors are values: a function that can fail returns 0 or -1 and fills the caller's
 * struct error. The kind drives retry and exit status, the text is for people. Each layer
 * that knows more puts it in front of the text (error_wrap). Only the one who handles an
 * error prints it, once. */
#ifndef MAILTWIN_BASE_ERROR_H
#define MAILTWIN_BASE_ERROR_H

enum error_kind {
	ERROR_NONE = 0,
	ERROR_USAGE,       /* the command line; exit 64 */
	ERROR_CONFIG,      /* the configuration; exit 78 */
	ERROR_LOCAL,       /* local I/O: disk full, read-only, root missing; exit 74 */
	ERROR_NETWORK,     /* no connection, time out, cut; exit 75 */
	ERROR_SERVER,      /* the server broke the protocol or said BYE; exit 75 */
	ERROR_BUSY,        /* another run holds the lock; exit 75 */
	ERROR_STOPPED,     /* asked to stop by a signal; exit 75 */
	ERROR_LOGIN,       /* login refused, password-command failed; exit 77 */
	ERROR_CERTIFICATE, /* certificate refused, TLS not to be had; exit 77 */
	ERROR_REFUSED,     /* the server said NO or BAD to one command; the session goes on */
	ERROR_NOT_FOUND,   /* the object named is not there (ENOENT, NONEXISTENT) */
	ERROR_CHANGED,     /* the object is not as planned: skip it, look again next run */
	ERROR_CORRUPT,     /* stored data do not make sense (the state is lost) */
};

struct error {
	enum error_kind kind;
	char text[512]; /* one line, no final full stop; always terminated */
};

/* Sets kind and text; returns -1, so that callers write: return error_set(...).
 * err may be NULL when the caller does not care. */
int error_set(struct error *err, enum error_kind kind, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* As error_set, and adds ": " and the text of errno. */
int error_errno(struct error *err, enum error_kind kind, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Puts "CONTEXT: " in front of the text, keeps the kind; returns -1. */
int error_wrap(struct error *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

void error_clear(struct error *err);

#endif
