/* A pattern comes from the configuration, but the names it is tried on come from the server,
 * and a matcher that tries every length of every '*' takes for ever on a bad pair. Here all
 * the ways in which the pattern can match are followed at once, a byte of the name at a time. */
#include "core/names.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "core/names_private.h"

static bool is_wild(char c)
{
	return c == '*' || c == '%';
}

/* Whether a wildcard goes on over this byte. */
static bool stays(char wild, char c)
{
	return wild == '*' || (wild == '%' && c != '/');
}

/* A wildcard may also match nothing. */
static void skip_wildcards(const char *pattern, size_t len, bool *reached)
{
	for (size_t i = 0; i < len; i++) {
		if (reached[i] && is_wild(pattern[i]))
			reached[i + 1] = true;
	}
}

static void step(const char *pattern, size_t len, bool *reached, char c, bool any_case)
{
	char folded = any_case ? ascii_lower(c) : c;

	for (size_t i = len + 1; i-- > 0;) {
		bool here = i < len && reached[i] && stays(pattern[i], c);

		if (i > 0 && reached[i - 1] && !is_wild(pattern[i - 1]))
			here |= (any_case ? ascii_lower(pattern[i - 1]) : pattern[i - 1]) == folded;
		reached[i] = here;
	}
	skip_wildcards(pattern, len, reached);
}

bool pattern_match(const char *pattern, const char *name)
{
	size_t len = strlen(pattern);
	size_t any_case = name_below_inbox(name) ? strlen("INBOX") : 0;
	bool *reached = xcalloc(len + 1, sizeof(*reached)); /* reached[i]: i bytes of it match */
	bool match;

	reached[0] = true;
	skip_wildcards(pattern, len, reached);
	for (size_t i = 0; name[i] != '\0'; i++)
		step(pattern, len, reached, name[i], i < any_case);
	match = reached[len];
	free(reached);
	return match;
}

bool patterns_match(const char *const *patterns, size_t n, const char *name, bool is_virtual)
{
	bool chosen = n != 0 && patterns[0][0] == '!' && !is_virtual;

	for (size_t i = 0; i < n; i++) {
		bool excludes = patterns[i][0] == '!';
		const char *pattern = patterns[i] + excludes;

		if (is_virtual && !excludes && strpbrk(pattern, "*%") != NULL)
			continue;
		if (pattern_match(pattern, name))
			chosen = !excludes;
	}
	return chosen;
}
