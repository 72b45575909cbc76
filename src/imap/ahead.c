/* What is sent with the login, in one write: ID, ENABLE, NAMESPACE and LIST. On a long line that saves
 * one turn of the two that a run with nothing to do takes after the greeting.
 *
 * Which commands these are depends on what the server can do once one is logged in. That is remembered
 * from an earlier run, and believed only if the server then says the same again: else the answers are
 * dropped and everything is asked as if nothing had been remembered. Nothing of it is secret, and none of
 * it changes what the login itself is: that goes by what the server says in this session.
 *
 * With the login, some servers and proxies hand the session over to another process. What they had read
 * of the next commands by then must be handed over too, or it is lost and both sides wait for each
 * other. So it is done only for Dovecot, which does that, and only if the greeting tells capabilities:
 * proxies before a Dovecot, which may lose them (nginx before 1.21), greet without. */
#include "imap/imap_private.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

#define KNOWN "dovecot "

/* Without NAMESPACE the delimiter is asked for, without LIST-STATUS each mailbox. */
#define NEEDED (CAP_NAMESPACE | CAP_LIST_STATUS)

void imap_remember(struct imap_conn *conn, char out[IMAP_REMEMBERED])
{
	out[0] = '\0';
	if (conn->is_dovecot)
		snprintf(out, IMAP_REMEMBERED, KNOWN "%" PRIx32, conn->announced);
}

void ahead_prepare(struct imap_conn *conn, const struct imap_options *options)
{
	const char *text = options->remembered;
	unsigned long capabilities;
	char *end;

	if (text == NULL || !starts_with(text, KNOWN) || !conn->greeting_told ||
	    options->compress > 0)
		return;
	text += strlen(KNOWN);
	capabilities = strtoul(text, &end, 16);
	if (end == text || *end != '\0' || capabilities > UINT32_MAX)
		return;
	if ((capabilities & NEEDED & ~conn->disabled) == NEEDED)
		conn->ahead = (uint32_t)capabilities;
}

int ahead_send(struct imap_conn *conn, struct error *err)
{
	uint32_t before = conn->capabilities, login = conn->last_tag;
	int result;

	if (conn->ahead == 0)
		return 0;
	conn->capabilities = conn->ahead;
	capabilities_settle(conn);
	result = session_put_setup(conn, err);
	if (result == 0)
		result = list_put(conn, true, err);
	conn->capabilities = before;
	conn->reply_tag = login;
	conn->list_ahead = true;
	return result;
}

int ahead_judge(struct imap_conn *conn, struct error *err)
{
	if (!conn->list_ahead)
		return 0;
	if (conn->capabilities_told && conn->capabilities == conn->ahead) {
		conn->reply_tag = conn->last_tag;
		return 0;
	}
	log_verbose("the server can do other things than it could, so it is asked anew");
	conn->list_ahead = false;
	return queue_drain(conn, err);
}
