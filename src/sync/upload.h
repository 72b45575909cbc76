/* What the parts of an upload share. Private to src/sync. */
#ifndef MAILTWIN_SYNC_UPLOAD_H
#define MAILTWIN_SYNC_UPLOAD_H

#include "sync/account.h"

struct sending {
	struct sync_folder *folder;
	struct action *action;
	struct attempt attempt;
	struct stored stored;
	struct imap_facts facts;
	bool told; /* facts are from the server */
};

/* A batch, of one folder or of several; those of one stand together. */
struct upload {
	struct worker *worker;
	struct account *account;
	struct sending *list;
	struct imap_append *appends; /* of each */
	size_t n;
	struct sync_folder *open; /* whose directory is; or NULL */
	struct error *err;
};

/* ---- upload_rules.c ---- */
/* False: it is not sent in this run (docs/sync-rules.md, A). Else its attempt is what is noted before. */
bool upload_may_send(struct upload *u, struct sending *sending);
/* The server will not have it: remembered, and told in every run. */
void upload_refuse(struct upload *u, struct sending *sending, const char *reason);
/* Its outcome is not known yet. */
void upload_wait(struct upload *u, struct sync_folder *folder, const struct attempt *attempt);

/* ---- upload_settle.c ---- */
/* Asks what the server made of what was sent, and records it; sent: what imap_append returned. */
int upload_settle(struct upload *u, int sent);

#endif
