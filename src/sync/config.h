/* The configuration (DESIGN section 6, mailtwin.conf(5)): what was written, checked and with
 * defaults filled in. */
#ifndef MAILTWIN_SYNC_CONFIG_H
#define MAILTWIN_SYNC_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "core/layout.h"
#include "imap/imap.h"

enum sync_mode { MODE_TWO_WAY, MODE_MIRROR, MODE_ARCHIVE };

struct string_list {
	char **strings;
	size_t n;
};

struct account_config {
	char *name;
	char *host;
	uint16_t port;
	enum tls_mode tls;
	char *user;
	char *password;         /* NULL: none */
	char *password_command; /* NULL: none */
	enum auth_mechanism auth;
	char *ca_file;     /* NULL: the system's; '~' expanded, as in all paths here */
	char *fingerprint; /* NULL: none */
	char *tunnel;      /* NULL: none */
	char *maildir;
	enum layout layout;
	struct string_list folders;
	enum sync_mode mode;
	bool expunge;
	char *trash; /* "" : none */
	bool delete_folders;
	unsigned guard; /* per cent of a folder; 0: off */
	struct string_list unguarded;
	uint64_t max_size; /* octets; 0: no limit */
	unsigned connections;
	int compress;     /* 1 yes, 0 no, -1 auto */
	int timeout;      /* seconds */
	char *state;      /* directory, always filled in */
	char *after_sync; /* "" : none */
	struct string_list disable_extension;
	bool allow_plaintext;
};

struct config {
	unsigned jobs;
	struct account_config *accounts;
	size_t n_accounts;
	char *path; /* of the main file */
};

/* path NULL: $MAILTWIN_CONFIG, else $XDG_CONFIG_HOME/mailtwin/mailtwin.conf (~/.config if unset).
 * Errors: ERROR_NOT_FOUND (no such file; the text says where it was looked for), ERROR_CONFIG with
 * file, line, option and what was expected. */
int config_load(struct config **config, const char *path, struct error *err);
void config_free(struct config **config);
/* NULL if there is no such account. */
const struct account_config *config_account(const struct config *config, const char *name);

#endif
