/* The remote side of a folder: what the server tells into the snapshot, and whether it can be believed. A count
 * that does not agree, a server that reports everything gone, one that says nothing of new mail, and one that
 * renumbered its messages are all asked again; nothing is derived from what stays doubtful. */
#include "sync/account.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"

#define PROBES 6

/* Facts of a few messages that are asked for along with the view, before it is known which are there. */
struct probes {
	uint32_t uids[PROBES];
	struct imap_facts told[PROBES]; /* of each, uid 0 if it was not */
	size_t n;
};

static void view_message(void *ctx, uint32_t uid, struct flags flags)
{
	struct sync_folder *folder = ctx;

	snapshot_remote_message(&folder->snapshot, uid, flags);
}

static void view_vanished(void *ctx, uint32_t first, uint32_t last)
{
	struct sync_folder *folder = ctx;

	snapshot_remote_vanished(&folder->snapshot, first, last);
}

static void view_facts(void *ctx, const struct imap_facts *facts)
{
	struct probes *probes = ((struct sync_folder *)ctx)->probes;

	for (size_t i = 0; i < probes->n; i++) {
		if (probes->uids[i] == facts->uid)
			probes->told[i] = *facts;
	}
}

struct imap_view_sink view_sink_of(struct sync_folder *folder)
{
	return (struct imap_view_sink){
		.ctx = folder,
		.message = view_message,
		.vanished = view_vanished,
		.facts = view_facts,
	};
}

/* EXAMINE says nothing about what could be written. */
static void note_selected(struct sync_folder *folder, const struct imap_selected *selected,
			  bool examined)
{
	uint32_t uidnext = folder->status.uidnext;

	folder->status = selected->status;
	if (folder->status.uidnext == 0)
		folder->status.uidnext = uidnext;
	if (examined)
		return;
	folder->permanent = selected->permanent;
	folder->permanent_keywords = selected->permanent_keywords;
	folder->read_only = selected->read_only;
}

static void note_uidnext(struct sync_folder *folder)
{
	const struct snapshot *snapshot = &folder->snapshot;

	for (size_t i = 0; i < snapshot->n_arrivals; i++) {
		if (snapshot->arrivals[i].uid >= folder->status.uidnext)
			folder->status.uidnext = snapshot->arrivals[i].uid + 1;
	}
}

/* Two at each end, since some may be gone, and two between. */
static void choose_probes(struct sync_folder *folder)
{
	const struct snapshot *snapshot = &folder->snapshot;
	size_t n = snapshot->n;
	const size_t places[PROBES] = {0, 1, n / 3, n - n / 3, n - 2, n - 1};
	struct probes *probes = folder->probes = arena_alloc(snapshot->arena, sizeof(*probes));

	for (size_t i = 0; i < PROBES; i++) {
		const struct message *message =
			places[i] < n ? &snapshot->messages[places[i]] : NULL;

		if (message != NULL && message->state == RECORD_PAIRED &&
		    (probes->n == 0 || message->uid > probes->uids[probes->n - 1]))
			probes->uids[probes->n++] = message->uid;
	}
}

/* LIST told another number of messages than there was, or of new mail: anchors will be wanted. */
static bool expects_changed_members(const struct sync_folder *folder)
{
	const struct imap_status *status = &folder->status;

	return status->known && status->uidvalidity == folder->record.uidvalidity &&
	       (status->exists != folder->record.exists ||
		status->uidnext != folder->record.uidnext);
}

struct imap_view_request view_request_of(struct sync_folder *folder, bool full)
{
	struct imap_view_request request = {
		.uidvalidity = folder->record.uidvalidity,
		.modseq = folder->record.highestmodseq,
		.uidnext = folder->record.uidnext,
		.full = full || folder->record.last_sync == 0,
	};

	folder->probes = NULL;
	if (!expects_changed_members(folder))
		return request;
	choose_probes(folder);
	request.probes = folder->probes->uids;
	request.n_probes = folder->probes->n;
	return request;
}

static bool hides_arrivals(const struct sync_folder *folder)
{
	const struct snapshot *snapshot = &folder->snapshot;
	uint32_t known = folder->record.uidnext;

	if (snapshot->n != 0 && snapshot->messages[snapshot->n - 1].uid >= known)
		known = snapshot->messages[snapshot->n - 1].uid + 1;
	return snapshot->n_arrivals == 0 && folder->status.uidnext > known;
}

/* good: the count agreed. */
bool view_book(struct sync_folder *folder, const struct imap_view *view, bool examined)
{
	struct snapshot *snapshot = &folder->snapshot;
	enum listing listing = view->kind == VIEW_FULL ? LISTING_FULL : LISTING_DELTA;
	bool good;

	note_selected(folder, &view->selected, examined);
	good = snapshot_remote_end(snapshot, listing, view->complete, view->exists);
	if (listing == LISTING_FULL)
		return good;
	/* A server that reports everything gone at once is asked again in full, and one that stored
	 * something and does not say what. */
	return good && snapshot->vanished * 4 <= snapshot->n && !hides_arrivals(folder);
}

/* Calls for one view and books it. *good is false if the count does not agree. */
static int view_once(struct worker *worker, struct sync_folder *folder, bool full, bool *good,
		     struct error *err)
{
	struct imap_view_sink sink = view_sink_of(folder);
	struct imap_view_request request = view_request_of(folder, full);
	struct imap_view view;

	snapshot_remote_begin(&folder->snapshot);
	if (imap_view(worker->conn, folder->wire_now, is_examined(worker->account), &request, &sink,
		      &view, err) != 0)
		return -1;
	*good = view_book(folder, &view, is_examined(worker->account));
	return 0;
}

/* The UIDs of the records are those of another mailbox, or of an earlier life of this one: the rule of
 * re-pairing that says so, 0 if none does. */
static int why_uids_are_void(const struct sync_folder *folder)
{
	const struct folder_record *record = &folder->record;
	const struct imap_status *status = &folder->status;

	if (record->uidvalidity == 0)
		return 0;
	if (status->uidvalidity != record->uidvalidity)
		return 4;
	return (status->uidnext != 0 && status->uidnext < record->uidnext) ||
			       (status->highestmodseq != 0 &&
				status->highestmodseq < record->highestmodseq)
		       ? 5
		       : 0;
}

static int void_uids(struct worker *worker, struct sync_folder *folder, int rule, bool *good,
		     struct error *err)
{
	note_rule(worker->account, RULES_REPAIR, rule);
	log_verbose("%s: the server renumbered its messages: they are paired again",
		    folder->plan.name);
	folder->void_uids = true;
	folder->snapshot.void_uids = true;
	folder->repair = true;
	return view_once(worker, folder, true, good, err);
}

#define ANCHORS 4

struct anchors {
	struct account *account;
	struct sync_folder *folder;
	bool differ;
	struct error err;
};

static void check_anchor(void *ctx, const struct imap_facts *facts)
{
	struct anchors *anchors = ctx;
	struct record record;

	if (state_get_record(anchors->account->state, NULL, anchors->folder->record.id, facts->uid,
			     &record, &anchors->err) != 1)
		return;
	if (!hash_is_none(&record.id) && !hash_is_none(&facts->id))
		anchors->differ |= !hash_equal(&record.id, &facts->id);
	else
		anchors->differ |=
			(record.size != 0 && facts->size != 0 && record.size != facts->size) ||
			(facts->date != INT64_MIN && record.date != facts->date);
}

static bool is_anchor(const struct message *message)
{
	return message->remote_presence == PRESENCE_HERE && message->state == RECORD_PAIRED;
}

static bool has_changed_members(const struct snapshot *snapshot)
{
	if (snapshot->n_arrivals != 0)
		return true;
	for (size_t i = 0; i < snapshot->n; i++) {
		if (snapshot->messages[i].remote_presence == PRESENCE_ABSENT &&
		    state_is_remote(snapshot->messages[i].state))
			return true;
	}
	return false;
}

/* The first, the last, which tells of a server restored from a backup, and some between; all of them
 * in a full run. */
static size_t choose_anchors(const struct snapshot *snapshot, bool all, uint32_t *uids)
{
	size_t here = 0, n = 0, seen = 0, step;

	for (size_t i = 0; i < snapshot->n; i++)
		here += is_anchor(&snapshot->messages[i]);
	step = all || here <= ANCHORS ? 1 : (here - 1) / (ANCHORS - 1);
	for (size_t i = 0; i < snapshot->n; i++) {
		if (!is_anchor(&snapshot->messages[i]))
			continue;
		if (seen == here - 1 || (seen % step == 0 && (all || n < ANCHORS - 1)))
			uids[n++] = snapshot->messages[i].uid;
		seen++;
	}
	return n;
}

/* The probes that turned out to be there will do, if they are enough and the last message is one of them. */
static bool probes_will_do(struct anchors *anchors)
{
	struct snapshot *snapshot = &anchors->folder->snapshot;
	const struct probes *probes = anchors->folder->probes;
	uint32_t last = 0, highest = 0;
	size_t here = 0, n = 0;

	if (probes == NULL || anchors->account->full)
		return false;
	for (size_t i = 0; i < snapshot->n; i++) {
		if (!is_anchor(&snapshot->messages[i]))
			continue;
		here++;
		last = snapshot->messages[i].uid;
	}
	for (size_t i = 0; i < probes->n; i++) {
		const struct message *message = snapshot_find(snapshot, probes->uids[i]);

		if (probes->told[i].uid == 0 || message == NULL || !is_anchor(message))
			continue;
		check_anchor(anchors, &probes->told[i]);
		n++;
		if (message->uid > highest)
			highest = message->uid;
	}
	return highest == last && n >= (here < PROBES / 2 ? here : PROBES / 2);
}

/* UIDs may be renumbered under the same UIDVALIDITY. Before anything is derived from messages that seem
 * new or gone, a few that seem to be there must still be the same ones. */
static int anchors_hold(struct worker *worker, struct sync_folder *folder, bool *hold,
			struct error *err)
{
	struct snapshot *snapshot = &folder->snapshot;
	struct anchors anchors = {.account = worker->account, .folder = folder};
	bool all = worker->account->full;
	uint32_t *uids;
	size_t n;
	int result = 0;

	*hold = true;
	if (!all && !has_changed_members(snapshot))
		return 0;
	if (probes_will_do(&anchors)) {
		*hold = !anchors.differ;
		return 0;
	}
	uids = xmalloc((snapshot->n + 1) * sizeof(*uids));
	n = choose_anchors(snapshot, all, uids);
	if (n != 0)
		result = worker_fetch_facts(worker, folder, uids, n, check_anchor, &anchors, err);
	free(uids);
	*hold = !anchors.differ;
	return result;
}

int view_folder(struct worker *worker, struct sync_folder *folder, struct error *err)
{
	bool good = folder->view_good, hold;
	int why;

	if (!folder->viewed &&
	    view_once(worker, folder, folder_must_look(worker->account, folder), &good, err) != 0)
		return -1;
	folder->viewed = false;
	why = why_uids_are_void(folder);
	if (why != 0) {
		if (void_uids(worker, folder, why, &good, err) != 0)
			return -1;
	} else if (!good && view_once(worker, folder, true, &good, err) != 0) {
		return -1;
	}
	/* Once more, in a second command, before a full mailbox is believed to be empty. */
	if (!good ||
	    (folder->status.exists == 0 && folder->snapshot.n != 0 && !folder->void_uids)) {
		if (imap_unselect(worker->conn, err) != 0 ||
		    view_once(worker, folder, true, &good, err) != 0)
			return -1;
	}
	if (!good) {
		snapshot_remote_unknown(&folder->snapshot);
		folder->snapshot.n_arrivals = 0;
		return error_set(err, ERROR_REFUSED,
				 "the server's list of messages does not agree with its count; "
				 "the folder is left alone in this run");
	}
	if (!folder->void_uids && anchors_hold(worker, folder, &hold, err) != 0)
		return -1;
	if (!folder->void_uids && !hold && void_uids(worker, folder, 6, &good, err) != 0)
		return -1;
	note_uidnext(folder);
	folder->remote_looked = true;
	return 0;
}
