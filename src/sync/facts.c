/* What the match has to know of messages without a record: the contents of files, and of messages on the
 * server their labels, then the header where that could decide, then the body where only that can. */
#include "sync/account.h"

#include <stdlib.h>
#include <string.h>

/* ---- files ---- */

struct local_facts *facts_keep(struct snapshot *snapshot, const struct file_facts *facts)
{
	struct local_facts *kept = arena_alloc(snapshot->arena, sizeof(*kept));

	*kept = (struct local_facts){
		.content = facts->fingerprint.content,
		.header = facts->fingerprint.header,
		.message_id = facts->fingerprint.message_id,
		.size = facts->fingerprint.size,
		.wire_size = facts->fingerprint.wire_size,
		.mtime = facts->mtime,
		.inode = facts->inode,
	};
	return kept;
}

static void examine(struct account *account, struct sync_folder *folder, struct local_message *file)
{
	struct file_facts facts;
	struct error err;

	if (maildir_examine(folder->dir, file->base, &facts, &err) == 0) {
		file->facts = facts_keep(&folder->snapshot, &facts);
		file->inode = facts.inode;
		return;
	}
	file->unreadable = true;
	folder->incomplete = true;
	if (err.kind != ERROR_NOT_FOUND && err.kind != ERROR_CHANGED)
		tell_problem(account, PROBLEM_UNREADABLE, folder, "%s", err.text);
}

/* Refused or parked, and still the same: left alone. Changed since: it is a new file. */
static void check_settled(struct account *account, struct sync_folder *folder,
			  struct local_message *file)
{
	struct attempt *attempt = attempt_of(account, folder, file->base);

	if (attempt == NULL || file->facts == NULL || attempt->state == ATTEMPT_OPEN)
		return;
	if (!hash_equal(&attempt->content, &file->facts->content)) {
		attempt_forget(account, attempt);
		return;
	}
	note_rule(account, RULES_ATTEMPTS, 1);
	file->taken = true;
}

int facts_of_files(struct account *account, struct error *err)
{
	for (size_t i = 0; i < account->n_folders; i++) {
		struct sync_folder *folder = &account->folders[i];

		if (!folder->loaded || folder->snapshot.n_files == 0)
			continue;
		if (folder_open_dir(account, folder, err) != 0)
			return -1;
		for (size_t j = 0; j < folder->snapshot.n_files; j++) {
			struct local_message *file = &folder->snapshot.files[j];

			if (file->facts != NULL)
				continue;
			examine(account, folder, file);
			check_settled(account, folder, file);
		}
		folder_close_dir(folder);
	}
	return 0;
}

/* ---- labels ---- */

static bool anything_to_compare(const struct account *account)
{
	if (account->config->max_size != 0)
		return true;
	for (size_t i = 0; i < account->n_attempts; i++) {
		if (account->attempts[i].state == ATTEMPT_OPEN)
			return true;
	}
	for (size_t i = 0; i < account->n_folders; i++) {
		const struct sync_folder *folder = &account->folders[i];

		if (!folder->loaded)
			continue;
		if (folder->snapshot.n_files != 0)
			return true;
		for (size_t j = 0; j < folder->snapshot.n; j++) {
			const struct message *message = &folder->snapshot.messages[j];

			if (message->remote_presence == PRESENCE_ABSENT &&
			    state_is_remote(message->state))
				return true;
		}
	}
	return false;
}

static struct remote_message *find_arrival(struct snapshot *snapshot, uint32_t uid)
{
	size_t low = 0, high = snapshot->n_arrivals;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (snapshot->arrivals[middle].uid < uid)
			low = middle + 1;
		else
			high = middle;
	}
	return low < snapshot->n_arrivals && snapshot->arrivals[low].uid == uid
		       ? &snapshot->arrivals[low]
		       : NULL;
}

static void note_facts(void *ctx, const struct imap_facts *facts)
{
	struct snapshot *snapshot = ctx;
	struct remote_message *arrival = find_arrival(snapshot, facts->uid);

	if (arrival == NULL)
		return;
	if (arrival->facts == NULL)
		arrival->facts = arena_alloc(snapshot->arena, sizeof(*arrival->facts));
	arrival->facts->size = facts->size;
	arrival->facts->date = facts->date;
	arrival->facts->id = facts->id;
}

typedef bool arrival_wants_fn(const struct remote_message *arrival);

static uint32_t *collect(const struct snapshot *snapshot, arrival_wants_fn *wants, size_t *n)
{
	uint32_t *uids = xmalloc(snapshot->n_arrivals * sizeof(*uids));

	*n = 0;
	for (size_t i = 0; i < snapshot->n_arrivals; i++) {
		if (wants(&snapshot->arrivals[i]))
			uids[(*n)++] = snapshot->arrivals[i].uid;
	}
	return uids;
}

static bool any(const struct sync_folder *folder, arrival_wants_fn *wants)
{
	for (size_t i = 0; folder->loaded && i < folder->snapshot.n_arrivals; i++) {
		if (wants(&folder->snapshot.arrivals[i]))
			return true;
	}
	return false;
}

static bool wants_facts(const struct remote_message *arrival)
{
	return arrival->facts == NULL;
}

static bool folder_wants_facts(const struct account *account, const struct sync_folder *folder)
{
	(void)account;
	return any(folder, wants_facts);
}

int facts_fetch(struct worker *worker, struct sync_folder *folder, struct error *err)
{
	size_t n;
	uint32_t *uids = collect(&folder->snapshot, wants_facts, &n);
	int result =
		worker_fetch_facts(worker, folder, uids, n, note_facts, &folder->snapshot, err);

	free(uids);
	folder->undescribed = any(folder, wants_facts);
	return result;
}

static int facts_ahead(struct worker *worker, struct sync_folder *folder, struct error *err)
{
	size_t n;
	uint32_t *uids = collect(&folder->snapshot, wants_facts, &n);
	int result = worker_fetch_begin(worker, folder, uids, n, SECTION_NONE, err);

	free(uids);
	return result;
}

/* What is left out, or refused, facts_fetch asks for once more. */
static int facts_answer(struct worker *worker, struct sync_folder *folder, struct error *err)
{
	int result = worker_facts_finish(worker, folder, note_facts, &folder->snapshot, err);

	if (result != 0)
		return err->kind == ERROR_REFUSED ? 1 : -1;
	return any(folder, wants_facts);
}

int facts_of_arrivals(struct account *account, struct error *err)
{
	static const struct folder_pass pass = {.wants = folder_wants_facts,
						.begin = facts_ahead,
						.finish = facts_answer,
						.fn = facts_fetch};

	if (!anything_to_compare(account))
		return 0;
	return workers_pass(account, &pass, err);
}

/* ---- headers and bodies ---- */

struct fetch {
	struct snapshot *snapshot;
	struct fingerprinter *printer;
	enum imap_section section;
	const struct sync_folder *folder;
	const struct imap_selected *selected; /* by a burst; NULL: it was checked */
	struct error err;
};

static int print_begin(void *ctx, uint32_t uid, uint64_t size)
{
	struct fetch *fetch = ctx;

	(void)uid;
	(void)size;
	fingerprinter_reset(fetch->printer);
	return fetch->selected != NULL ? check_selected(fetch->folder, fetch->selected, &fetch->err)
				       : 0;
}

static int print_data(void *ctx, const char *data, size_t len)
{
	fingerprinter_feed(((struct fetch *)ctx)->printer, data, len);
	return 0;
}

static int print_end(void *ctx, const struct imap_facts *facts, bool has_body)
{
	struct fetch *fetch = ctx;
	struct remote_message *arrival = find_arrival(fetch->snapshot, facts->uid);
	struct fingerprint print;

	if (!has_body)
		return 0;
	fingerprinter_finish(fetch->printer, &print);
	if (arrival == NULL || arrival->facts == NULL)
		return 0;
	arrival->facts->header = print.header;
	arrival->facts->message_id = print.message_id;
	if (fetch->section == SECTION_ALL)
		arrival->facts->content = print.content;
	return 0;
}

static int fetch_prints(struct worker *worker, struct sync_folder *folder,
			enum imap_section section, arrival_wants_fn *wants, struct error *err)
{
	struct fetch fetch = {.snapshot = &folder->snapshot, .section = section};
	struct imap_body_sink sink = {&fetch, print_begin, print_data, print_end};
	size_t n;
	uint32_t *uids = collect(&folder->snapshot, wants, &n);
	int result = worker_select(worker, folder, err);

	fetch.printer = fingerprinter_new();
	if (result == 0)
		result = imap_fetch_bodies(worker->conn, uids, n, section, &sink, err);
	fingerprinter_free(&fetch.printer);
	free(uids);
	return result;
}

static int prints_ahead(struct worker *worker, struct sync_folder *folder,
			enum imap_section section, arrival_wants_fn *wants, struct error *err)
{
	size_t n;
	uint32_t *uids = collect(&folder->snapshot, wants, &n);
	int result = worker_fetch_begin(worker, folder, uids, n, section, err);

	free(uids);
	return result;
}

static int prints_answer(struct worker *worker, struct sync_folder *folder,
			 enum imap_section section, struct error *err)
{
	struct imap_selected selected;
	struct fetch fetch = {.snapshot = &folder->snapshot,
			      .section = section,
			      .folder = folder,
			      .selected = &selected};
	struct imap_body_sink sink = {&fetch, print_begin, print_data, print_end};
	int result;

	fetch.printer = fingerprinter_new();
	result = imap_fetch_finish(worker->conn, &selected, &sink, err);
	fingerprinter_free(&fetch.printer);
	if (result == 0)
		return check_selected(folder, &selected, err);
	if (err->kind == ERROR_LOCAL) /* said by print_begin */
		*err = fetch.err;
	return err->kind == ERROR_REFUSED ? 1 : -1;
}

static bool wants_header(const struct remote_message *arrival)
{
	return arrival->wants_header && arrival->facts != NULL &&
	       hash_is_none(&arrival->facts->header);
}

static bool wants_body(const struct remote_message *arrival)
{
	return arrival->wants_body && arrival->facts != NULL &&
	       hash_is_none(&arrival->facts->content);
}

static bool folder_wants_headers(const struct account *account, const struct sync_folder *folder)
{
	(void)account;
	return any(folder, wants_header);
}

static bool folder_wants_bodies(const struct account *account, const struct sync_folder *folder)
{
	(void)account;
	return any(folder, wants_body);
}

int headers_fetch(struct worker *worker, struct sync_folder *folder, struct error *err)
{
	return fetch_prints(worker, folder, SECTION_HEADER, wants_header, err);
}

int bodies_fetch(struct worker *worker, struct sync_folder *folder, struct error *err)
{
	return fetch_prints(worker, folder, SECTION_ALL, wants_body, err);
}

static int headers_ahead(struct worker *worker, struct sync_folder *folder, struct error *err)
{
	return prints_ahead(worker, folder, SECTION_HEADER, wants_header, err);
}

static int headers_answer(struct worker *worker, struct sync_folder *folder, struct error *err)
{
	return prints_answer(worker, folder, SECTION_HEADER, err);
}

static int bodies_ahead(struct worker *worker, struct sync_folder *folder, struct error *err)
{
	return prints_ahead(worker, folder, SECTION_ALL, wants_body, err);
}

static int bodies_answer(struct worker *worker, struct sync_folder *folder, struct error *err)
{
	return prints_answer(worker, folder, SECTION_ALL, err);
}

int headers_of_arrivals(struct account *account, struct error *err)
{
	static const struct folder_pass pass = {.wants = folder_wants_headers,
						.begin = headers_ahead,
						.finish = headers_answer,
						.fn = headers_fetch};

	return workers_pass(account, &pass, err);
}

int bodies_of_arrivals(struct account *account, struct error *err)
{
	static const struct folder_pass pass = {.wants = folder_wants_bodies,
						.begin = bodies_ahead,
						.finish = bodies_answer,
						.fn = bodies_fetch};

	return workers_pass(account, &pass, err);
}
