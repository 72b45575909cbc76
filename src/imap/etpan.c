/* What is not hot is parsed by libetpan: CAPABILITY, LIST, STATUS, ID, ENABLED, SEARCH.
 *
 * The parser is given one complete response in memory and never a stream, so a response that it
 * cannot parse costs that response and no more. Only these kinds reach it: others were seen to
 * crash it (ANNOTATION, NAMESPACE, malformed response codes) or mean nothing to us. What it does not know
 * within them is cut off or taught to it: extended data after LIST and SEARCH, new STATUS items. */
#include "imap/imap_private.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "imap/etpan_absent.h"
#include "imap/etpan_private.h"

/* ---- STATUS items that libetpan does not know ---- */

struct status_item { /* malloc'd in one piece, freed by libetpan through status_item_free */
	char name[24];
	char value[200];
};

static int status_item_parse(int calling_parser, mailstream *fd, MMAPString *buffer,
			     struct mailimap_parser_context *parser_ctx, size_t *indx,
			     struct mailimap_extension_data **result, size_t progr_rate,
			     progress_function *progr_fun);

static void status_item_free(struct mailimap_extension_data *data)
{
	free(data->ext_data);
	free(data);
}

static char extension_name[] = "mailtwin STATUS items";
static struct mailimap_extension_api status_extension = {extension_name, -1, status_item_parse,
							 status_item_free};

static size_t copy_word(char *out, size_t room, const char *p, const char *end, const char *stops)
{
	size_t len = 0;

	while (p + len < end && (unsigned char)p[len] > ' ' && strchr(stops, p[len]) == NULL)
		len++;
	if (len < room) {
		memcpy(out, p, len);
		out[len] = '\0';
	}
	return len;
}

static int status_item_parse(int calling_parser, mailstream *fd, MMAPString *buffer,
			     struct mailimap_parser_context *parser_ctx, size_t *indx,
			     struct mailimap_extension_data **result, size_t progr_rate,
			     progress_function *progr_fun)
{
	const char *p = buffer->str + *indx, *end = buffer->str + buffer->len;
	struct status_item item;
	bool nested;

	(void)fd, (void)parser_ctx, (void)progr_rate, (void)progr_fun;
	if (calling_parser != MAILIMAP_EXTENDED_PARSER_STATUS_ATT)
		return MAILIMAP_ERROR_PARSE;
	memset(&item, 0, sizeof(item));
	while (p < end && *p == ' ')
		p++;
	p += copy_word(item.name, sizeof(item.name), p, end, "()");
	if (p == end || *p != ' ' || item.name[0] == '\0')
		return MAILIMAP_ERROR_PARSE;
	nested = ++p < end && *p == '(';
	p += nested;
	p += copy_word(item.value, sizeof(item.value), p, end, "()");
	if (p == end || (nested && *p++ != ')'))
		return MAILIMAP_ERROR_PARSE;
	*result = xmalloc(sizeof(**result));
	(*result)->ext_extension = &status_extension;
	(*result)->ext_type = 0;
	(*result)->ext_data = memcpy(xmalloc(sizeof(item)), &item, sizeof(item));
	*indx = (size_t)(p - buffer->str);
	return MAILIMAP_NO_ERROR;
}

static pthread_once_t registered = PTHREAD_ONCE_INIT;

/* The list of extensions is global and not guarded: only ever from pthread_once. */
static void register_extension(void)
{
	mailimap_extension_register(&status_extension);
}

/* ---- results ---- */

static void take_capabilities(struct imap_conn *conn, struct mailimap_capability_data *data)
{
	clistiter *at;

	capabilities_clear(conn);
	if (data == NULL || data->cap_list == NULL)
		return;
	for (at = clist_begin(data->cap_list); at != NULL; at = clist_next(at)) {
		struct mailimap_capability *capability = clist_content(at);
		struct text word = {0};

		if (capability->cap_type == MAILIMAP_CAPABILITY_AUTH_TYPE)
			text_printf(&word, "AUTH=%s", capability->cap_data.cap_auth_type);
		else
			text_puts(&word, capability->cap_data.cap_name);
		capabilities_word(conn, text_get(&word));
		text_release(&word);
	}
}

static void take_list_flag(struct list_entry *entry, const char *flag)
{
	static const struct {
		const char *name;
		enum special_use special;
	} uses[] = {
		{"All", SPECIAL_ALL},       {"Archive", SPECIAL_ARCHIVE},
		{"Drafts", SPECIAL_DRAFTS}, {"Flagged", SPECIAL_FLAGGED},
		{"Junk", SPECIAL_JUNK},     {"Sent", SPECIAL_SENT},
		{"Trash", SPECIAL_TRASH},   {"Important", SPECIAL_IMPORTANT},
		{"AllMail", SPECIAL_ALL},   {"Spam", SPECIAL_JUNK},
	};

	if (*flag == '\\')
		flag++;
	if (ascii_case_equal(flag, "Noselect") || ascii_case_equal(flag, "NonExistent"))
		entry->noselect = true;
	if (ascii_case_equal(flag, "NoInferiors"))
		entry->noinferiors = true;
	for (size_t i = 0; i < ARRAY_SIZE(uses); i++) {
		if (ascii_case_equal(flag, uses[i].name) && entry->special == SPECIAL_NONE)
			entry->special = uses[i].special;
	}
}

static void take_list(struct imap_conn *conn, struct mailimap_mailbox_list *list)
{
	struct list_entry entry = {list->mb_name, list->mb_delimiter, false, false, SPECIAL_NONE};
	struct mailimap_mbx_list_flags *flags = list->mb_flag;
	clistiter *at;

	if (flags != NULL && flags->mbf_type == MAILIMAP_MBX_LIST_FLAGS_SFLAG &&
	    flags->mbf_sflag == MAILIMAP_MBX_LIST_SFLAG_NOSELECT)
		entry.noselect = true;
	for (at = flags != NULL && flags->mbf_oflags != NULL ? clist_begin(flags->mbf_oflags)
							     : NULL;
	     at != NULL; at = clist_next(at)) {
		struct mailimap_mbx_list_oflag *flag = clist_content(at);

		if (flag->of_type == MAILIMAP_MBX_LIST_OFLAG_NOINFERIORS)
			entry.noinferiors = true;
		else if (flag->of_flag_ext != NULL)
			take_list_flag(&entry, flag->of_flag_ext);
	}
	if (entry.wire != NULL && conn->operation->list != NULL)
		conn->operation->list(conn->operation->ctx, &entry);
}

static void take_status_extension(struct mailimap_extension_data *data, struct imap_status *status)
{
	if (data->ext_extension == &status_extension) {
		struct status_item *item = data->ext_data;

		if (ascii_case_equal(item->name, "MAILBOXID"))
			status->mailbox_id = item->value;
	} else if (data->ext_extension->ext_id == MAILIMAP_EXTENSION_CONDSTORE) {
		struct mailimap_condstore_status_info *info = data->ext_data;

		status->highestmodseq = info->cs_highestmodseq_value;
	}
}

/* libetpan gives the mailbox of a STATUS as it stands in the response: quotes and all. */
static char *unwrap(char *raw)
{
	size_t len = strlen(raw);
	char *out = raw, *p, *newline;

	if (raw[0] == '{' && (newline = strchr(raw, '\n')) != NULL)
		return newline + 1;
	if (len < 2 || raw[0] != '"' || raw[len - 1] != '"')
		return raw;
	for (p = raw + 1; p < raw + len - 1; p++) {
		if (*p == '\\' && p + 1 < raw + len - 1)
			p++;
		*out++ = *p;
	}
	*out = '\0';
	return raw;
}

static void take_status(struct imap_conn *conn, struct mailimap_mailbox_data_status *data)
{
	struct imap_status status = {.mailbox_id = ""};
	bool exists = false;
	clistiter *at;

	at = data->st_info_list != NULL ? clist_begin(data->st_info_list) : NULL;
	for (; at != NULL; at = clist_next(at)) {
		struct mailimap_status_info *info = clist_content(at);

		if (info->st_ext_data != NULL)
			take_status_extension(info->st_ext_data, &status);
		else if (info->st_att == MAILIMAP_STATUS_ATT_MESSAGES)
			status.exists = info->st_value, exists = true;
		else if (info->st_att == MAILIMAP_STATUS_ATT_UIDNEXT)
			status.uidnext = info->st_value;
		else if (info->st_att == MAILIMAP_STATUS_ATT_UIDVALIDITY)
			status.uidvalidity = info->st_value;
	}
	status.known = exists && status.uidvalidity != 0;
	if (data->st_mailbox != NULL && conn->operation->status != NULL)
		conn->operation->status(conn->operation->ctx, unwrap(data->st_mailbox), &status);
}

static void take_mailbox_data(struct imap_conn *conn, struct mailimap_mailbox_data *data)
{
	clistiter *at;

	if (conn->operation == NULL)
		return;
	switch (data->mbd_type) {
	case MAILIMAP_MAILBOX_DATA_LIST: take_list(conn, data->mbd_data.mbd_list); break;
	case MAILIMAP_MAILBOX_DATA_STATUS: take_status(conn, data->mbd_data.mbd_status); break;
	case MAILIMAP_MAILBOX_DATA_SEARCH:
		if (conn->operation->search == NULL || data->mbd_data.mbd_search == NULL)
			break;
		for (at = clist_begin(data->mbd_data.mbd_search); at != NULL; at = clist_next(at))
			conn->operation->search(conn->operation->ctx,
						*(uint32_t *)clist_content(at));
		break;
	default: break;
	}
}

static void take_id(struct imap_conn *conn, struct mailimap_id_params_list *list)
{
	clistiter *at;

	if (list == NULL || list->idpa_list == NULL)
		return;
	for (at = clist_begin(list->idpa_list); at != NULL; at = clist_next(at)) {
		struct mailimap_id_param *param = clist_content(at);

		if (param->idpa_name == NULL || param->idpa_value == NULL)
			continue;
		log_verbose("the server's %s: %s", param->idpa_name, param->idpa_value);
		if (ascii_case_equal(param->idpa_name, "name") &&
		    ascii_case_equal(param->idpa_value, "Dovecot"))
			conn->is_dovecot = true;
	}
}

static void take_enabled(struct imap_conn *conn, struct mailimap_capability_data *data)
{
	clistiter *at;

	if (data == NULL || data->cap_list == NULL)
		return;
	for (at = clist_begin(data->cap_list); at != NULL; at = clist_next(at)) {
		struct mailimap_capability *capability = clist_content(at);

		if (capability->cap_type == MAILIMAP_CAPABILITY_AUTH_TYPE)
			continue;
		if (ascii_case_equal(capability->cap_data.cap_name, "QRESYNC"))
			conn->enabled_qresync = true;
		if (ascii_case_equal(capability->cap_data.cap_name, "UTF8=ACCEPT"))
			conn->enabled_utf8 = conn->ns.utf8 = true;
	}
}

static void take_extension(struct imap_conn *conn, struct mailimap_extension_data *data)
{
	switch (data->ext_extension->ext_id) {
	case MAILIMAP_EXTENSION_ID: take_id(conn, data->ext_data); break;
	case MAILIMAP_EXTENSION_ENABLE: take_enabled(conn, data->ext_data); break;
	default: break;
	}
}

static void take(struct imap_conn *conn, struct mailimap_response_data *data)
{
	switch (data->rsp_type) {
	case MAILIMAP_RESP_DATA_TYPE_CAPABILITY_DATA:
		take_capabilities(conn, data->rsp_data.rsp_capability_data);
		break;
	case MAILIMAP_RESP_DATA_TYPE_MAILBOX_DATA:
		if (data->rsp_data.rsp_mailbox_data != NULL)
			take_mailbox_data(conn, data->rsp_data.rsp_mailbox_data);
		break;
	case MAILIMAP_RESP_DATA_TYPE_EXTENSION_DATA:
		if (data->rsp_data.rsp_extension_data != NULL)
			take_extension(conn, data->rsp_data.rsp_extension_data);
		break;
	default: break;
	}
}

/* ---- VANISHED: one line may name a million messages, so no list is made of it ---- */

static uint64_t vanished_set(struct imap_conn *conn, const char *p, const char *end, bool earlier)
{
	uint64_t first, last, n = 0;

	while (p < end && scan_number(&p, end, UINT32_MAX, &first)) {
		last = first;
		if (p < end && *p == ':') {
			p++;
			if (!scan_number(&p, end, UINT32_MAX, &last))
				break;
		}
		if (last < first) {
			uint64_t swap = first;

			first = last;
			last = swap;
		}
		n += last - first + 1;
		if (first != 0 && conn->operation != NULL && conn->operation->vanished != NULL)
			conn->operation->vanished(conn->operation->ctx, (uint32_t)first,
						  (uint32_t)last, earlier);
		if (p == end || *p++ != ',')
			break;
	}
	return n;
}

static void vanished(struct imap_conn *conn, const char *p, const char *end)
{
	static const char word[] = "(EARLIER)";
	bool earlier = false;
	uint64_t n;

	while (p < end && *p == ' ')
		p++;
	if ((size_t)(end - p) >= sizeof(word) && ascii_ncasecmp(p, word, sizeof(word) - 1) == 0) {
		earlier = true;
		p += sizeof(word) - 1;
		while (p < end && *p == ' ')
			p++;
	}
	n = vanished_set(conn, p, end, earlier);
	if (!earlier)
		conn->exists = n < conn->exists ? conn->exists - (uint32_t)n : 0;
}

/* ---- dispatch ---- */

/* The end of the string or atom at p; literals are in place. */
static size_t skip_string(const char *p, size_t at, size_t len)
{
	uint64_t size;
	const char *digits;

	if (at < len && p[at] == '"') {
		for (at++; at < len && p[at] != '"'; at++)
			at += p[at] == '\\';
		return at < len ? at + 1 : len;
	}
	if (at < len && p[at] == '{') {
		digits = p + at + 1;
		if (scan_number(&digits, p + len, LITERAL_MAX_OCTETS, &size) &&
		    (size_t)(digits - p) + 3 + size <= len)
			return (size_t)(digits - p) + 3 + (size_t)size;
		return len;
	}
	while (at < len && p[at] != ' ' && p[at] != '\r')
		at++;
	return at;
}

/* "* LIST (flags) delimiter name": where the name ends. */
static size_t list_end(const char *p, size_t len)
{
	const char *close = memchr(p, ')', len);
	size_t at = close != NULL ? (size_t)(close - p) + 1 : len;

	while (at < len && p[at] == ' ')
		at++;
	at = skip_string(p, at, len);
	while (at < len && p[at] == ' ')
		at++;
	return skip_string(p, at, len);
}

static size_t search_end(const char *p, size_t len)
{
	const char *extra = memchr(p, '(', len);
	size_t at = extra != NULL ? (size_t)(extra - p) : len - 2;

	while (at > 0 && p[at - 1] == ' ')
		at--;
	return at;
}

static int parse(struct imap_conn *conn, const char *data, size_t len)
{
	struct mailimap_response_data *result = NULL;
	struct mailimap_parser_context context;
	MMAPString *buffer;
	size_t at = 0;
	int status;

	pthread_once(&registered, register_extension);
	buffer = mmap_string_new_len(data, len);
	if (buffer == NULL)
		abort();
	memset(&context, 0,
	       sizeof(context)); /* without one it crashes; no work-arounds, no handlers */
	if (len < 2 || data[len - 1] != '\n')
		mmap_string_append(buffer, "\r\n");
	status = mailimap_response_data_parse(NULL, buffer, &context, &at, &result, 0, NULL);
	if (status == MAILIMAP_NO_ERROR && result != NULL)
		take(conn, result);
	if (result != NULL)
		mailimap_response_data_free(result);
	mmap_string_free(buffer);
	return status == MAILIMAP_NO_ERROR ? 0 : -1;
}

enum kind {
	KIND_CAPABILITY,
	KIND_LIST,
	KIND_STATUS,
	KIND_NAMESPACE,
	KIND_ID,
	KIND_ENABLED,
	KIND_SEARCH,
	KIND_VANISHED,
};

static const char *const kinds[] = {"CAPABILITY", "LIST",    "STATUS", "NAMESPACE",
				    "ID",         "ENABLED", "SEARCH", "VANISHED"};

int etpan_dispatch(struct imap_conn *conn, const char *data, size_t len, struct error *err)
{
	size_t word = 2, i;

	while (word < len && (unsigned char)data[word] > ' ')
		word++;
	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (strlen(kinds[i]) == word - 2 &&
		    ascii_ncasecmp(data + 2, kinds[i], word - 2) == 0)
			break;
	}
	switch (i) {
	case KIND_VANISHED: vanished(conn, data + word, data + len - 2); return 0;
	case KIND_NAMESPACE:
		if (!namespace_take(conn, data + word, len - word))
			log_verbose("the server's NAMESPACE makes no sense");
		return 0;
	case KIND_LIST: len = list_end(data, len); break;
	case KIND_SEARCH: len = search_end(data, len); break;
	case ARRAY_SIZE(kinds): return 0;
	default: break;
	}
	if (parse(conn, data, len) == 0)
		return 0;
	if (i == KIND_CAPABILITY)
		capabilities_take(conn, data + word, len - word - 2);
	else if (i == KIND_LIST || i == KIND_SEARCH)
		return error_set(err, ERROR_SERVER, "the server sent a malformed %s response",
				 kinds[i]);
	log_verbose("a %s response could not be understood", kinds[i]);
	return 0;
}
