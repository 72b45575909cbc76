/* Dovecot's lock of a folder's keywords, taken as Dovecot takes it: a file whose name is the lock, with "pid:host"
 * of its holder in it. Whose process is gone is broken at once, by us and by Dovecot: a run that was killed
 * must not make the next one wait. What does not say whose it is, or is another machine's, is broken when it
 * is old. The file gets its name with its contents (link), so that there is no moment in which a kill leaves
 * one that says nothing. */
#include "maildir/maildir_private.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"

#define LOCK_NAME "dovecot-uidlist.lock"
#define LOCK_TRIES 40  /* of 50 ms */
#define LOCK_STALE 120 /* seconds; Dovecot breaks its own at that age, too */
#define OWNER_MAX 512

static void host_name(char name[256])
{
	if (gethostname(name, 256) != 0)
		name[0] = '\0';
	name[255] = '\0';
}

/* A holder of this very process is a past one: nobody else works on the folder. */
static bool owner_is_gone(const char *owner)
{
	char host[256], *end;
	long pid = strtol(owner, &end, 10);

	host_name(host);
	if (pid <= 0 || (pid_t)pid != pid || *end != ':' || strcmp(end + 1, host) != 0)
		return false;
	return (pid_t)pid == getpid() || (kill((pid_t)pid, 0) != 0 && errno == ESRCH);
}

static bool is_stale(int directory)
{
	struct stat st;
	char *owner;
	size_t len;
	bool gone;

	if (fstatat(directory, LOCK_NAME, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return false;
	if (st.st_ctim.tv_sec < time(NULL) - LOCK_STALE)
		return true;
	if (file_read_small(directory, LOCK_NAME, OWNER_MAX, &owner, &len) != 0)
		return false;
	gone = owner_is_gone(owner);
	free(owner);
	return gone;
}

/* In tmp, where what a kill leaves is cleaned away. */
static int write_claim(const struct maildir_folder *folder, const char *claim)
{
	int fd = openat(folder->sub[SUB_TMP], claim,
			O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	char host[256], owner[OWNER_MAX];
	int len, result;

	if (fd < 0)
		return -1;
	host_name(host);
	len = snprintf(owner, sizeof(owner), "%ld:%s", (long)getpid(), host);
	result = file_write_all(fd, owner, (size_t)len);
	close(fd);
	return result;
}

static int wait_for_name(struct maildir_folder *folder, const char *claim, struct error *err)
{
	struct timespec pause = {.tv_nsec = 50000000};

	for (int i = 0; i < LOCK_TRIES; i++) {
		if (linkat(folder->sub[SUB_TMP], claim, folder->fd, LOCK_NAME, 0) == 0)
			return 0;
		if (errno != EEXIST)
			return error_errno(err, folder_trouble(errno),
					   "cannot create %s/" LOCK_NAME, folder->path);
		if (is_stale(folder->fd))
			unlinkat(folder->fd, LOCK_NAME, 0);
		else
			nanosleep(&pause, NULL);
	}
	return error_set(err, ERROR_CHANGED, "%s/" LOCK_NAME " is held by another program",
			 folder->path);
}

int dotlock_take(struct maildir_folder *folder, struct error *err)
{
	char *claim = xasprintf(TMP_PREFIX "lock.%ld", (long)getpid());
	int result;

	if (write_claim(folder, claim) != 0)
		result = error_errno(err, folder_trouble(errno), "cannot write in %s/tmp",
				     folder->path);
	else
		result = wait_for_name(folder, claim, err);
	unlinkat(folder->sub[SUB_TMP], claim, 0);
	free(claim);
	return result;
}

void dotlock_release(struct maildir_folder *folder)
{
	unlinkat(folder->fd, LOCK_NAME, 0);
}
