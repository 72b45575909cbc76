/* Finding a file by its base name, when only the mail reader knows which flags its name has
 * by now.
 *
 * The usual names are simply tried. Otherwise the directory is read once, and what is kept is
 * not the names (10 MB for 100,000 messages) but 64 bits a file in an open hash table: 48 of a
 * hash of the base name, and the number of what comes after it together with the directory it
 * is in, of which there are few different ones. From both the full name can be built again.
 * An answer is checked by looking for the file, so a clash of hashes costs a system call and
 * nothing else. The table grows by half and is at most four fifths full: 10 to 15 bytes a file,
 * and 25 in the moment of growing. (More than 65,534 different endings in one folder are not
 * numbered; such a file is found only under a usual name.) */
#include "maildir/maildir_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "core/index.h"

#define SUFFIX_NONE 0xffffU /* not one of the numbered: only the directory knows */
#define BUCKETS 256
#define TRIES 3

struct suffix {
	char *text;
	bool in_new;
	uint16_t next; /* in the same bucket, plus one; 0 ends it */
};

struct name_index {
	uint64_t *slots; /* 0: free */
	size_t size;
	size_t used;
	struct suffix *suffixes;
	size_t n_suffixes;
	size_t suffix_room;
	uint16_t buckets[BUCKETS]; /* index in suffixes, plus one */
};

struct name_index *name_index_new(size_t expected)
{
	struct name_index *index = xcalloc(1, sizeof(struct name_index));

	if (expected != 0) {
		index->size = 32 + expected + expected / 3;
		index->slots = xcalloc(index->size, sizeof(index->slots[0]));
	}
	return index;
}

void name_index_free(struct name_index **index)
{
	if (*index == NULL)
		return;
	for (size_t i = 0; i < (*index)->n_suffixes; i++)
		free((*index)->suffixes[i].text);
	free((*index)->suffixes);
	free((*index)->slots);
	free(*index);
	*index = NULL;
}

size_t name_index_bytes(const struct name_index *index)
{
	return sizeof(*index) + index->size * sizeof(index->slots[0]) +
	       index->suffix_room * sizeof(index->suffixes[0]);
}

/* Never 0, which marks a free slot. */
static uint64_t hash_base(const char *base, size_t len)
{
	uint64_t hash = index_key_bytes(base, len) >> 16;

	return hash != 0 ? hash : 1;
}

static size_t first_slot(const struct name_index *index, uint64_t hash)
{
	return (size_t)(((hash >> 16) * index->size) >> 32);
}

static size_t next_slot(const struct name_index *index, size_t slot)
{
	return slot + 1 == index->size ? 0 : slot + 1;
}

static unsigned suffix_number(struct name_index *index, const char *text, bool in_new)
{
	size_t bucket = (index_key_string(text) + in_new) % BUCKETS;
	unsigned at = index->buckets[bucket];

	for (; at != 0; at = index->suffixes[at - 1].next) {
		const struct suffix *suffix = &index->suffixes[at - 1];

		if (suffix->in_new == in_new && strcmp(suffix->text, text) == 0)
			return at - 1;
	}
	if (index->n_suffixes >= SUFFIX_NONE - 1)
		return SUFFIX_NONE;
	index->suffixes = grow(index->suffixes, index->n_suffixes, &index->suffix_room,
			       sizeof(index->suffixes[0]));
	index->suffixes[index->n_suffixes] = (struct suffix){
		.text = xstrdup(text), .in_new = in_new, .next = index->buckets[bucket]};
	index->buckets[bucket] = (uint16_t)++index->n_suffixes;
	return (unsigned)index->n_suffixes - 1;
}

static void insert(struct name_index *index, uint64_t entry)
{
	size_t slot = first_slot(index, entry >> 16);

	while (index->slots[slot] != 0)
		slot = next_slot(index, slot);
	index->slots[slot] = entry;
	index->used++;
}

static void make_room(struct name_index *index)
{
	uint64_t *old = index->slots;
	size_t old_size = index->size;

	if ((index->used + 1) * 5 <= index->size * 4)
		return;
	index->size = old_size < 32 ? 32 : old_size + old_size / 2;
	index->slots = xcalloc(index->size, sizeof(index->slots[0]));
	index->used = 0;
	for (size_t i = 0; i < old_size; i++) {
		if (old[i] != 0)
			insert(index, old[i]);
	}
	free(old);
}

bool name_index_add(struct name_index *index, const char *name, size_t base_len, bool in_new)
{
	uint64_t hash = hash_base(name, base_len);
	bool found = false;
	size_t slot;

	make_room(index);
	for (slot = first_slot(index, hash); index->slots[slot] != 0; slot = next_slot(index, slot))
		found = found || index->slots[slot] >> 16 == hash;
	index->slots[slot] = hash << 16 | suffix_number(index, name + base_len, in_new);
	index->used++;
	return found;
}

/* The file has this name now; what else was known of the base name is forgotten. */
void name_index_update(struct name_index *index, const char *base, const char *name, bool in_new)
{
	size_t base_len = strlen(base);
	uint64_t hash = hash_base(base, base_len);
	uint64_t entry = hash << 16 | suffix_number(index, name + base_len, in_new);
	bool found = false;

	make_room(index);
	for (size_t slot = first_slot(index, hash); index->slots[slot] != 0;
	     slot = next_slot(index, slot)) {
		if (index->slots[slot] >> 16 == hash) {
			index->slots[slot] = entry;
			found = true;
		}
	}
	if (!found)
		insert(index, entry);
}

void folder_note(struct maildir_folder *folder, const char *base, enum subdirectory sub,
		 const char *name)
{
	folder->dirty[sub] = true;
	if (folder->index != NULL)
		name_index_update(folder->index, base, name, sub == SUB_NEW);
}

/* 1 found, 0 not, -1 error. */
static int try_name(struct maildir_folder *folder, enum subdirectory sub, const char *base,
		    const char *suffix, struct place *place, struct error *err)
{
	size_t base_len = strlen(base), suffix_len = strlen(suffix);

	if (base_len + suffix_len > NAME_MAX)
		return 0;
	memcpy(place->name, base, base_len);
	memcpy(place->name + base_len, suffix, suffix_len + 1);
	place->sub = sub;
	if (fstatat(folder->sub[sub], place->name, &place->st, AT_SYMLINK_NOFOLLOW) == 0)
		return S_ISREG(place->st.st_mode);
	if (errno == ENOENT)
		return 0;
	return error_errno(err, ERROR_LOCAL, "%s/%s", folder->path, subdirectory_names[sub]);
}

/* Files asked for one after the other are often alike (all of them new, say), so the form of the last one
 * comes first. */
static int try_usual(struct maildir_folder *folder, const char *base, struct place *place,
		     struct error *err)
{
	static const struct {
		enum subdirectory sub;
		const char *suffix;
	} usual[] = {
		{SUB_CUR, ":2,S"},  {SUB_NEW, ""},      {SUB_CUR, ":2,"},
		{SUB_CUR, ":2,RS"}, {SUB_CUR, ":2,F"},  {SUB_CUR, ":2,FS"},
		{SUB_CUR, ":2,T"},  {SUB_CUR, ":2,ST"}, {SUB_CUR, ""},
	};

	size_t last = folder->last_usual;

	for (size_t i = 0; i < ARRAY_SIZE(usual); i++) {
		size_t at = i == 0 ? last : i - (i <= last);
		int found = try_name(folder, usual[at].sub, base, usual[at].suffix, place, err);

		if (found != 0) {
			folder->last_usual = at;
			return found;
		}
	}
	return 0;
}

static int try_index(struct maildir_folder *folder, const char *base, struct place *place,
		     struct error *err)
{
	const struct name_index *index = folder->index;
	uint64_t hash = hash_base(base, strlen(base));

	if (index->size == 0)
		return 0;
	for (size_t slot = first_slot(index, hash); index->slots[slot] != 0;
	     slot = next_slot(index, slot)) {
		unsigned number = index->slots[slot] & 0xffff;
		int found;

		if (index->slots[slot] >> 16 != hash || number == SUFFIX_NONE)
			continue;
		found = try_name(folder, index->suffixes[number].in_new ? SUB_NEW : SUB_CUR, base,
				 index->suffixes[number].text, place, err);
		if (found != 0)
			return found;
	}
	return 0;
}

static int read_names(struct maildir_folder *folder, enum subdirectory sub, struct error *err)
{
	struct directory_reader reader;
	struct directory_entry entry;
	struct name_parts parts;
	int fd = openat(folder->sub[sub], ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int got;

	if (fd < 0)
		return error_errno(err, ERROR_LOCAL, "%s/%s", folder->path,
				   subdirectory_names[sub]);
	directory_reader_init(&reader, fd, 65536);
	while ((got = directory_read(&reader, &entry)) == 1) {
		if (filename_parse(entry.name, &parts) != NAME_IGNORED)
			name_index_add(folder->index, entry.name, parts.base_len, sub == SUB_NEW);
	}
	if (got < 0)
		error_errno(err, ERROR_LOCAL, "cannot read %s/%s", folder->path,
			    subdirectory_names[sub]);
	directory_reader_release(&reader);
	close(fd);
	return got;
}

static int take_stamps(struct maildir_folder *folder, struct stamp stamps[STAMP_COUNT],
		       struct error *err)
{
	int64_t now = stamp_clock();
	struct statx stx;

	if (stamp_take(folder->maildir, folder->sub[SUB_CUR], "", now, &stamps[STAMP_CUR], &stx) !=
		    0 ||
	    stamp_take(folder->maildir, folder->sub[SUB_NEW], "", now, &stamps[STAMP_NEW], &stx) !=
		    0)
		return error_errno(err, ERROR_LOCAL, "folder %s", folder->path);
	return 0;
}

static int read_index(struct maildir_folder *folder, struct error *err)
{
	struct stamp after[STAMP_COUNT];

	for (int i = 0; i < TRIES; i++) {
		name_index_free(&folder->index);
		folder->index = name_index_new(folder->expected);
		if (take_stamps(folder, folder->index_stamps, err) != 0 ||
		    read_names(folder, SUB_NEW, err) != 0 ||
		    read_names(folder, SUB_CUR, err) != 0 || take_stamps(folder, after, err) != 0) {
			name_index_free(&folder->index);
			return -1;
		}
		if (stamp_same(&after[STAMP_CUR], &folder->index_stamps[STAMP_CUR]) &&
		    stamp_same(&after[STAMP_NEW], &folder->index_stamps[STAMP_NEW]))
			break;
	}
	return 0;
}

/* 1: the directories are as they were when the index was read. */
static int index_is_fresh(struct maildir_folder *folder, struct error *err)
{
	struct stamp now[STAMP_COUNT];

	if (take_stamps(folder, now, err) != 0)
		return -1;
	return stamp_equal(&folder->index_stamps[STAMP_CUR], &now[STAMP_CUR]) &&
	       stamp_equal(&folder->index_stamps[STAMP_NEW], &now[STAMP_NEW]);
}

static int find(struct maildir_folder *folder, const char *base, enum locate_effort effort,
		struct place *place, struct error *err)
{
	bool had_index = folder->index != NULL;
	int found = had_index ? try_index(folder, base, place, err) : 0;

	if (found != 0 || (had_index && effort == LOCATE_QUICKLY))
		return found;
	/* A name that is probably not there would be tried in vain under all its usual forms. */
	if (effort == LOCATE_SURELY)
		found = try_usual(folder, base, place, err);
	if (found != 0)
		return found;
	if (had_index) {
		int fresh = index_is_fresh(folder, err);

		if (fresh != 0)
			return fresh < 0 ? -1 : 0;
	}
	if (read_index(folder, err) != 0)
		return -1;
	return try_index(folder, base, place, err);
}

int locate(struct maildir_folder *folder, const char *base, enum locate_effort effort,
	   struct place *place, struct error *err)
{
	int found = 0;

	if (base[0] != '\0' && base[0] != '.' && strchr(base, '/') == NULL)
		found = find(folder, base, effort, place, err);
	if (found > 0)
		return 0;
	if (found < 0)
		return error_wrap(err, "cannot look for %.200s", base);
	return error_set(err, ERROR_NOT_FOUND, "%s: no file has the name %.200s", folder->path,
			 base);
}
