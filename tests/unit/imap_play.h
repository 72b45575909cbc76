/* An IMAP server whose words are written down: a tunnel prints them all at once and keeps what it
 * is told; tags are ours, so they are known. */
#ifndef MAILTWIN_TESTS_UNIT_IMAP_PLAY_H
#define MAILTWIN_TESTS_UNIT_IMAP_PLAY_H

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/text.h"
#include "check.h"
#include "imap/imap.h"

#define QUICK "UIDPLUS LITERAL+ MOVE UNSELECT CONDSTORE QRESYNC ENABLE LIST-STATUS"

struct play {
	char server[40];
	char sent[40];
	struct keyword_pool *pool;
	struct imap_conn *conn;
	struct error err;
	struct text seen;
	char *said; /* all that was sent */
};

/* The two files of the tunnel; what is written to the first is what the server says. */
static inline FILE *play_files(struct play *play)
{
	FILE *file;

	memset(play, 0, sizeof(*play));
	snprintf(play->server, sizeof(play->server), "/tmp/mailtwin-test-XXXXXX");
	snprintf(play->sent, sizeof(play->sent), "/tmp/mailtwin-test-XXXXXX");
	close(mkstemp(play->sent));
	file = fdopen(mkstemp(play->server), "w");
	CU_ASSERT_PTR_NOT_NULL_FATAL(file);
	return file;
}

/* A session that greets with PREAUTH and these capabilities; m1 is ENABLE where QRESYNC is. */
static inline void play_open(struct play *play, const char *capabilities, const char *answers)
{
	struct imap_options options = {.stream = {.timeout = 10, .stop_fd = -1}};
	bool qresync = strstr(capabilities, "QRESYNC") != NULL;
	FILE *file = play_files(play);
	char *command;

	fprintf(file, "* PREAUTH [CAPABILITY IMAP4rev1 NAMESPACE %s] hello\r\n", capabilities);
	if (qresync)
		fputs("* ENABLED QRESYNC\r\nm1 OK done\r\n", file);
	fprintf(file, "* NAMESPACE ((\"\" \"/\")) NIL ((\"#s/\" \"/\"))\r\nm%d OK done\r\n",
		qresync ? 2 : 1);
	fputs(answers, file);
	fclose(file);
	command = xasprintf("cat %s; exec cat >%s", play->server, play->sent);
	play->pool = keyword_pool_new();
	options.keywords = play->pool;
	options.stream.tunnel = command;
	CU_ASSERT_EQUAL_FATAL(imap_open(&play->conn, &options, &play->err), 0);
	imap_capabilities(play->conn);
	free(command);
}

static inline char *read_all(const char *path)
{
	struct text text = {0};
	FILE *file = fopen(path, "r");
	char buffer[4096];
	size_t got;

	while (file != NULL && (got = fread(buffer, 1, sizeof(buffer), file)) > 0)
		text_add(&text, buffer, got);
	if (file != NULL)
		fclose(file);
	return text_steal(&text);
}

/* Ends it; the part of what was sent from the first command after the set-up is in said. */
static inline void play_close(struct play *play)
{
	const struct timespec pause = {0, 10000000};
	char *at;

	imap_close(&play->conn);
	for (int i = 0; i < 200; i++) {
		free(play->said);
		play->said = read_all(play->sent);
		if (strstr(play->said, "LOGOUT") != NULL)
			break;
		nanosleep(&pause, NULL);
	}
	at = strstr(play->said, "NAMESPACE\r\n");
	if (at != NULL)
		memmove(play->said, at + 11, strlen(at + 11) + 1);
	unlink(play->server);
	unlink(play->sent);
}

static inline void play_release(struct play *play)
{
	free(play->said);
	text_release(&play->seen);
	keyword_pool_free(&play->pool);
}

static inline void see_message(void *ctx, uint32_t uid, struct flags flags)
{
	struct play *play = ctx;

	text_printf(&play->seen, "%" PRIu32 "=%x ", uid, flags.system);
}

static inline void see_vanished(void *ctx, uint32_t first, uint32_t last)
{
	struct play *play = ctx;

	text_printf(&play->seen, "-%" PRIu32 ":%" PRIu32 " ", first, last);
}

static inline void see_uid(void *ctx, uint32_t uid)
{
	struct play *play = ctx;

	text_printf(&play->seen, "%" PRIu32 " ", uid);
}

#endif
