/* The scan: which messages a folder holds, in a form that proves absence.
 *
 * The race: readdir walks a directory that others change. A file renamed meanwhile (and every
 * change of a flag is a rename) can be passed over under both its names, or be seen twice;
 * measured with a busy renamer, one scan in seven missed 50 files and more. So a scan counts
 * only if the stamps of cur and new, looked at before the first readdir, are the same after the
 * last one. The second look goes by the path, not by the open descriptors: a directory that
 * was removed while it was open reads as empty and never changes. The first try reads the folder as
 * it is open; every other one opens it anew.
 *
 * Equal stamps prove quiet only if a change always leaves a trace in them. Where times move in
 * steps of some milliseconds, a scan that starts within a step of the last change proves
 * nothing; it waits until that step is over.
 *
 * cur is read before new. As an accepted scan saw no change, the order does not matter for
 * what it finds; and so a file that is in both is reported as in cur without keeping names.
 * Only where the hash of a base name occurs twice is a file held back, and the directories
 * are then read once more to see which files share a name. */
#include "maildir/maildir_private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"

#define MAX_TRIES 5
#define BUFFER (128 * 1024)

struct held { /* its base name was seen before, or only its hash */
	char *name;
	size_t base_len;
	uint64_t inode;
	bool in_new;
	bool reported;        /* of the first one of a base name: some file was reported, */
	uint64_t first_inode; /* and this one it was */
};

struct scan {
	struct maildir_folder *folder;
	const struct scan_sink *sink;
	struct name_index *index;
	int fd[SUB_COUNT];
	bool borrowed;                  /* fd: the folder's; else opened anew, by the path */
	struct directory_reader *begun; /* of cur; NULL: none */
	struct held *held;
	size_t n_held;
	size_t held_room;
};

static void report_problem(const struct scan *scan, enum scan_problem problem, const char *name)
{
	if (scan->sink->problem != NULL)
		scan->sink->problem(scan->sink->ctx, problem, name);
}

static bool wants_times(const struct scan *scan, const char *letters)
{
	switch (scan->sink->times) {
	case TIMES_OF_ALL: return true;
	case TIMES_WHERE_NEEDED:
		if (scan->folder->maildir->reuses_inodes)
			return true;
		break;
	case TIMES_OF_DRAFTS: break;
	}
	return strchr(letters, 'D') != NULL;
}

static void take_times(int fd, const char *name, struct local_file *file)
{
	struct stat st;

	if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0 || st.st_ino != file->inode)
		return;
	file->has_times = true;
	file->mtime = st.st_mtim.tv_sec;
	file->size = (uint64_t)st.st_size;
}

/* Cuts the name in place into base name and letters. */
static void report_file(const struct scan *scan, char *name, enum name_kind kind,
			const struct name_parts *parts, uint64_t inode, bool in_new)
{
	struct local_file file = {.base = name, .in_new = in_new, .inode = inode};

	if (kind == NAME_FOREIGN)
		report_problem(scan, SCAN_FOREIGN_INFO, name);
	if (wants_times(scan, parts->letters))
		take_times(scan->fd[in_new ? SUB_NEW : SUB_CUR], name, &file);
	file.has_info = parts->has_info;
	file.letters = parts->letters;
	name[parts->base_len] = '\0';
	name[(size_t)(parts->tail - name)] = '\0';
	scan->sink->file(scan->sink->ctx, &file);
}

static void hold(struct scan *scan, const struct directory_entry *entry, size_t base_len,
		 bool in_new)
{
	scan->held = grow(scan->held, scan->n_held, &scan->held_room, sizeof(scan->held[0]));
	scan->held[scan->n_held++] = (struct held){.name = xstrdup(entry->name),
						   .base_len = base_len,
						   .inode = entry->inode,
						   .in_new = in_new};
}

static void drop_held(struct scan *scan)
{
	for (size_t i = 0; i < scan->n_held; i++)
		free(scan->held[i].name);
	scan->n_held = 0;
}

/* 1: a regular file; 0: something else, or gone again; -1: errno. */
static int is_regular(int fd, const struct directory_entry *entry)
{
	struct stat st;

	if (entry->type != DT_UNKNOWN)
		return entry->type == DT_REG;
	if (fstatat(fd, entry->name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return errno == ENOENT ? 0 : -1;
	return S_ISREG(st.st_mode);
}

static int take_entry(struct scan *scan, enum subdirectory sub, struct directory_entry *entry)
{
	struct name_parts parts;
	enum name_kind kind = filename_parse(entry->name, &parts);
	int regular;

	if (kind == NAME_IGNORED)
		return 0;
	regular = is_regular(scan->fd[sub], entry);
	if (regular <= 0) {
		if (regular == 0)
			report_problem(scan, SCAN_NOT_A_FILE, entry->name);
		return regular;
	}
	if (kind == NAME_BAD)
		report_problem(scan, SCAN_BAD_NAME, entry->name);
	else if (name_index_add(scan->index, entry->name, parts.base_len, sub == SUB_NEW))
		hold(scan, entry, parts.base_len, sub == SUB_NEW);
	else
		report_file(scan, entry->name, kind, &parts, entry->inode, sub == SUB_NEW);
	return 0;
}

typedef int visit_fn(struct scan *scan, enum subdirectory sub, struct directory_entry *entry);

static int begin_reading(struct scan *scan, enum subdirectory sub, struct directory_reader *reader)
{
	if (sub == SUB_CUR && scan->begun != NULL) {
		*reader = *scan->begun;
		*scan->begun = (struct directory_reader){0};
		scan->begun = NULL;
		return 0;
	}
	directory_reader_init(reader, scan->fd[sub], BUFFER);
	return lseek(scan->fd[sub], 0, SEEK_SET) == 0 ? 0 : -1;
}

static int read_both(struct scan *scan, visit_fn *visit, struct error *err)
{
	static const enum subdirectory order[] = {SUB_CUR, SUB_NEW};
	struct directory_entry entry;
	int got = 0;

	for (size_t i = 0; i < ARRAY_SIZE(order) && got >= 0; i++) {
		enum subdirectory sub = order[i];
		struct directory_reader reader;

		if (begin_reading(scan, sub, &reader) != 0)
			return error_errno(err, ERROR_LOCAL, "cannot read %s", scan->folder->path);
		while ((got = directory_read(&reader, &entry)) == 1) {
			if (visit(scan, sub, &entry) != 0) {
				got = -1;
				break;
			}
		}
		if (got < 0)
			error_errno(err, ERROR_LOCAL, "cannot read %s/%s", scan->folder->path,
				    subdirectory_names[sub]);
		directory_reader_release(&reader);
	}
	return got < 0 ? -1 : 0;
}

static int compare_base(const char *a, size_t a_len, const char *b, size_t b_len)
{
	int order = memcmp(a, b, a_len < b_len ? a_len : b_len);

	if (order != 0)
		return order;
	return a_len < b_len ? -1 : a_len > b_len;
}

/* cur before new, so that the one in cur is taken where none was reported. */
static int by_base(const void *a, const void *b)
{
	const struct held *x = a, *y = b;
	int order = compare_base(x->name, x->base_len, y->name, y->base_len);

	if (order != 0)
		return order;
	if (x->in_new != y->in_new)
		return x->in_new ? 1 : -1;
	return strcmp(x->name, y->name);
}

static struct held *first_held(struct scan *scan, const char *base, size_t base_len)
{
	size_t low = 0, high = scan->n_held;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct held *held = &scan->held[middle];

		if (compare_base(held->name, held->base_len, base, base_len) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == scan->n_held ||
	    compare_base(scan->held[low].name, scan->held[low].base_len, base, base_len) != 0)
		return NULL;
	return &scan->held[low];
}

static bool same_base(const struct held *a, const struct held *b)
{
	return compare_base(a->name, a->base_len, b->name, b->base_len) == 0;
}

/* Second reading: finds the file that was reported for a held base name, if there is one. */
static int match_entry(struct scan *scan, enum subdirectory sub, struct directory_entry *entry)
{
	const struct held *end = scan->held + scan->n_held;
	struct held *first, *held;
	struct name_parts parts;

	if (filename_parse(entry->name, &parts) == NAME_IGNORED)
		return 0;
	first = first_held(scan, entry->name, parts.base_len);
	if (first == NULL || is_regular(scan->fd[sub], entry) != 1)
		return 0;
	for (held = first; held < end && same_base(held, first); held++) {
		if (held->in_new == (sub == SUB_NEW) && strcmp(held->name, entry->name) == 0)
			return 0;
	}
	first->reported = true;
	first->first_inode = entry->inode;
	return 0;
}

static void report_second(const struct scan *scan, const struct held *held)
{
	char *place = path_join(subdirectory_names[held->in_new ? SUB_NEW : SUB_CUR], held->name);

	report_problem(scan, SCAN_TWO_NAMES, place);
	free(place);
}

static int settle_held(struct scan *scan, struct error *err)
{
	struct held *first = NULL;

	if (scan->n_held == 0)
		return 0;
	qsort(scan->held, scan->n_held, sizeof(scan->held[0]), by_base);
	if (read_both(scan, match_entry, err) != 0)
		return -1;
	for (size_t i = 0; i < scan->n_held; i++) {
		struct held *held = &scan->held[i];
		struct name_parts parts;

		if (first == NULL || !same_base(held, first))
			first = held;
		if (!first->reported) {
			first->reported = true;
			first->first_inode = held->inode;
			/* The name is cut; the base name, which is compared, stays. */
			report_file(scan, held->name, filename_parse(held->name, &parts), &parts,
				    held->inode, held->in_new);
		} else if (first->first_inode != held->inode) {
			report_problem(scan, SCAN_DUPLICATE_BASE, held->name);
		} else {
			report_second(scan, held);
		}
	}
	return 0;
}

static void borrow(struct scan *scan)
{
	scan->borrowed = true;
	for (int sub = SUB_CUR; sub <= SUB_NEW; sub++)
		scan->fd[sub] = scan->folder->sub[sub];
}

static int open_scan(struct scan *scan, struct error *err)
{
	struct maildir_folder *folder = scan->folder;
	int fd = open_directory(folder->maildir, folder->path, O_RDONLY, err);

	if (fd < 0)
		return -1;
	scan->fd[SUB_CUR] = open_subdirectory(fd, folder->path, SUB_CUR, err);
	scan->fd[SUB_NEW] =
		scan->fd[SUB_CUR] < 0 ? -1 : open_subdirectory(fd, folder->path, SUB_NEW, err);
	close(fd);
	return scan->fd[SUB_NEW] < 0 ? -1 : 0;
}

static void close_scan(struct scan *scan)
{
	for (int sub = SUB_CUR; sub <= SUB_NEW; sub++) {
		if (scan->fd[sub] >= 0 && !scan->borrowed)
			close(scan->fd[sub]);
		scan->fd[sub] = -1;
	}
	scan->borrowed = false;
	drop_held(scan);
}

static bool is_open(const struct scan *scan, enum subdirectory sub, const struct stamp *stamp)
{
	struct stat st;

	return fstat(scan->fd[sub], &st) == 0 && st.st_ino == stamp->inode && st.st_nlink != 0;
}

/* How long to wait until the last change is far enough away. */
static int64_t time_to_wait(const struct maildir *maildir, const struct stamp *stamp, int64_t now)
{
	int64_t step = stamp_step(maildir, stamp);
	bool within = (stamp->mtime_ns > now - step && stamp->mtime_ns <= now + step) ||
		      (stamp->ctime_ns > now - step && stamp->ctime_ns <= now + step);

	return within ? step : 0;
}

static void pause_ns(int64_t ns)
{
	struct timespec time = {.tv_sec = ns / 1000000000, .tv_nsec = (long)(ns % 1000000000)};

	nanosleep(&time, NULL);
}

static int read_once(struct scan *scan, struct error *err)
{
	name_index_free(&scan->index);
	scan->index = name_index_new(scan->folder->expected);
	if (scan->sink->begin != NULL)
		scan->sink->begin(scan->sink->ctx);
	if (read_both(scan, take_entry, err) != 0)
		return -1;
	return settle_held(scan, err);
}

/* The stamps from which the scan goes out, at a moment when a change would leave a trace in them. 1: such
 * a moment; 0: it is still to come, after *wait nanoseconds; -1: error. */
static int take_first(const struct scan *scan, struct stamp stamps[STAMP_COUNT], int64_t *wait,
		      struct error *err)
{
	struct maildir_folder *folder = scan->folder;
	int64_t now = stamp_clock();
	int result = scan->borrowed ? folder_stamps(folder, stamps, err)
				    : maildir_stamps(folder->maildir, folder->path, stamps, err);

	if (result != 0)
		return -1;
	*wait = time_to_wait(folder->maildir, &stamps[STAMP_CUR], now);
	if (*wait == 0)
		*wait = time_to_wait(folder->maildir, &stamps[STAMP_NEW], now);
	return *wait == 0;
}

/* 1: a scan that counts; 0: not quiet; -1: error. */
static int try_scan(struct scan *scan, struct stamp stamps[STAMP_COUNT], struct error *err)
{
	struct maildir_folder *folder = scan->folder;
	struct stamp after[STAMP_COUNT];
	int64_t wait = 0;
	int ready = 1;

	if (scan->begun != NULL)
		memcpy(stamps, folder->begun->stamps, sizeof(folder->begun->stamps));
	else
		ready = take_first(scan, stamps, &wait, err);
	if (wait != 0)
		pause_ns(wait);
	if (ready != 1)
		return ready;
	if (!is_open(scan, SUB_CUR, &stamps[STAMP_CUR]) ||
	    !is_open(scan, SUB_NEW, &stamps[STAMP_NEW]))
		return 0;
	if (read_once(scan, err) != 0 ||
	    maildir_stamps(folder->maildir, folder->path, after, err) != 0)
		return -1;
	return stamp_same(&stamps[STAMP_CUR], &after[STAMP_CUR]) &&
	       stamp_same(&stamps[STAMP_NEW], &after[STAMP_NEW]);
}

void scan_drop_begun(struct maildir_folder *folder)
{
	if (folder->begun == NULL)
		return;
	directory_reader_release(&folder->begun->reader);
	free(folder->begun);
	folder->begun = NULL;
}

void maildir_scan_begin(struct maildir_folder *folder, size_t room)
{
	struct scan scan = {.folder = folder};
	struct scan_begun *begun = xcalloc(1, sizeof(*begun));
	struct error ignored;
	int64_t wait;

	scan_drop_begun(folder);
	borrow(&scan);
	if (take_first(&scan, begun->stamps, &wait, &ignored) != 1 ||
	    begin_reading(&scan, SUB_CUR, &begun->reader) != 0) {
		free(begun);
		return;
	}
	directory_reader_start(&begun->reader, room / BUFFER + 1);
	folder->begun = begun;
}

static void keep_index(struct scan *scan, const struct stamp stamps[STAMP_COUNT])
{
	struct maildir_folder *folder = scan->folder;

	name_index_free(&folder->index);
	folder->index = scan->index;
	scan->index = NULL;
	memcpy(folder->index_stamps, stamps, sizeof(folder->index_stamps));
}

int maildir_scan(struct maildir_folder *folder, const struct scan_sink *sink,
		 struct stamp stamps[STAMP_COUNT], struct error *err)
{
	struct scan scan = {
		.folder = folder,
		.sink = sink,
		.fd = {-1, -1, -1},
		.begun = folder->begun != NULL ? &folder->begun->reader : NULL,
	};
	int result = 0;

	for (int i = 0; i < MAX_TRIES && result == 0; i++) {
		if (i != 0) {
			log_verbose("%s changed while it was read, reading it again", folder->path);
			pause_ns(INT64_C(1000000) << i);
		}
		if (i == 0)
			borrow(&scan);
		else if (open_scan(&scan, err) != 0)
			result = -1;
		if (result == 0)
			result = try_scan(&scan, stamps, err);
		close_scan(&scan);
		scan.begun = NULL;
		scan_drop_begun(folder);
	}
	if (result > 0)
		keep_index(&scan, stamps);
	if (result == 0)
		error_set(err, ERROR_CHANGED,
			  "folder %s: another program keeps changing it, %d scans were not quiet",
			  folder->path, MAX_TRIES);
	name_index_free(&scan.index);
	free(scan.held);
	return result > 0 ? 0 : -1;
}
