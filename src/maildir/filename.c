/* File names of messages: "<base>:2,<letters>" (maildir(5)).
 *
 * Names are outside data: mail readers, deliverers and other synchronizers write them, with
 * letters out of order, doubled, unknown, with other info than version 2, or none at all. What
 * is not understood is kept as it stands. The base name is all that identifies a message, so
 * it ends at the first ":2," whatever follows. */
#include "maildir/maildir_private.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"

static bool has_controls(const char *name)
{
	for (const unsigned char *p = (const unsigned char *)name; *p != '\0'; p++) {
		if (*p < 0x20 || *p == 0x7f)
			return true;
	}
	return false;
}

bool filename_is_index(const char *name)
{
	static const char *const prefixes[] = {
		"dovecot.",    "dovecot-",     ".dovecot",     "courierimap",     "courierpop3",
		"maildirsize", ".mbsyncstate", ".uidvalidity", ".isyncuidmap.db",
	};

	if (strchr("dcms.", name[0]) == NULL)
		return false;
	if (strcmp(name, "maildirfolder") == 0 || strcmp(name, "subscriptions") == 0)
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++) {
		if (starts_with(name, prefixes[i]))
			return true;
	}
	return false;
}

enum name_kind filename_parse(const char *name, struct name_parts *parts)
{
	size_t len = strlen(name);
	const char *colon = strstr(name, ":2,");

	parts->base_len = colon != NULL ? (size_t)(colon - name) : len;
	parts->has_info = colon != NULL;
	parts->info = colon != NULL ? colon : name + len;
	parts->letters = colon != NULL ? colon + 3 : name + len;
	parts->letters_len = strcspn(parts->letters, ",");
	parts->tail = parts->letters + parts->letters_len;
	if (name[0] == '.' || filename_is_index(name))
		return NAME_IGNORED;
	if (parts->base_len == 0 || len > NAME_MAX || has_controls(name))
		return NAME_BAD;
	if (colon == NULL && strchr(name, ':') != NULL)
		return NAME_FOREIGN;
	return NAME_MESSAGE;
}

static int mark(bool set[256], const char *letters, size_t len, bool value)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)letters[i];

		if (c <= 0x20 || c == 0x7f || c == '/' || c == ',' || c == ':')
			return -1;
		set[c] = value;
	}
	return 0;
}

int letters_merge(const char *old, size_t old_len, const char *add, const char *remove,
		  char out[64], bool *changed)
{
	bool before[256] = {false}, after[256];
	size_t n = 0;

	/* What is there may hold anything but ',' and '/', and stays. */
	for (size_t i = 0; i < old_len; i++)
		before[(unsigned char)old[i]] = true;
	memcpy(after, before, sizeof(after));
	if (remove != NULL && mark(after, remove, strlen(remove), false) != 0)
		return -1;
	if (add != NULL && mark(after, add, strlen(add), true) != 0)
		return -1;
	*changed = memcmp(before, after, sizeof(after)) != 0;
	for (size_t c = 1; c < 256; c++) {
		if (!after[c])
			continue;
		if (n == 63)
			return -1;
		out[n++] = (char)c;
	}
	out[n] = '\0';
	return 0;
}

int filename_build(char out[NAME_MAX + 1], const char *base, const char *letters, const char *tail,
		   struct error *err)
{
	size_t base_len = strlen(base), letters_len = strlen(letters), tail_len = strlen(tail);
	size_t len = base_len + 3 + letters_len + tail_len;

	if (len > NAME_MAX)
		return error_set(
			err, ERROR_REFUSED,
			"%.80s...: the name with the flags \"%s\" would have %zu bytes, "
			"more than the %d of a file name; rename the file to a shorter one",
			base, letters, len, NAME_MAX);
	memcpy(out, base, base_len);
	memcpy(out + base_len, ":2,", 3);
	memcpy(out + base_len + 3, letters, letters_len);
	memcpy(out + base_len + 3 + letters_len, tail, tail_len + 1);
	return 0;
}

static char host[128];

/* maildir(5): '/' is written \057 and ':' \072. */
static void find_host(void)
{
	char name[65] = "";
	size_t n = 0;

	if (gethostname(name, sizeof(name) - 1) != 0 || name[0] == '\0')
		memcpy(name, "localhost", 10);
	for (const char *p = name; *p != '\0' && n + 5 < sizeof(host); p++) {
		unsigned char c = (unsigned char)*p;

		if (c == '/' || c == ':' || c == ',' || c == '\\')
			n += (size_t)snprintf(host + n, sizeof(host) - n, "\\%03o", (unsigned)c);
		else
			host[n++] = c <= 0x20 || c >= 0x7f ? '_' : *p;
	}
	host[n] = '\0';
}

/* Tells this process from others that have its pid, after a restart or in another container; within it
 * the counter tells names apart. */
static uint32_t find_random(void)
{
	uint32_t number = 0;
	struct timespec now;

	if (getrandom(&number, sizeof(number), GRND_NONBLOCK) == (ssize_t)sizeof(number))
		return number;
	/* Early at boot; pid, counter and microseconds are in the name as well. */
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint32_t)now.tv_nsec * 0x9e3779b9U ^ (uint32_t)now.tv_sec;
}

static uint32_t random_part;
static pthread_once_t process_once = PTHREAD_ONCE_INIT;

static void find_process(void)
{
	find_host();
	random_part = find_random();
}

char *unique_name(void)
{
	static atomic_uint counter;
	struct timespec now;

	pthread_once(&process_once, find_process);
	clock_gettime(CLOCK_REALTIME, &now);
	return xasprintf("%lld.M%06ldP%ldQ%uR%08x.%s", (long long)now.tv_sec, now.tv_nsec / 1000,
			 (long)getpid(), atomic_fetch_add(&counter, 1) + 1, random_part, host);
}

char *maildir_new_base(uint64_t size)
{
	char *name = unique_name();
	char *base = xasprintf("%s,S=%llu", name, (unsigned long long)size);

	free(name);
	return base;
}
