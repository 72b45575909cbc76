/* Several mailboxes in one burst: what was begun and is not finished.
 *
 * Commands of many mailboxes are sent before the first answer is read, so that a slow line costs
 * one round trip for all of them. The server works them off in order, for each SELECT changes what
 * the commands after it mean (RFC 9051 section 5.5). So the answers are read in order too, each with
 * the state of its own mailbox: an answer that comes before its turn breaks the protocol.
 *
 * What is written before anything is read is bounded: a server that is kept from writing stops
 * reading, and then more commands would only wait for the spill of the stream to fill up. */
#include "imap/imap_private.h"

#include <string.h>

#define BURST_OCTETS ((size_t)64 << 10)

/* No command of one mailbox is longer than the half that is kept free. */
bool imap_begun_has_room(const struct imap_conn *conn)
{
	return conn->n_begun < IMAP_MOST_BEGUN && conn->burst_octets <= BURST_OCTETS / 2;
}

static struct begun *oldest(struct imap_conn *conn)
{
	return conn->n_begun != 0 ? &conn->begun[conn->begun_first] : NULL;
}

int burst_enter(struct imap_conn *conn, const char *mailbox, size_t octets, struct error *err)
{
	if (conn->n_begun == 0 && operation_begin(conn, NULL, err) < 0)
		return -1;
	if (conn->dead)
		return error_set(err, ERROR_NETWORK, "the connection is no longer usable");
	if (conn->n_begun == IMAP_MOST_BEGUN || conn->burst_octets + octets > BURST_OCTETS)
		return error_set(err, ERROR_REFUSED, "too much is under way for %s", mailbox);
	if (command_string_waits(conn, mailbox))
		return error_set(err, ERROR_REFUSED,
				 "the server must be asked before the name %s is sent", mailbox);
	return 0;
}

void burst_add(struct imap_conn *conn, void *work, void (*work_free)(void *work), size_t octets)
{
	struct begun *begun = &conn->begun[(conn->begun_first + conn->n_begun) % IMAP_MOST_BEGUN];

	begun->work = work;
	begun->work_free = work_free;
	begun->tag = conn->last_tag;
	begun->octets = octets;
	conn->n_begun++;
	conn->burst_octets += octets;
}

void *burst_oldest(struct imap_conn *conn, void (*work_free)(void *work), struct error *err)
{
	struct begun *begun = oldest(conn);

	if (begun == NULL || begun->work_free != work_free) {
		error_set(err, conn->dead ? ERROR_NETWORK : ERROR_REFUSED,
			  conn->dead ? "the connection is no longer usable"
				     : "nothing of the kind was begun");
		return NULL;
	}
	return begun->work;
}

int burst_read(struct imap_conn *conn, const struct operation *operation, struct error *err)
{
	uint32_t tag = oldest(conn)->tag;
	int result = 0;

	selection_expect(conn);
	conn->operation = operation;
	while (result == 0 && conn->queue_len != 0 && conn->queue[conn->queue_first].tag <= tag)
		result = conn_read(conn, err);
	conn->selecting = false;
	operation_end(conn);
	return result;
}

bool burst_is_early(const struct imap_conn *conn, uint32_t tag)
{
	return conn->n_begun != 0 && tag > conn->begun[conn->begun_first].tag;
}

void imap_begun_send(struct imap_conn *conn)
{
	if (!conn->dead && conn->n_begun != 0)
		stream_flush(conn->stream, NULL);
}

static void leave(struct imap_conn *conn)
{
	struct begun *begun = oldest(conn);

	conn->burst_octets -= begun->octets;
	begun->work_free(begun->work);
	conn->begun_first = (conn->begun_first + 1) % IMAP_MOST_BEGUN;
	conn->n_begun--;
}

void burst_leave(struct imap_conn *conn)
{
	leave(conn);
	if (conn->dead)
		burst_drop(conn);
}

void burst_drop(struct imap_conn *conn)
{
	while (conn->n_begun != 0)
		leave(conn);
}
