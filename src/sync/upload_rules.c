/* Whether a file may be sent: docs/sync-rules.md, A. */
#include "sync/upload.h"

#include <string.h>
#include <time.h>

#include "base/text.h"

#define MOST_TRIES 2

void upload_refuse(struct upload *u, struct sending *sending, const char *reason)
{
	struct attempt *attempt = &sending->attempt;

	sending->action->done = true; /* it is remembered, and told in every run */
	attempt->state = ATTEMPT_REFUSED;
	copy_text(attempt->reason, sizeof(attempt->reason), reason);
	state_put_attempt(u->worker->batch, attempt);
	tell_problem(u->account, PROBLEM_REFUSED, sending->folder, "the server refused %s: %s",
		     attempt->base, attempt->reason);
}

static struct flags sendable(const struct sync_folder *folder, struct flags flags)
{
	flags.system &= folder->permanent & FLAGS_ALL;
	if (!folder->permanent_keywords)
		flags.keywords = KEYWORDS_NONE;
	return flags;
}

static struct attempt new_attempt(const struct account *account, const struct sync_folder *folder,
				  const struct action *action)
{
	struct attempt attempt = {
		.folder = folder->record.id,
		.base = action->base,
		.kind = ATTEMPT_APPEND,
		.state = ATTEMPT_OPEN,
		.uidvalidity = folder->status.uidvalidity,
		.uidnext = folder->status.uidnext,
		.content = action->file->content,
		.header = action->file->header,
		.message_id = action->file->message_id,
		.date = action->file->mtime,
		.flags = sendable(folder, action->local),
		.inode = action->file->inode,
		.tries = 1,
		.time = (int64_t)time(NULL),
	};

	if (action->lost != NO_LOST) {
		const struct lost *lost = &account->world.lost[action->lost];

		attempt.old_folder = account->folders[lost->folder].record.id;
		attempt.old_uid = lost->record.uid;
	}
	return attempt;
}

void upload_wait(struct upload *u, struct sync_folder *folder, const struct attempt *attempt)
{
	folder->incomplete = true;
	tell_problem(u->account, PROBLEM_PARKED, folder,
		     "%s: %s; a run a minute later looks whether it arrived", attempt->base,
		     attempt->reason);
}

/* Refused, or its outcome is unknown: docs/sync-rules.md, A. False: it is not sent in this run. */
static bool may_send_again(struct upload *u, struct sending *sending, struct attempt *known)
{
	struct action *action = sending->action;

	if (known->state != ATTEMPT_OPEN) { /* told by recover.c */
		note_rule(u->account, RULES_ATTEMPTS, 1);
		known->inode = action->file->inode;
		state_put_attempt(u->worker->batch, known);
		action->done = true;
		return false;
	}
	if (known->reason[0] != '\0' && !attempt_is_old(known)) {
		note_rule(u->account, RULES_ATTEMPTS, 2);
		upload_wait(u, sending->folder, known);
		return false;
	}
	if (known->tries >= MOST_TRIES) {
		note_rule(u->account, RULES_ATTEMPTS, 3);
		known->state = ATTEMPT_PARKED;
		action->done = true;
		state_put_attempt(u->worker->batch, known);
		tell_problem(u->account, PROBLEM_PARKED, sending->folder,
			     "%s was sent twice with unknown outcome and is not sent again until "
			     "it changes",
			     action->base);
		return false;
	}
	note_rule(u->account, RULES_ATTEMPTS, 4);
	sending->attempt.tries = known->tries + 1;
	if (known->uidvalidity == sending->attempt.uidvalidity)
		sending->attempt.uidnext = known->uidnext; /* the first try may have come late */
	return true;
}

bool upload_may_send(struct upload *u, struct sending *sending)
{
	struct action *action = sending->action;
	struct attempt *known = attempt_of(u->account, sending->folder, action->base);
	uint64_t limit = imap_append_limit(u->worker->conn);

	sending->attempt = new_attempt(u->account, sending->folder, action);
	if (limit != 0 && action->file->wire_size > limit) {
		note_rule(u->account, RULES_ATTEMPTS, 5);
		upload_refuse(u, sending, "it is larger than the server takes");
		return false;
	}
	if (known == NULL || !hash_equal(&known->content, &action->file->content))
		return true;
	return may_send_again(u, sending, known);
}
