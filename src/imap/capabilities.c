/* What the server can do: its words as flags, less what the configuration switches off. */
#include "imap/imap_private.h"

#include <string.h>

#include "base/log.h"
#include "base/memory.h"

static const struct {
	const char *name;
	uint32_t capability;
} capability_names[] = {
	{"COMPRESS=DEFLATE", CAP_COMPRESS},
	{"CONDSTORE", CAP_CONDSTORE},
	{"ENABLE", CAP_ENABLE},
	{"X-GM-EXT-1", CAP_GMAIL},
	{"ID", CAP_ID},
	{"LIST-EXTENDED", CAP_LIST_EXTENDED},
	{"LIST-STATUS", CAP_LIST_STATUS},
	{"LITERAL-", CAP_LITERAL_MINUS},
	{"LITERAL+", CAP_LITERAL_PLUS},
	{"MOVE", CAP_MOVE},
	{"MULTIAPPEND", CAP_MULTIAPPEND},
	{"NAMESPACE", CAP_NAMESPACE},
	{"OBJECTID", CAP_OBJECTID},
	{"QRESYNC", CAP_QRESYNC},
	{"SPECIAL-USE", CAP_SPECIAL_USE},
	{"UIDPLUS", CAP_UIDPLUS},
	{"UNSELECT", CAP_UNSELECT},
	{"UTF8=ACCEPT", CAP_UTF8_ACCEPT},
	{"SASL-IR", CAP_SASL_IR},
	{"LOGINDISABLED", CAP_LOGINDISABLED},
	{"STARTTLS", CAP_STARTTLS},
	{"UIDONLY", CAP_UIDONLY},
	{"X-GUID", CAP_X_GUID}, /* never announced, but it can be disabled by that name */
	{"APPENDLIMIT", CAP_APPENDLIMIT},
};

static const struct {
	const char *name;
	enum auth_mechanism mechanism;
} mechanism_words[] = {
	{"AUTH=PLAIN", AUTH_PLAIN},
	{"AUTH=CRAM-MD5", AUTH_CRAM_MD5},
	{"AUTH=SCRAM-SHA-256", AUTH_SCRAM_SHA_256},
	{"AUTH=XOAUTH2", AUTH_XOAUTH2},
	{"AUTH=OAUTHBEARER", AUTH_OAUTHBEARER},
	{"AUTH=EXTERNAL", AUTH_EXTERNAL},
};

void capabilities_clear(struct imap_conn *conn)
{
	conn->capabilities = 0;
	conn->mechanisms = 0;
	conn->append_limit = 0;
	conn->auth_told = false;
	conn->utf8_only = false;
	conn->capabilities_told = false;
}

void capabilities_word(struct imap_conn *conn, const char *word)
{
	uint64_t limit;

	for (size_t i = 0; i < ARRAY_SIZE(capability_names); i++) {
		if (ascii_case_equal(word, capability_names[i].name))
			conn->capabilities |= capability_names[i].capability;
	}
	for (size_t i = 0; i < ARRAY_SIZE(mechanism_words); i++) {
		if (ascii_case_equal(word, mechanism_words[i].name))
			conn->mechanisms |= 1U << mechanism_words[i].mechanism;
	}
	if (ascii_ncasecmp(word, "AUTH=", 5) == 0)
		conn->auth_told = true;
	if (ascii_ncasecmp(word, "APPENDLIMIT=", 12) == 0 &&
	    parse_number(word + 12, UINT64_MAX, &limit)) {
		conn->capabilities |= CAP_APPENDLIMIT;
		conn->append_limit = limit;
	}
	/* A list without it is no list (iCloud's proxy sends such): ask. */
	if (ascii_ncasecmp(word, "IMAP4rev", 8) == 0)
		conn->capabilities_told = true;
	if (ascii_case_equal(word, "UTF8=ONLY")) {
		conn->utf8_only = true;
		conn->capabilities |= CAP_UTF8_ACCEPT;
	}
	if (ascii_case_equal(word, "IMAP4rev2")) /* RFC 9051 appendix E: has these within */
		conn->capabilities |= CAP_NAMESPACE | CAP_UNSELECT | CAP_UIDPLUS | CAP_ENABLE |
				      CAP_SASL_IR | CAP_LIST_EXTENDED | CAP_LIST_STATUS | CAP_MOVE |
				      CAP_LITERAL_MINUS | CAP_SPECIAL_USE;
}

void capabilities_take(struct imap_conn *conn, const char *p, size_t len)
{
	const char *end = p + len;
	char word[128];

	capabilities_clear(conn);
	while (p < end) {
		size_t n = 0;

		while (p < end && ascii_is_space(*p))
			p++;
		while (p + n < end && !ascii_is_space(p[n]))
			n++;
		if (n != 0 && n < sizeof(word)) {
			memcpy(word, p, n);
			word[n] = '\0';
			capabilities_word(conn, word);
		}
		p += n;
	}
}

/* "COMPRESS" and "QRESYNC " mean what one thinks they mean. */
static uint32_t capability_called(const char *name)
{
	uint32_t found = 0;
	size_t len = strlen(name);

	for (size_t i = 0; i < ARRAY_SIZE(capability_names); i++) {
		const char *known = capability_names[i].name;

		if (ascii_ncasecmp(name, known, len) == 0 &&
		    (known[len] == '\0' || known[len] == '='))
			found |= capability_names[i].capability;
	}
	if (ascii_ncasecmp(name, "X-GM", 4) == 0)
		found |= CAP_GMAIL;
	if ((found & CAP_CONDSTORE) != 0)
		found |= CAP_QRESYNC;
	return found;
}

void capabilities_disable(struct imap_conn *conn, const struct imap_options *options)
{
	for (size_t i = 0; i < options->n_disabled; i++) {
		uint32_t found = capability_called(options->disabled[i]);

		if (found == 0)
			log_verbose("extension %s is not used in any case", options->disabled[i]);
		conn->disabled |= found;
	}
}

void capabilities_settle(struct imap_conn *conn)
{
	if ((conn->capabilities & CAP_QRESYNC) != 0)
		conn->capabilities |= CAP_CONDSTORE | CAP_ENABLE; /* RFC 7162 section 3.2 */
	if ((conn->capabilities & CAP_GMAIL) != 0)
		conn->capabilities |= CAP_ID;
	conn->capabilities &= ~conn->disabled;
	if ((conn->capabilities & CAP_ENABLE) == 0)
		conn->capabilities &= ~(uint32_t)CAP_QRESYNC;
}
