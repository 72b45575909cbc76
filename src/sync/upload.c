/* Uploads, exactly once: an attempt is durable before the APPEND goes out, and a try whose outcome is not
 * known is looked for (recover.c), never repeated blindly. */
#include "sync/upload.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define BATCH 1024

/* ---- the files, opened as they are sent ---- */

static bool unchanged(int fd, const struct local_facts *facts)
{
	struct stat st;

	return fstat(fd, &st) == 0 && (uint64_t)st.st_ino == facts->inode &&
	       (uint64_t)st.st_size == facts->size && (int64_t)st.st_mtim.tv_sec == facts->mtime;
}

static int open_file(void *ctx, size_t i)
{
	struct upload *u = ctx;
	struct action *action = u->list[i].action;
	struct error err;
	int fd = maildir_open_file(u->folder->dir, action->base, NULL, NULL, &err);

	if (fd >= 0 && !unchanged(fd, action->file)) {
		close(fd);
		fd = -1;
	}
	u->appends[i].fd = fd;
	u->appends[i].size = action->file->wire_size;
	return fd < 0 ? -1 : 0;
}

static void close_file(void *ctx, size_t i)
{
	struct upload *u = ctx;

	close(u->appends[i].fd);
	u->appends[i].fd = -1;
}

/* ---- a batch ---- */

static int send_batch(struct upload *u)
{
	struct imap_append_source source = {u, open_file, close_file};
	int sent;

	if (u->n == 0)
		return state_commit(u->worker->batch, u->account->keywords, u->err);
	for (size_t i = 0; i < u->n; i++) {
		u->appends[i] = (struct imap_append){
			.fd = -1,
			.size = u->list[i].action->file->wire_size,
			.flags = u->list[i].attempt.flags,
			.date = u->list[i].attempt.date,
		};
		state_put_attempt(u->worker->batch, &u->list[i].attempt);
	}
	u->account->committed = true;
	if (state_commit(u->worker->batch, u->account->keywords, u->err) != 0)
		return -1;
	sent = imap_append(u->worker->conn, u->folder->wire_now, u->appends, u->n, &source, u->err);
	sent = upload_settle(u, sent);
	u->n = 0;
	return sent;
}

/* The contents of a file that has a record but is sent as a new message. */
static int ensure_facts(struct upload *u, struct action *action)
{
	struct file_facts facts;

	if (action->file != NULL)
		return 0;
	if (maildir_examine(u->folder->dir, action->base, &facts, u->err) != 0)
		return -1;
	action->file = facts_keep(&u->folder->snapshot, &facts);
	return 0;
}

static int consider(struct upload *u, struct action *action)
{
	struct attempt attempt;

	if (ensure_facts(u, action) != 0) {
		if (!error_is_local_to_folder(u->err))
			tell_error(u->account, u->folder, u->err);
		u->folder->incomplete = true;
		action->skipped = true;
		return 0;
	}
	if (!upload_may_send(u, action, &attempt)) {
		action->skipped = !action->done;
		return 0;
	}
	u->list[u->n++] = (struct sending){.action = action, .attempt = attempt};
	return u->n == BATCH ? send_batch(u) : 0;
}

static bool is_upload(const struct action *action)
{
	return (action->verb == VERB_UPLOAD || action->verb == VERB_REPLACE) && !action->done &&
	       !action->held && !action->skipped;
}

static int upload(struct worker *worker, struct sync_folder *folder, struct error *err)
{
	struct upload u = {
		.worker = worker,
		.account = worker->account,
		.folder = folder,
		.err = err,
	};
	size_t room;
	int result = 0;

	if (folder_open_dir(u.account, folder, err) != 0)
		return -1;
	room = folder->n_actions < BATCH ? folder->n_actions : BATCH;
	u.list = xcalloc(room, sizeof(*u.list));
	u.appends = xcalloc(room, sizeof(*u.appends));
	for (size_t i = 0; result == 0 && i < folder->n_actions; i++) {
		if (!is_upload(&folder->actions[i]))
			continue;
		if (u.account->stop_uploads) {
			folder->incomplete = true;
			break;
		}
		result = check_stop(err);
		if (result == 0)
			result = consider(&u, &folder->actions[i]);
	}
	if (result == 0)
		result = send_batch(&u);
	free(u.list);
	free(u.appends);
	return result;
}

static bool wants_upload(const struct account *account, const struct sync_folder *folder)
{
	(void)account;
	for (size_t i = 0; i < folder->n_actions; i++) {
		if (is_upload(&folder->actions[i]))
			return true;
	}
	return false;
}

int upload_all(struct account *account, struct error *err)
{
	return workers_each(account, wants_upload, upload, err);
}
