/* Keywords as lower-case letters in file names, with the file dovecot-keywords that says which (a..z are
 * its lines 0..25). The base's map is the authority. Where the file says otherwise: a letter that records
 * of this folder use keeps its meaning and the file is written anew, so a deleted, torn or reordered file
 * takes no keyword away on the server; a letter that nobody uses is taken over from the file, for Dovecot
 * may serve the same Maildir. */
#include "sync/account.h"

#include <string.h>

struct flags letters_to_flags(struct account *account, const struct sync_folder *folder,
			      const char *letters)
{
	struct flags flags = {0};

	for (; *letters != '\0'; letters++) {
		if (*letters >= 'a' && *letters <= 'z') {
			uint32_t id = folder->record.letters[*letters - 'a'];

			if (id != 0)
				flags.keywords =
					keywords_add(account->keywords, flags.keywords, id) &
					0xffffff;
		} else {
			flags.system |= flags_from_letter(*letters) & FLAGS_ALL;
		}
	}
	return flags;
}

uint32_t letters_mask(const char *letters)
{
	uint32_t mask = 0;

	for (; *letters != '\0'; letters++) {
		if (*letters >= 'a' && *letters <= 'z')
			mask |= 1U << (*letters - 'a');
	}
	return mask;
}

static int letter_of(const struct sync_folder *folder, uint32_t id)
{
	for (int i = 0; i < LETTER_COUNT; i++) {
		if (folder->record.letters[i] == id)
			return i;
	}
	return -1;
}

struct flags flags_representable(struct account *account, const struct sync_folder *folder,
				 struct flags flags)
{
	struct flags out = {.system = flags.system};
	uint32_t ids[256];
	size_t n = keywords_ids(account->keywords, flags.keywords, ids, ARRAY_SIZE(ids));

	for (size_t i = 0; i < n && i < ARRAY_SIZE(ids); i++) {
		if (letter_of(folder, ids[i]) >= 0)
			out.keywords =
				keywords_add(account->keywords, out.keywords, ids[i]) & 0xffffff;
	}
	return out;
}

static uint32_t mask_of(struct account *account, const struct sync_folder *folder,
			struct flags flags)
{
	uint32_t ids[256], mask = 0;
	size_t n = keywords_ids(account->keywords, flags.keywords, ids, ARRAY_SIZE(ids));

	for (size_t i = 0; i < n && i < ARRAY_SIZE(ids); i++) {
		int letter = letter_of(folder, ids[i]);

		if (letter >= 0)
			mask |= 1U << letter;
	}
	return mask;
}

struct flags letters_of_moved(struct account *account, const struct sync_folder *from,
			      const struct sync_folder *to, const struct message *message,
			      const struct local_message *file, uint32_t *stray)
{
	struct flags flags = file->flags;

	*stray = 0;
	if (file->letters == mask_of(account, from, message->base_local)) {
		flags.keywords = message->base_local.keywords;
	} else { /* changed on the way: letters that mean nothing here kept their meaning */
		for (int i = 0; i < LETTER_COUNT; i++) {
			if ((file->letters & 1U << i) != 0 && to->record.letters[i] == 0 &&
			    from->record.letters[i] != 0)
				flags.keywords = keywords_add(account->keywords, flags.keywords,
							      from->record.letters[i]) &
						 0xffffff;
		}
	}
	if (file->letters != mask_of(account, to, flags))
		*stray = file->letters;
	return flags;
}

/* A letter without a meaning that no file name has. */
static int free_letter(const struct sync_folder *folder)
{
	for (int i = 0; i < LETTER_COUNT; i++) {
		if (folder->record.letters[i] == 0 && (folder->letters_seen & 1U << i) == 0)
			return i;
	}
	return -1;
}

/* A name that fits on a line of the file, and that the server could be sent (an atom, or nearly). */
static bool name_is_writable(const char *name)
{
	size_t len = strlen(name);

	if (len == 0 || len > 255)
		return false;
	for (; *name != '\0'; name++) {
		if ((unsigned char)*name <= ' ' || (unsigned char)*name >= 0x7f)
			return false;
	}
	return true;
}

static bool give_letters(struct account *account, struct sync_folder *folder, struct flags flags)
{
	uint32_t ids[256];
	size_t n = keywords_ids(account->keywords, flags.keywords, ids, ARRAY_SIZE(ids));
	bool given = false;

	for (size_t i = 0; i < n && i < ARRAY_SIZE(ids); i++) {
		int letter = letter_of(folder, ids[i]) < 0 ? free_letter(folder) : -1;

		if (letter < 0 || !name_is_writable(keyword_name(account->keywords, ids[i])))
			continue;
		folder->record.letters[letter] = ids[i];
		given = true;
	}
	return given;
}

/* The map is durable in the base first, then in the file, and only then a file name uses it. Until the
 * folder is complete the file is compared in every run: it may lack what the base has. */
int letters_save(struct worker *worker, struct sync_folder *folder, struct error *err)
{
	struct account *account = worker->account;
	struct keywords_file file = {0};
	int result;

	folder->record.stamps[STAMP_KEYWORDS].racy = true;
	state_put_folder(worker->batch, &folder->record);
	if (state_commit(worker->batch, account->keywords, err) != 0)
		return -1;
	for (int i = 0; i < LETTER_COUNT; i++) {
		if (folder->record.letters[i] != 0)
			file.names[i] =
				xstrdup(keyword_name(account->keywords, folder->record.letters[i]));
	}
	result = folder_open_dir(account, folder, err);
	if (result == 0)
		result = keywords_file_write(folder->dir, &file, err);
	keywords_file_release(&file);
	if (result == 0)
		folder->letters_changed = false;
	return result;
}

static void ignore_begin(void *ctx)
{
	(void)ctx;
}

static void see_letters(void *ctx, const struct local_file *file)
{
	*(uint32_t *)ctx |= letters_mask(file->letters);
}

/* Before a letter is given away: which ones do file names have? */
static int know_letters(struct account *account, struct sync_folder *folder, struct error *err)
{
	struct scan_sink sink = {
		.ctx = &folder->letters_seen, .begin = ignore_begin, .file = see_letters};
	struct stamp stamps[STAMP_COUNT];

	if (folder->letters_known)
		return 0;
	if (folder_open_dir(account, folder, err) != 0 ||
	    maildir_scan(folder->dir, &sink, stamps, err) != 0)
		return -1;
	folder->letters_known = true;
	return 0;
}

static bool lacks_letters(struct account *account, const struct sync_folder *folder,
			  struct flags flags)
{
	return flags_representable(account, folder, flags).keywords != flags.keywords;
}

int flags_to_file_letters(struct worker *worker, struct sync_folder *folder, struct flags flags,
			  char out[64], struct error *err)
{
	struct account *account = worker->account;
	uint32_t ids[256], seen = 0;
	size_t n, len;

	if (lacks_letters(account, folder, flags)) {
		if (know_letters(account, folder, err) != 0)
			return -1;
		folder->letters_changed |= give_letters(account, folder, flags);
	}
	/* Those that a killed run gave, too: no name before the file tells what its letters mean. */
	if (flags.keywords != KEYWORDS_NONE && folder->letters_changed &&
	    letters_save(worker, folder, err) != 0)
		return -1;
	flags_to_letters(flags.system, out);
	len = strlen(out);
	n = keywords_ids(account->keywords, flags.keywords, ids, ARRAY_SIZE(ids));
	for (size_t i = 0; i < n && i < ARRAY_SIZE(ids); i++) {
		int letter = letter_of(folder, ids[i]);

		if (letter >= 0)
			seen |= 1U << letter;
	}
	for (int i = 0; i < LETTER_COUNT; i++) {
		if ((seen & 1U << i) != 0)
			out[len++] = (char)('a' + i);
	}
	out[len] = '\0';
	return 0;
}

static bool letter_is_used(struct account *account, const struct sync_folder *folder, uint32_t id)
{
	for (size_t i = 0; i < folder->snapshot.n; i++) {
		if (keywords_has(account->keywords,
				 folder->snapshot.messages[i].base_local.keywords, id))
			return true;
	}
	return false;
}

int letters_reconcile(struct account *account, struct sync_folder *folder, struct error *err)
{
	struct keywords_file file = {0};

	if (keywords_file_read(folder->dir, &file, err) != 0)
		return -1;
	for (int i = 0; i < LETTER_COUNT; i++) {
		uint32_t mine = folder->record.letters[i], theirs = 0;

		if (file.names[i] != NULL)
			theirs =
				keyword_id(account->keywords, file.names[i], strlen(file.names[i]));
		if (mine == theirs)
			continue;
		if (mine == 0 || (theirs != 0 && !letter_is_used(account, folder, mine)))
			folder->record.letters[i] = theirs;
		else
			folder->letters_changed = true;
	}
	keywords_file_release(&file);
	return 0;
}
