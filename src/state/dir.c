/* The state directory: made, locked, and kept off file systems where a shared mapping or a lock
 * means nothing. */
#include "state/state_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/text.h"

char *state_path(const char *dir, const char *file)
{
	return xasprintf("%s/%s", dir, file);
}

/* Every missing level, ours alone to read. */
static int make_levels(char *path)
{
	for (char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(path, 0700) != 0 && errno != EEXIST) {
			*slash = '/';
			return -1;
		}
		*slash = '/';
	}
	return mkdir(path, 0700) != 0 && errno != EEXIST ? -1 : 0;
}

int dir_make(const char *dir, struct error *err)
{
	struct stat st;
	char *path;
	int rc;

	if (stat(dir, &st) == 0) {
		if (S_ISDIR(st.st_mode))
			return 0;
		return error_set(err, ERROR_LOCAL, "%s is not a directory", dir);
	}
	path = xstrdup(dir);
	rc = make_levels(path);
	free(path);
	if (rc != 0)
		return error_errno(err, ERROR_LOCAL, "cannot make the state directory %s", dir);
	return 0;
}

int dir_sync(const char *dir, struct error *err)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int rc;

	if (fd < 0)
		return error_errno(err, ERROR_LOCAL, "cannot open %s", dir);
	rc = fsync(fd);
	close(fd);
	if (rc != 0)
		return error_errno(err, ERROR_LOCAL, "cannot make %s durable", dir);
	return 0;
}

static const char *network_name(unsigned long type)
{
	static const struct {
		unsigned long type;
		const char *name;
	} networks[] = {
		{0x6969, "NFS"},        {0x517b, "SMB"},        {0xff534d42, "CIFS"},
		{0xfe534d42, "SMB"},    {0x01021997, "9p"},     {0x65735546, "FUSE"},
		{0x5346414f, "AFS"},    {0x6b414653, "AFS"},    {0x00c36400, "Ceph"},
		{0x73757245, "Coda"},   {0x0bd00bd0, "Lustre"}, {0x01161970, "GFS2"},
		{0x7461636f, "OCFS2"},  {0x564c, "NCP"},        {0x47504653, "GPFS"},
		{0x19830326, "BeeGFS"}, {0x786f4256, "vboxsf"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(networks); i++)
		if (networks[i].type == type)
			return networks[i].name;
	return NULL;
}

int dir_check_local(const char *dir, struct error *err)
{
	struct statfs fs;
	const char *name;

	if (statfs(dir, &fs) != 0)
		return error_errno(err, ERROR_LOCAL, "cannot look at the state directory %s", dir);
	name = network_name((unsigned long)fs.f_type & 0xffffffffUL);
	if (name == NULL)
		return 0;
	return error_set(err, ERROR_LOCAL,
			 "%s is on a network file system (%s), where the state would not be safe; "
			 "name a local directory with the option `state'",
			 dir, name);
}

int state_set_aside(const char *dir, struct error *err)
{
	char *from = state_path(dir, "data.mdb");
	char *lock = state_path(dir, "lock.mdb");
	char *to = xasprintf("%s/data.mdb.damaged-%lld", dir, (long long)time(NULL));
	int rc = -1;

	for (unsigned n = 2; access(to, F_OK) == 0; n++) {
		free(to);
		to = xasprintf("%s/data.mdb.damaged-%lld-%u", dir, (long long)time(NULL), n);
	}
	if (rename(from, to) == 0) {
		log_verbose("the damaged state is kept as %s", to);
	} else if (errno != ENOENT) {
		error_errno(err, ERROR_LOCAL, "cannot rename %s to %s", from, to);
		goto out;
	}
	/* It belongs to the file that is gone; who still reads that one keeps it. */
	unlink(lock);
	rc = dir_sync(dir, err);
out:
	free(from);
	free(lock);
	free(to);
	return rc;
}

/* The holder's process id, 0 if it cannot be told. */
static uint64_t lock_holder(int fd)
{
	char text[32];
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
	uint64_t pid;

	if (n <= 0)
		return 0;
	text[n] = '\0';
	text[strcspn(text, "\n")] = '\0';
	return parse_number(text, INT32_MAX, &pid) ? pid : 0;
}

static int lock_refused(int fd, const char *dir, struct error *err)
{
	uint64_t pid = lock_holder(fd);
	char *who = pid != 0 ? xasprintf(" (process %llu)", (unsigned long long)pid) : xstrdup("");

	error_set(err, ERROR_BUSY,
		  "another run is going%s and has the lock in %s; wait for it, or use --wait", who,
		  dir);
	free(who);
	return -1;
}

/* Signal handlers are installed with SA_RESTART, so flock would go on waiting after one; nanosleep
 * never does. */
static int lock_wait(int fd, const char *dir, struct error *err)
{
	const struct timespec pause = {.tv_nsec = 100 * 1000 * 1000};

	while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		if (errno != EWOULDBLOCK)
			return error_errno(err, ERROR_LOCAL, "cannot lock %s/lock", dir);
		if (nanosleep(&pause, NULL) != 0)
			return error_set(err, ERROR_STOPPED,
					 "stopped while waiting for another run");
	}
	return 0;
}

static int lock_take(int fd, const char *dir, bool wait, struct error *err)
{
	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	if (errno != EWOULDBLOCK)
		return error_errno(err, ERROR_LOCAL, "cannot lock %s/lock", dir);
	if (!wait)
		return lock_refused(fd, dir, err);
	log_verbose("waiting for another run (process %llu)", (unsigned long long)lock_holder(fd));
	return lock_wait(fd, dir, err);
}

/* For the message of the next one who comes; the lock itself does not need it. */
static void lock_sign(int fd)
{
	char text[32];
	int len = snprintf(text, sizeof(text), "%ld\n", (long)getpid());

	if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)len, 0) != len)
		log_verbose("cannot write the process id into the lock");
}

int state_lock(const char *dir, bool wait, struct error *err)
{
	char *path;
	int fd;

	if (dir_make(dir, err) != 0)
		return -1;
	path = state_path(dir, "lock");
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0) {
		error_errno(err, ERROR_LOCAL, "cannot open %s", path);
	} else if (lock_take(fd, dir, wait, err) != 0) {
		close(fd);
		fd = -1;
	} else {
		lock_sign(fd);
	}
	free(path);
	return fd;
}
