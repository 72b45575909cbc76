/* Messages destroyed on the server. Their UIDs come from a look that may be seconds old, and UIDs are all that
 * the server is given: so each message is asked for once more, directly before, and destroyed only if it is
 * proved to be the one that the record means. Proof is the server's id where both have one, else size and
 * date together, else, since some servers change a date with a copy, the hash of the whole header. A message
 * of which the server says nothing is not proved to be anything. */
#include "sync/account.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

enum proof {
	PROOF_NONE, /* the server told nothing of it */
	PROOF_SAME,
	PROOF_OTHER,
	PROOF_DOUBTFUL,   /* neither: the header decides */
	PROOF_UNDELETED,  /* somebody has just taken its \Deleted away: the rules decide again */
	PROOF_FILE_THERE, /* its file has come back, or cannot be looked for */
	PROOF_GONE,       /* destroyed */
};

struct destruction {
	struct worker *worker;
	struct account *account;
	struct sync_folder *folder;
	struct action **actions; /* ascending UIDs */
	enum proof *proofs;      /* of each action */
	size_t n;
	struct fingerprinter *printer;
};

/* An edit goes when its new version was sent and recorded. */
static bool is_removal(const struct action *action)
{
	if (action->held || action->skipped)
		return false;
	if (action->verb == VERB_REPLACE)
		return action->done;
	return !action->done &&
	       (action->verb == VERB_DELETE_REMOTE || action->verb == VERB_EXPUNGE);
}

bool wants_destruction(const struct sync_folder *folder)
{
	if (folder->plan.verb == FOLDER_DELETE_REMOTE) /* by one DELETE, in tree.c */
		return false;
	for (size_t i = 0; i < folder->n_actions; i++) {
		if (is_removal(&folder->actions[i]))
			return true;
	}
	return false;
}

static void collect(struct destruction *d)
{
	struct sync_folder *folder = d->folder;

	d->actions = xcalloc(folder->n_actions, sizeof(struct action *));
	d->proofs = xcalloc(folder->n_actions, sizeof(*d->proofs));
	for (size_t i = 0; i < folder->n_actions; i++) {
		if (is_removal(&folder->actions[i]))
			d->actions[d->n++] = &folder->actions[i];
	}
	actions_sort(d->actions, d->n);
}

/* The UIDs with this proof; caller frees. */
static uint32_t *uids_with(const struct destruction *d, enum proof proof, size_t *n)
{
	uint32_t *uids = xmalloc(d->n * sizeof(*uids));

	*n = 0;
	for (size_t i = 0; i < d->n; i++) {
		if (d->proofs[i] == proof)
			uids[(*n)++] = d->actions[i]->uid;
	}
	return uids;
}

/* ---- is it that message? ---- */

static bool get_record(const struct destruction *d, uint32_t uid, struct record *record)
{
	struct error ignored;

	return state_get_record(d->account->state, NULL, d->folder->record.id, uid, record,
				&ignored) == 1;
}

static enum proof compare_facts(const struct record *record, const struct imap_facts *facts)
{
	if (!hash_is_none(&record->id) && !hash_is_none(&facts->id))
		return hash_equal(&record->id, &facts->id) ? PROOF_SAME : PROOF_OTHER;
	return record->size != 0 && record->size == facts->size && record->date == facts->date
		       ? PROOF_SAME
		       : PROOF_DOUBTFUL;
}

static void take_facts(void *ctx, const struct imap_facts *facts)
{
	struct destruction *d = ctx;
	size_t i = actions_find(d->actions, d->n, facts->uid);
	struct record record;

	if (i == NO_ACTION)
		return;
	if (!get_record(d, facts->uid, &record))
		d->proofs[i] = PROOF_OTHER;
	else if (d->actions[i]->remote.system & ~facts->flags.system & FLAG_DELETED)
		d->proofs[i] = PROOF_UNDELETED;
	else
		d->proofs[i] = compare_facts(&record, facts);
}

static int header_begin(void *ctx, uint32_t uid, uint64_t size)
{
	(void)uid;
	(void)size;
	fingerprinter_reset(((struct destruction *)ctx)->printer);
	return 0;
}

static int header_data(void *ctx, const char *data, size_t len)
{
	fingerprinter_feed(((struct destruction *)ctx)->printer, data, len);
	return 0;
}

static int header_end(void *ctx, const struct imap_facts *facts, bool has_body)
{
	struct destruction *d = ctx;
	size_t i = actions_find(d->actions, d->n, facts->uid);
	struct fingerprint print;
	struct record record;

	if (i == NO_ACTION || !has_body)
		return 0;
	fingerprinter_finish(d->printer, &print);
	d->proofs[i] = get_record(d, facts->uid, &record) && !hash_is_none(&record.header) &&
				       hash_equal(&record.header, &print.header)
			       ? PROOF_SAME
			       : PROOF_OTHER;
	return 0;
}

static int compare_headers(struct destruction *d, struct error *err)
{
	struct imap_body_sink sink = {d, header_begin, header_data, header_end};
	size_t n;
	uint32_t *uids = uids_with(d, PROOF_DOUBTFUL, &n);
	int result = 0;

	if (n != 0) {
		d->printer = fingerprinter_new();
		result = imap_fetch_bodies(d->worker->conn, uids, n, SECTION_HEADER, &sink, err);
		fingerprinter_free(&d->printer);
	}
	free(uids);
	return result;
}

/* A last look for the files: a mail reader may have brought one back. */
static void look_for_files(struct destruction *d)
{
	struct sync_folder *folder = d->folder;
	struct error err;

	if (folder->plan.place == NO_INDEX || folder->plan.verb == FOLDER_CREATE_LOCAL ||
	    folder_open_dir(d->account, folder, &err) != 0)
		return;
	for (size_t i = 0; i < d->n; i++) {
		const struct action *action = d->actions[i];
		int fd;

		if (d->proofs[i] != PROOF_SAME || action->verb != VERB_DELETE_REMOTE ||
		    action->base == NULL || action->base[0] == '\0')
			continue;
		fd = maildir_open_file(folder->dir, action->base, NULL, NULL, &err);
		if (fd >= 0)
			close(fd);
		if (fd >= 0 || err.kind != ERROR_NOT_FOUND)
			d->proofs[i] = PROOF_FILE_THERE;
	}
}

static int prove(struct destruction *d, struct error *err)
{
	size_t n;
	uint32_t *uids = uids_with(d, PROOF_NONE, &n);
	int result = worker_fetch_facts(d->worker, d->folder, uids, n, take_facts, d, err);

	free(uids);
	if (result == 0)
		result = compare_headers(d, err);
	if (result == 0)
		look_for_files(d);
	return result;
}

/* ---- what comes of it ---- */

static void gone(void *ctx, uint32_t uid)
{
	struct destruction *d = ctx;
	size_t i = actions_find(d->actions, d->n, uid);

	if (i == NO_ACTION || d->proofs[i] != PROOF_SAME)
		return;
	d->proofs[i] = PROOF_GONE;
	tell_change(d->account, CHANGE_DELETE_REMOTE, d->folder, uid, d->actions[i]->base, NULL);
	if (d->actions[i]->verb == VERB_EXPUNGE)
		return; /* its file goes next, then the record */
	state_delete_record(d->worker->batch, d->folder->record.id, uid);
	d->actions[i]->done = true;
}

static void tell_left(struct destruction *d, enum proof proof, const char *why)
{
	size_t n;
	uint32_t *uids = uids_with(d, proof, &n);

	if (n != 0)
		tell_problem(d->account, PROBLEM_FOLDER, d->folder,
			     "UID %u%s not deleted on the server: %s", uids[0],
			     n == 1 ? " was" : " and others were", why);
	free(uids);
}

/* Whatever was not destroyed keeps its record, and its file if it has one, for the next run. */
static void leave_the_rest(struct destruction *d)
{
	for (size_t i = 0; i < d->n; i++) {
		if (d->proofs[i] == PROOF_GONE)
			continue;
		d->actions[i]->skipped = true;
		d->folder->incomplete = true;
	}
	tell_left(d, PROOF_NONE, "the server does not say what is there");
	tell_left(d, PROOF_OTHER, "it is another message now");
	tell_left(d, PROOF_DOUBTFUL, "the server does not say what is there");
}

/* Without UIDPLUS this is how it is; with it, the server said OK and did nothing. */
static void tell_marked(struct destruction *d, size_t left)
{
	if ((imap_capabilities(d->worker->conn) & CAP_UIDPLUS) == 0)
		log_verbose("%s: %zu messages are marked as deleted only: others have marked mail "
			    "there too, and the server cannot remove single messages",
			    d->folder->plan.name, left);
	else
		tell_problem(d->account, PROBLEM_REFUSED, d->folder,
			     "the server did not remove %zu message%s, which stay%s marked as "
			     "deleted until the next run",
			     left, left == 1 ? "" : "s", left == 1 ? "s" : "");
}

int destroy_remote(struct worker *worker, struct sync_folder *folder, struct error *err)
{
	struct destruction d = {.worker = worker, .account = worker->account, .folder = folder};
	struct error late;
	uint32_t *uids;
	size_t n, left = 0;
	int result;

	collect(&d);
	result = prove(&d, err);
	uids = uids_with(&d, PROOF_SAME, &n);
	d.account->committed = true;
	if (result == 0 && n != 0)
		result = imap_destroy(worker->conn, uids, n, gone, &d, &left, err);
	if (result == 0)
		leave_the_rest(&d);
	if (left != 0 && result == 0)
		tell_marked(&d, left);
	if (state_commit(worker->batch, d.account->keywords, result == 0 ? err : &late) != 0)
		result = -1;
	free(uids);
	free(d.actions);
	free(d.proofs);
	return result;
}
