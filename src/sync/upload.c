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

/* Of many folders, one directory is open at a time. */
static void use_directory(struct upload *u, struct sync_folder *folder)
{
	if (u->open != NULL && u->open != folder)
		folder_close_dir(u->open);
	u->open = folder;
}

static int open_file(void *ctx, size_t i)
{
	struct upload *u = ctx;
	struct sync_folder *folder = u->list[i].folder;
	const struct action *action = u->list[i].action;
	struct error err;
	int fd;

	use_directory(u, folder);
	if (folder_open_dir(u->account, folder, &err) != 0)
		return -1;
	fd = maildir_open_file(folder->dir, action->base, NULL, NULL, &err);
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

/* One transaction for the attempts of all folders, before any octet of their messages goes out. */
static int note_attempts(struct upload *u)
{
	for (size_t i = 0; i < u->n; i++)
		state_put_attempt(u->worker->batch, &u->list[i].attempt);
	u->account->committed |= u->n != 0;
	return state_commit(u->worker->batch, u->account->keywords, u->err);
}

static int send_batch(struct upload *u)
{
	struct imap_append_source source = {u, open_file, close_file};
	int result = note_attempts(u);

	if (result != 0 || u->n == 0)
		return result;
	for (size_t i = 0; i < u->n; i++) {
		u->appends[i] = (struct imap_append){
			.mailbox = u->list[i].folder->wire_now,
			.fd = -1,
			.size = u->list[i].action->file->wire_size,
			.flags = u->list[i].attempt.flags,
			.date = u->list[i].attempt.date,
		};
	}
	result = imap_append(u->worker->conn, u->appends, u->n, &source, u->err);
	use_directory(u, NULL);
	result = upload_settle(u, result);
	u->n = 0;
	return result;
}

/* ---- what goes into it ---- */

/* The contents of a file that has a record but is sent as a new message. */
static int ensure_facts(struct upload *u, struct sync_folder *folder, struct action *action)
{
	struct file_facts facts;

	if (action->file != NULL)
		return 0;
	if (folder_open_dir(u->account, folder, u->err) != 0 ||
	    maildir_examine(folder->dir, action->base, &facts, u->err) != 0)
		return -1;
	action->file = facts_keep(&folder->snapshot, &facts);
	return 0;
}

static int consider(struct upload *u, struct sync_folder *folder, struct action *action)
{
	struct sending *sending = &u->list[u->n];

	if (ensure_facts(u, folder, action) != 0) {
		if (!error_is_local_to_folder(u->err))
			tell_error(u->account, folder, u->err);
		folder->incomplete = true;
		action->skipped = true;
		return 0;
	}
	*sending = (struct sending){.folder = folder, .action = action};
	if (!upload_may_send(u, sending)) {
		action->skipped = !action->done;
		return 0;
	}
	return ++u->n == BATCH ? send_batch(u) : 0;
}

static bool is_upload(const struct action *action)
{
	return (action->verb == VERB_UPLOAD || action->verb == VERB_REPLACE) && !action->done &&
	       !action->held && !action->skipped;
}

static size_t count_uploads(const struct sync_folder *folder)
{
	size_t n = 0;

	for (size_t i = 0; i < folder->n_actions; i++)
		n += is_upload(&folder->actions[i]);
	return n;
}

/* A full batch may fail the folder that its end belongs to. */
static int upload_folder(struct upload *u, struct sync_folder *folder)
{
	int result = folder_open_dir(u->account, folder, u->err);

	for (size_t i = 0; result == 0 && i < folder->n_actions && !folder->failed; i++) {
		if (!is_upload(&folder->actions[i]))
			continue;
		if (u->account->stop_uploads) {
			folder->incomplete = true;
			break;
		}
		result = check_stop(u->err);
		if (result == 0)
			result = consider(u, folder, &folder->actions[i]);
	}
	return result;
}

static int upload_folders(struct upload *u, struct sync_folder **folders, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int result = upload_folder(u, folders[i]);

		folder_close_dir(folders[i]);
		if (result == 0)
			continue;
		if (!error_is_local_to_folder(u->err))
			return -1;
		folder_fail(u->account, folders[i], u->err);
	}
	return send_batch(u);
}

/* ---- the pass ---- */

static int upload_many(struct worker *worker, struct sync_folder **folders, size_t n,
		       struct error *err)
{
	struct upload u = {.worker = worker, .account = worker->account, .err = err};
	size_t room = 1;
	int result;

	for (size_t i = 0; i < n; i++)
		room += count_uploads(folders[i]);
	if (room > BATCH)
		room = BATCH;
	u.list = xcalloc(room, sizeof(*u.list));
	u.appends = xcalloc(room, sizeof(*u.appends));
	result = upload_folders(&u, folders, n);
	free(u.list);
	free(u.appends);
	return result;
}

static int upload(struct worker *worker, struct sync_folder *folder, struct error *err)
{
	return upload_many(worker, &folder, 1, err);
}

static bool wants_upload(const struct account *account, const struct sync_folder *folder)
{
	(void)account;
	return count_uploads(folder) != 0;
}

int upload_all(struct account *account, struct error *err)
{
	static const struct folder_pass pass = {
		.wants = wants_upload, .fn = upload, .together = upload_many};

	return workers_pass(account, &pass, err);
}
