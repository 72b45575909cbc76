/* Whatever a server calls its mailboxes: modified UTF-7, prefixes, directories, patterns. The
 * input is a name; its first byte chooses the namespace, and a line end, if there is one, ends
 * the name and begins a pattern. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "core/layout.h"
#include "core/names.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct namespace spaces[] = {
	{"", '/', false},       {"", '.', false}, {"", '\\', false},     {"", '\0', false},
	{"INBOX.", '.', false}, {"", '/', true},  {"Mail/", '/', false}, {"INBOX/", '/', true},
};

static void must(bool holds)
{
	if (!holds)
		abort();
}

static void must_be(char *got, const char *want)
{
	must(got != NULL && strcmp(got, want) == 0);
	free(got);
}

static void fuzz_utf7(const char *name)
{
	char *decoded = utf7_decode(name), *encoded = utf7_encode(name);

	if (decoded != NULL) {
		must(utf8_valid(decoded, strlen(decoded)));
		must_be(utf7_encode(decoded), name);
	}
	if (utf8_valid(name, strlen(name)))
		must_be(utf7_decode(encoded), name);
	free(decoded);
	free(encoded);
}

/* What the name of a mailbox, or any name, says is found again by the mailbox it gives. */
static void fuzz_to_wire(const struct namespace *ns, const char *name)
{
	char *wire = name_to_wire(ns, name), *canonical = xstrdup(name);

	if (ascii_ncasecmp(name, "INBOX", 5) == 0 && (name[5] == '\0' || name[5] == '/'))
		memcpy(canonical, "INBOX", 5);
	if (wire != NULL)
		must_be(name_from_wire(ns, wire), canonical);
	free(canonical);
	free(wire);
}

static void fuzz_wire(const struct namespace *ns, const char *wire)
{
	char *name = name_from_wire(ns, wire);

	fuzz_to_wire(ns, name);
	fuzz_to_wire(ns, wire);
	free(name);
}

static void fuzz_entry(enum layout layout, const char *entry, size_t len)
{
	must(len > 0 && len <= 255 && utf8_valid(entry, len));
	must(layout == LAYOUT_MAILDIRPP || *entry != '.');
	must(len != 2 || memcmp(entry, "..", 2) != 0);
	for (size_t i = 0; i < len; i++)
		must((unsigned char)entry[i] >= 0x20 && entry[i] != 0x7f);
}

static void fuzz_layout(enum layout layout, const char *name)
{
	char *path = layout_path(layout, name), *back = layout_name(layout, path);
	const char *slash, *at = path;

	for (; (slash = strchr(at, '/')) != NULL; at = slash + 1)
		fuzz_entry(layout, at, (size_t)(slash - at));
	fuzz_entry(layout, at, strlen(at));
	must(layout == LAYOUT_NESTED || at == path);
	if (back == NULL)
		must(*name == '\0' || strstr(path, "%~") != NULL);
	else
		must(ascii_ncasecmp(back, name, 5) == 0 && strlen(back) == strlen(name));
	free(back);
	free(path);
	back = layout_name(layout, name); /* and as a path */
	if (back != NULL)
		must_be(layout_path(layout, back), name);
	free(back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *name, *pattern;
	const char *const excluded[] = {"!*", "a%"};
	uint8_t which;

	if (size == 0)
		return 0;
	which = data[0] % ARRAY_SIZE(spaces);
	name = xstrndup((const char *)data + 1, size - 1);
	pattern = strchr(name, '\n');
	if (pattern != NULL) {
		*pattern++ = '\0';
		must(pattern_match(pattern, pattern));
		pattern_match(pattern, name);
	}
	must(pattern_match("*", name) && pattern_match(name, name));
	must(patterns_match(excluded, 2, name, false) == pattern_match("a%", name));
	fuzz_utf7(name);
	fuzz_wire(&spaces[which], name);
	fuzz_layout(LAYOUT_NESTED, name);
	fuzz_layout(LAYOUT_MAILDIRPP, name);
	free(name);
	return 0;
}
