/* Delivery: a message comes in pieces, is written to tmp, made durable with its batch, and
 * then gets its name.
 *
 * The wire has CR LF, the file LF. Pieces end anywhere, so a CR at the end of one waits for
 * the next. What is written is gathered first, up to 64 KiB a message, and given to the
 * fingerprint in the same large pieces. Buffer and fingerprinter go from one message to the
 * next: clearing new ones took a tenth of the time of a small message.
 *
 * Between delivery_finish and delivery_sync a file stays open, for opening it again costs two
 * system calls. Descriptors are scarce, though: when as many are kept as the account may keep,
 * further files are closed and opened again, so that a batch may be large.
 *
 * Making files durable one after the other costs a commit of the file system's journal each. One
 * syncfs does it for the lot, but it also waits for what anybody else has written there (a lot of 128
 * took 171 ms beside a program that writes 100 MB/s). So it is for when little else waits to be
 * written. Otherwise several threads share a commit, and share it sooner if the contents of all are on
 * their way already. On memory fsync does nothing, and a thread would be the most expensive part: so
 * the first file tells. Figures: docs/performance.md, Durability.
 *
 * Files in tmp begin with "mailtwin-": what a killed run leaves there can be told from what
 * other programs are just delivering. */
#include "maildir/maildir_private.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/file_system.h"
#include "base/text.h"

#define SYNC_THREADS 4
#define SYNC_WORTH 2       /* files: a thread for so many, where they are slow */
#define SYNC_SLOW_NS 50000 /* what making a file durable takes if it is on a disk, at least */
#define AT_ONCE_WORTH 8    /* files */
#define STRANGERS_MOST ((uint64_t)8 << 20) /* octets of others that one may wait for */
#define STALE_SECONDS (36 * 3600)

struct delivery {
	struct maildir_folder *folder; /* borrowed */
	int fd;                        /* -1: closed */
	bool kept;                     /* fd is one of those that the account keeps open */
	bool pending_cr;
	size_t len;
	uint64_t size;           /* octets in the file, once finished */
	struct scratch scratch;  /* none once finished */
	char *base;              /* once finished */
	char name[NAME_MAX + 1]; /* in tmp; "" once it is placed */
};

int tmp_create(const struct maildir_folder *folder, char out[NAME_MAX + 1], struct error *err)
{
	for (int i = 0; i < 4; i++) {
		char *unique = unique_name();
		int fd;

		snprintf(out, NAME_MAX + 1, TMP_PREFIX "%s", unique);
		free(unique);
		fd = openat(folder->sub[SUB_TMP], out,
			    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		if (fd >= 0)
			return fd;
		if (errno != EEXIST)
			break;
	}
	return error_errno(err, folder_trouble(errno), "cannot create a file in %s/tmp",
			   folder->path);
}

int delivery_begin(struct delivery **delivery, struct maildir_folder *folder, struct error *err)
{
	struct delivery *begun = xcalloc(1, sizeof(*begun));

	*delivery = NULL;
	begun->folder = folder;
	begun->fd = tmp_create(folder, begun->name, err);
	if (begun->fd < 0) {
		free(begun);
		return -1;
	}
	begun->scratch = scratch_take(folder);
	*delivery = begun;
	return 0;
}

static int flush(struct delivery *delivery, struct error *err)
{
	const char *data = delivery->scratch.buffer;

	fingerprinter_feed(delivery->scratch.printer, data, delivery->len);
	if (file_write_all(delivery->fd, data, delivery->len) != 0)
		return error_errno(err, ERROR_LOCAL, "cannot write %s/tmp/%s",
				   delivery->folder->path, delivery->name);
	delivery->len = 0;
	return 0;
}

static int put(struct delivery *delivery, const char *data, size_t len, struct error *err)
{
	while (len != 0) {
		size_t n = SCRATCH_SIZE - delivery->len;

		if (n > len)
			n = len;
		memcpy(delivery->scratch.buffer + delivery->len, data, n);
		delivery->len += n;
		data += n;
		len -= n;
		if (delivery->len == SCRATCH_SIZE && flush(delivery, err) != 0)
			return -1;
	}
	return 0;
}

int delivery_write(struct delivery *delivery, const void *data, size_t len, struct error *err)
{
	const char *at = data, *end = at + len;

	if (len == 0)
		return 0;
	if (delivery->pending_cr && *at != '\n' && put(delivery, "\r", 1, err) != 0)
		return -1;
	delivery->pending_cr = false;
	while (at < end) {
		const char *cr = memchr(at, '\r', (size_t)(end - at));
		const char *stop = cr != NULL ? cr : end;

		if (cr != NULL && cr + 1 == end)
			delivery->pending_cr = true;
		else if (cr != NULL && cr[1] != '\n')
			stop = cr + 1; /* a lone CR is kept */
		if (put(delivery, at, (size_t)(stop - at), err) != 0)
			return -1;
		at = cr == NULL ? end : cr + 1;
	}
	return 0;
}

static void close_file(struct delivery *delivery)
{
	if (delivery->fd >= 0)
		close(delivery->fd);
	delivery->fd = -1;
	if (delivery->kept)
		atomic_fetch_sub(&delivery->folder->maildir->kept, 1);
	delivery->kept = false;
}

static void keep_or_close(struct delivery *delivery)
{
	struct maildir *maildir = delivery->folder->maildir;

	delivery->kept = true;
	if (atomic_fetch_add(&maildir->kept, 1) >= maildir->most_kept)
		close_file(delivery);
}

/* The unique part of the name in tmp serves once more. */
static char *final_base(const struct delivery *delivery, uint64_t size)
{
	return xasprintf("%s,S=%" PRIu64, delivery->name + strlen(TMP_PREFIX), size);
}

int delivery_finish(struct delivery *delivery, int64_t mtime, struct arena *arena,
		    const char **base, struct file_facts *facts, struct error *err)
{
	struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = mtime}};
	struct stat st;

	if (delivery->pending_cr && put(delivery, "\r", 1, err) != 0)
		return -1;
	delivery->pending_cr = false;
	if (flush(delivery, err) != 0)
		return -1;
	if (futimens(delivery->fd, times) != 0 || fstat(delivery->fd, &st) != 0)
		return error_errno(err, ERROR_LOCAL, "cannot set the date of %s/tmp/%s",
				   delivery->folder->path, delivery->name);
	memset(facts, 0, sizeof(*facts));
	fingerprinter_finish(delivery->scratch.printer, &facts->fingerprint);
	facts->inode = st.st_ino;
	facts->mtime = st.st_mtim.tv_sec;
	facts->size = delivery->size = (uint64_t)st.st_size;
	delivery->base = final_base(delivery, facts->size);
	*base = arena_strdup(arena, delivery->base);
	scratch_give(delivery->folder, &delivery->scratch);
	keep_or_close(delivery);
	return 0;
}

struct sync_work {
	struct delivery *const *deliveries;
	size_t n;
	atomic_size_t next;
	atomic_int failure;   /* errno */
	atomic_size_t failed; /* which one */
};

static int sync_one(struct delivery *delivery)
{
	int result, saved;

	if (delivery->fd < 0)
		delivery->fd = openat(delivery->folder->sub[SUB_TMP], delivery->name,
				      O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (delivery->fd < 0)
		return -1;
	result = fsync(delivery->fd);
	saved = errno;
	close_file(delivery);
	errno = saved;
	return result;
}

static void *sync_some(void *argument)
{
	struct sync_work *work = argument;
	size_t i;

	while ((i = atomic_fetch_add(&work->next, 1)) < work->n) {
		if (sync_one(work->deliveries[i]) != 0) {
			atomic_store(&work->failed, i);
			atomic_store(&work->failure, errno);
		}
	}
	return NULL;
}

static int64_t clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

/* Whether the next ones are worth threads. */
static bool sync_first(struct sync_work *work)
{
	size_t n = work->n;
	int64_t before = clock_ns();

	work->n = n < 1 ? n : 1;
	sync_some(work);
	work->n = n;
	atomic_store(&work->next, work->n < 1 ? work->n : 1);
	return clock_ns() - before >= SYNC_SLOW_NS;
}

static void begin_writing(const struct sync_work *work)
{
	for (size_t i = 1; i < work->n; i++) {
		if (work->deliveries[i]->fd >= 0)
			sync_file_range(work->deliveries[i]->fd, 0, 0, SYNC_FILE_RANGE_WRITE);
	}
}

static void sync_rest(struct sync_work *work, size_t most_threads)
{
	pthread_t threads[SYNC_THREADS - 1];
	size_t n = 0;

	while (n < most_threads && n < ARRAY_SIZE(threads) &&
	       pthread_create(&threads[n], NULL, sync_some, work) == 0)
		n++;
	sync_some(work);
	for (size_t i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
}

/* Whatever it has to complain of, the files are then synchronised, and complain, one by one. */
static bool sync_at_once(struct delivery *const *deliveries, size_t n)
{
	const struct maildir *maildir = deliveries[0]->folder->maildir;
	uint64_t octets = STRANGERS_MOST;

	if (n < AT_ONCE_WORTH || !maildir->syncs_at_once)
		return false;
	for (size_t i = 0; i < n; i++)
		octets += deliveries[i]->size;
	if (!maildir->in_memory && file_systems_unwritten() > octets)
		return false;
	/* A failure is told once to each descriptor: the folder's is of one thread at a time. */
	if (syncfs(deliveries[0]->folder->fd) != 0)
		return false;
	for (size_t i = 0; i < n; i++)
		close_file(deliveries[i]);
	return true;
}

int delivery_sync(struct delivery *const *deliveries, size_t n, struct error *err)
{
	struct sync_work work = {.deliveries = deliveries, .n = n};
	size_t threads = 0;

	if (sync_at_once(deliveries, n))
		return 0;
	if (sync_first(&work)) {
		begin_writing(&work);
		threads = n / SYNC_WORTH;
	}
	sync_rest(&work, threads);
	errno = atomic_load(&work.failure);
	if (errno == 0)
		return 0;
	return error_errno(err, ERROR_LOCAL, "cannot make %s/tmp/%s durable",
			   deliveries[atomic_load(&work.failed)]->folder->path,
			   deliveries[atomic_load(&work.failed)]->name);
}

int delivery_place(struct delivery **delivery, const char *letters, struct error *err)
{
	struct delivery *done = *delivery;
	struct maildir_folder *folder = done->folder;
	char name[NAME_MAX + 1], sorted[64] = "";
	enum subdirectory sub = SUB_NEW;
	bool changed;

	if (done->base == NULL)
		return error_set(err, ERROR_LOCAL, "%s/tmp/%s is not finished", folder->path,
				 done->name);
	if (letters_merge("", 0, letters, NULL, sorted, &changed) != 0)
		return error_set(err, ERROR_LOCAL, "%s: flags that no file name can hold",
				 done->base);
	snprintf(name, sizeof(name), "%s", done->base);
	if (sorted[0] != '\0') {
		sub = SUB_CUR;
		if (filename_build(name, done->base, sorted, "", err) != 0)
			return -1;
	}
	if (move_name(folder->sub[SUB_TMP], done->name, folder->sub[sub], name) != 0)
		return error_errno(err, errno == EEXIST ? ERROR_CHANGED : ERROR_LOCAL,
				   "cannot put %s into %s/%s", name, folder->path,
				   subdirectory_names[sub]);
	folder_note(folder, done->base, sub, name);
	done->name[0] = '\0';
	delivery_abort(delivery);
	return 0;
}

void delivery_abort(struct delivery **delivery)
{
	struct delivery *ended = *delivery;

	if (ended == NULL)
		return;
	scratch_give(ended->folder, &ended->scratch);
	close_file(ended);
	if (ended->name[0] != '\0')
		unlinkat(ended->folder->sub[SUB_TMP], ended->name, 0);
	free(ended->base);
	free(ended);
	*delivery = NULL;
}

int maildir_clean_tmp(struct maildir_folder *folder, struct error *err)
{
	int fd = openat(folder->sub[SUB_TMP], ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	time_t limit = time(NULL) - STALE_SECONDS;
	struct directory_reader reader;
	struct directory_entry entry;
	struct stat st;
	int got;

	if (fd < 0)
		return error_errno(err, ERROR_LOCAL, "cannot read %s/tmp", folder->path);
	directory_reader_init(&reader, fd, 32768);
	while ((got = directory_read(&reader, &entry)) == 1) {
		/* mtime is the message's date; ctime is when it was last worked on. */
		if (starts_with(entry.name, TMP_PREFIX) &&
		    fstatat(fd, entry.name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
		    st.st_ctim.tv_sec < limit)
			unlinkat(fd, entry.name, 0);
	}
	if (got < 0)
		error_errno(err, ERROR_LOCAL, "cannot read %s/tmp", folder->path);
	directory_reader_release(&reader);
	close(fd);
	return got;
}
