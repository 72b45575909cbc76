/* durability DIRECTORY [MESSAGES [OCTETS]]: what it costs to make messages durable, batch by batch, in each of
 * the ways there are. A batch of 128 files is written to tmp, made durable, renamed, and the directory
 * synchronised, as a delivery does; seconds a message, alone and beside a process that writes 100 MB/s to
 * the same file system. The ways take turns, three times each; the medians are printed. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BATCH 128
#define THREADS 4
#define REPEAT 3

static int root;
static unsigned messages = 2048;
static size_t octets = 2000;

static void check(bool good, const char *what)
{
	if (good)
		return;
	perror(what);
	exit(1);
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* ---- the ways ---- */

static void sync_none(const int *fds, unsigned n)
{
	(void)fds;
	(void)n;
}

static void sync_serially(const int *fds, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		check(fsync(fds[i]) == 0, "fsync");
}

struct shared {
	const int *fds;
	unsigned n;
	atomic_uint next;
};

static void *sync_some(void *ctx)
{
	struct shared *shared = ctx;
	unsigned i;

	while ((i = atomic_fetch_add(&shared->next, 1)) < shared->n)
		check(fsync(shared->fds[i]) == 0, "fsync");
	return NULL;
}

static void sync_in_threads(const int *fds, unsigned n)
{
	struct shared shared = {.fds = fds, .n = n};
	pthread_t threads[THREADS - 1];

	for (unsigned i = 0; i < THREADS - 1; i++)
		check(pthread_create(&threads[i], NULL, sync_some, &shared) == 0, "thread");
	sync_some(&shared);
	for (unsigned i = 0; i < THREADS - 1; i++)
		pthread_join(threads[i], NULL);
}

static void sync_file_system(const int *fds, unsigned n)
{
	(void)n;
	check(syncfs(fds[0]) == 0, "syncfs");
}

static struct {
	int fd; /* -1: none here */
	struct io_uring_params params;
	char *sq, *cq;
	struct io_uring_sqe *entries;
} ring = {.fd = -1};

static void ring_open(void)
{
	const struct io_uring_params *p = &ring.params;
	size_t sq, cq;

	ring.fd = (int)syscall(SYS_io_uring_setup, BATCH, &ring.params);
	if (ring.fd < 0)
		return;
	sq = p->sq_off.array + p->sq_entries * sizeof(uint32_t);
	cq = p->cq_off.cqes + p->cq_entries * sizeof(struct io_uring_cqe);
	ring.sq = mmap(NULL, sq, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring.fd,
		       IORING_OFF_SQ_RING);
	ring.cq = mmap(NULL, cq, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring.fd,
		       IORING_OFF_CQ_RING);
	ring.entries =
		mmap(NULL, p->sq_entries * sizeof(struct io_uring_sqe), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_POPULATE, ring.fd, IORING_OFF_SQES);
	check(ring.sq != MAP_FAILED && ring.cq != MAP_FAILED && ring.entries != MAP_FAILED,
	      "io_uring");
}

static void sync_in_ring(const int *fds, unsigned n)
{
	const struct io_uring_params *p = &ring.params;
	uint32_t mask = *(uint32_t *)(void *)(ring.sq + p->sq_off.ring_mask);
	uint32_t *array = (uint32_t *)(void *)(ring.sq + p->sq_off.array);
	_Atomic uint32_t *sq_tail = (void *)(ring.sq + p->sq_off.tail);
	_Atomic uint32_t *cq_head = (void *)(ring.cq + p->cq_off.head);
	_Atomic uint32_t *cq_tail = (void *)(ring.cq + p->cq_off.tail);
	struct io_uring_cqe *done = (void *)(ring.cq + p->cq_off.cqes);
	uint32_t cq_mask = *(uint32_t *)(void *)(ring.cq + p->cq_off.ring_mask);
	uint32_t tail = *sq_tail;

	for (unsigned i = 0; i < n; i++) {
		uint32_t at = (tail + i) & mask;

		ring.entries[at] = (struct io_uring_sqe){.opcode = IORING_OP_FSYNC, .fd = fds[i]};
		array[at] = at;
	}
	atomic_store(sq_tail, tail + n);
	check(syscall(SYS_io_uring_enter, ring.fd, n, n, IORING_ENTER_GETEVENTS, NULL, 0) ==
		      (long)n,
	      "io_uring_enter");
	for (; *cq_head != *cq_tail; atomic_fetch_add(cq_head, 1)) {
		errno = -done[*cq_head & cq_mask].res;
		check(errno == 0, "fsync in a ring");
	}
}

static const struct way {
	const char *name;
	void (*sync)(const int *fds, unsigned n);
} ways[] = {
	{"not at all", sync_none},
	{"fsync, one after the other", sync_serially},
	{"fsync in 4 threads", sync_in_threads},
	{"fsync by io_uring", sync_in_ring},
	{"syncfs", sync_file_system},
};
#define WAYS (sizeof(ways) / sizeof(ways[0]))

/* ---- a delivery ---- */

static void write_file(int *fd, const char *name, const char *data)
{
	*fd = openat(root, name, O_WRONLY | O_CREAT | O_EXCL, 0600);
	check(*fd >= 0 && write(*fd, data, octets) == (ssize_t)octets, name);
}

static void deliver_batch(const struct way *way, unsigned first, const char *data)
{
	char from[64], to[64];
	int fds[BATCH];
	int cur = openat(root, "cur", O_RDONLY | O_DIRECTORY);

	for (unsigned i = 0; i < BATCH; i++) {
		snprintf(from, sizeof(from), "tmp/%u", first + i);
		write_file(&fds[i], from, data);
	}
	way->sync(fds, BATCH);
	for (unsigned i = 0; i < BATCH; i++) {
		close(fds[i]);
		snprintf(from, sizeof(from), "tmp/%u", first + i);
		snprintf(to, sizeof(to), "cur/%u", first + i);
		check(renameat(root, from, root, to) == 0, to);
	}
	check(way->sync == sync_none || fsync(cur) == 0, "cur");
	close(cur);
}

static double deliver_all(const struct way *way, const char *data)
{
	double start, seconds;
	char name[64];

	check(mkdirat(root, "tmp", 0700) == 0 && mkdirat(root, "cur", 0700) == 0, "mkdir");
	syncfs(root);
	start = now();
	for (unsigned first = 0; first < messages; first += BATCH)
		deliver_batch(way, first, data);
	seconds = now() - start;
	for (unsigned i = 0; i < messages; i++) {
		snprintf(name, sizeof(name), "cur/%u", i);
		unlinkat(root, name, 0);
	}
	unlinkat(root, "tmp", AT_REMOVEDIR);
	unlinkat(root, "cur", AT_REMOVEDIR);
	return seconds / messages;
}

/* A stranger who writes a lot and waits for nothing. */
static pid_t start_neighbour(void)
{
	static char block[1 << 20];
	pid_t pid = fork();
	int fd;

	if (pid != 0)
		return pid;
	fd = openat(root, "neighbour", O_WRONLY | O_CREAT | O_TRUNC, 0600);
	for (unsigned i = 0; fd >= 0; i++) {
		struct timespec pause = {.tv_nsec = 10000000};

		if (pwrite(fd, block, sizeof(block), (off_t)(i % 512) * (off_t)sizeof(block)) < 0)
			break;
		nanosleep(&pause, NULL);
	}
	_exit(1);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static void measure(const char *data, double medians[WAYS])
{
	double seconds[WAYS][REPEAT];

	for (unsigned i = 0; i < REPEAT; i++) {
		for (unsigned way = 0; way < WAYS; way++) {
			bool possible = ways[way].sync != sync_in_ring || ring.fd >= 0;

			seconds[way][i] = possible ? deliver_all(&ways[way], data) : 0;
		}
	}
	for (unsigned way = 0; way < WAYS; way++) {
		qsort(seconds[way], REPEAT, sizeof(double), compare);
		medians[way] = seconds[way][REPEAT / 2];
	}
}

int main(int argc, char **argv)
{
	double alone[WAYS], beside[WAYS];
	char *data;
	pid_t neighbour;

	check(argc >= 2, "usage: durability DIRECTORY [MESSAGES [OCTETS]]");
	root = open(argv[1], O_RDONLY | O_DIRECTORY);
	check(root >= 0, argv[1]);
	if (argc > 2)
		messages = (unsigned)strtoul(argv[2], NULL, 10) / BATCH * BATCH;
	if (argc > 3)
		octets = strtoul(argv[3], NULL, 10);
	data = malloc(octets);
	check(data != NULL && messages != 0, "messages");
	memset(data, 'x', octets);
	ring_open();
	measure(data, alone);
	neighbour = start_neighbour();
	measure(data, beside);
	kill(neighbour, SIGKILL);
	waitpid(neighbour, NULL, 0);
	unlinkat(root, "neighbour", 0);
	puts("| way | ms a message | beside a writer |\n| --- | --- | --- |");
	for (unsigned way = 0; way < WAYS; way++)
		printf("| %s | %.3f | %.3f |\n", ways[way].name, alone[way] * 1e3,
		       beside[way] * 1e3);
	free(data);
	return 0;
}
