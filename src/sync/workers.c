/* Worker threads, each with its own connection, take folders. The first uses the calling thread, so a
 * run with one connection has no thread at all. */
#include "sync/account.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/log.h"

static atomic_int stop_requests;
static atomic_int stop_event = -1;

void sync_stop(void)
{
	int saved = errno, fd = atomic_load(&stop_event);
	uint64_t one = 1;

	if (atomic_fetch_add(&stop_requests, 1) >= 1 && fd >= 0 &&
	    write(fd, &one, sizeof(one)) < 0) {
		/* nothing more can be done in a signal handler */
	}
	errno = saved;
}

bool sync_is_stopping(void)
{
	return atomic_load(&stop_requests) != 0;
}

int check_stop(struct error *err)
{
	return sync_is_stopping()
		       ? error_set(err, ERROR_STOPPED, "stopped; the next run goes on from here")
		       : 0;
}

static int stop_fd(void)
{
	if (atomic_load(&stop_event) < 0)
		atomic_store(&stop_event, eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
	return atomic_load(&stop_event);
}

static void add_traffic(struct account *account, const struct stream_traffic *traffic)
{
	pthread_mutex_lock(&account->mutex);
	account->traffic.bytes_in += traffic->bytes_in;
	account->traffic.bytes_out += traffic->bytes_out;
	account->traffic.round_trips += traffic->round_trips;
	pthread_mutex_unlock(&account->mutex);
}

static int connect_worker(struct worker *worker, meanwhile_fn *meanwhile, struct error *err)
{
	const struct account_config *config = worker->account->config;
	struct stream_traffic spent = {0};
	struct imap_options options = {
		.stream = {.host = config->host,
			   .port = config->port,
			   .tls = config->tls,
			   .ca_file = config->ca_file,
			   .fingerprint = config->fingerprint,
			   .tunnel = config->tunnel,
			   .allow_plaintext = config->allow_plaintext,
			   .timeout = config->timeout,
			   .stop_fd = stop_fd()},
		.user = config->user,
		.password = worker->account->password,
		.auth = config->auth,
		.disabled = (const char *const *)config->disable_extension.strings,
		.n_disabled = config->disable_extension.n,
		.keywords = worker->account->keywords,
		.compress = config->compress,
		.spent = &spent,
		.remembered = meanwhile != NULL ? worker->account->meta.capabilities : NULL,
		.meanwhile = meanwhile,
		.meanwhile_ctx = worker->account,
	};

	if (worker->conn != NULL || imap_open(&worker->conn, &options, err) == 0)
		return 0;
	add_traffic(worker->account, &spent);
	return -1;
}

int worker_connect(struct worker *worker, struct error *err)
{
	return connect_worker(worker, NULL, err);
}

int worker_connect_first(struct worker *worker, meanwhile_fn *meanwhile, struct error *err)
{
	return connect_worker(worker, meanwhile, err);
}

static void worker_close(struct worker *worker)
{
	struct stream_traffic traffic;

	if (worker->conn == NULL)
		return;
	imap_get_traffic(worker->conn, &traffic);
	add_traffic(worker->account, &traffic);
	imap_close(&worker->conn);
}

void workers_close(struct account *account)
{
	for (unsigned i = 0; account->workers != NULL && i < account->n_workers; i++)
		worker_close(&account->workers[i]);
}

bool error_is_local_to_folder(const struct error *err)
{
	return err->kind == ERROR_REFUSED || err->kind == ERROR_NOT_FOUND ||
	       err->kind == ERROR_CHANGED;
}

static bool connection_is_dead(const struct error *err)
{
	return err->kind == ERROR_NETWORK || err->kind == ERROR_SERVER;
}

void folder_fail(struct account *account, struct sync_folder *folder, const struct error *err)
{
	folder->incomplete = folder->failed = true;
	tell_error(account, folder, err);
}

static void drop_connection(struct worker *worker, struct sync_folder *folder,
			    const struct error *err)
{
	log_verbose("%s: the connection broke (%s)", folder->plan.name, err->text);
	worker_close(worker);
	folder->incomplete = true;
}

static bool needs_server(const struct folder_pass *pass, const struct account *account,
			 const struct sync_folder *folder)
{
	return pass->remote == NULL || pass->remote(account, folder);
}

/* A connection that broke is made anew, once a folder: executors pass over what is done already. */
static int do_folder(struct worker *worker, struct sync_folder *folder,
		     const struct folder_pass *pass, struct error *err)
{
	bool remote = needs_server(pass, worker->account, folder);
	int result = -1;

	for (int tries = 0; tries < 2; tries++) {
		if (remote && worker_connect(worker, err) != 0)
			return -1;
		result = pass->fn(worker, folder, err);
		folder_close_dir(folder);
		if (result == 0 || !connection_is_dead(err))
			break;
		drop_connection(worker, folder, err);
	}
	if (result == 0 || !error_is_local_to_folder(err))
		return result;
	folder_fail(worker->account, folder, err);
	return 0;
}

int worker_commit_some(struct worker *worker, struct error *err)
{
	if (state_batch_size(worker->batch) < COMMIT_AT_ONCE)
		return 0;
	return state_commit(worker->batch, worker->account->keywords, err);
}

int workers_commit(struct account *account, int result, struct error *err)
{
	for (unsigned i = 0; i < account->n_workers; i++) {
		struct error late;

		if (state_commit(account->workers[i].batch, account->keywords, &late) == 0)
			continue;
		if (result == 0)
			*err = late;
		result = -1;
	}
	return result;
}

/* ---- several at once ---- */

struct crew {
	struct account *account;
	worker_fn *fn;
	void *ctx;
	bool failed;
	struct error err; /* the first; both under the account's mutex */
};

struct crew_member {
	struct crew *crew;
	struct worker *worker;
	pthread_t thread;
};

static void *run(void *arg)
{
	struct crew_member *self = arg;
	struct crew *crew = self->crew;
	struct error err;

	if (crew->fn(self->worker, crew->ctx, &err) == 0)
		return NULL;
	pthread_mutex_lock(&crew->account->mutex);
	if (!crew->failed)
		crew->err = err;
	crew->failed = true;
	pthread_mutex_unlock(&crew->account->mutex);
	return NULL;
}

int workers_run(struct account *account, size_t n, worker_fn *fn, void *ctx, struct error *err)
{
	struct crew crew = {.account = account, .fn = fn, .ctx = ctx};
	struct crew_member *members = xcalloc(n, sizeof(*members));
	size_t started = 1;

	for (size_t i = 0; i < n; i++)
		members[i] = (struct crew_member){.crew = &crew, .worker = &account->workers[i]};
	for (; started < n; started++) {
		if (pthread_create(&members[started].thread, NULL, run, &members[started]) != 0)
			break;
	}
	run(&members[0]);
	for (size_t i = 1; i < started; i++)
		pthread_join(members[i].thread, NULL);
	free(members);
	if (!crew.failed)
		return 0;
	*err = crew.err;
	return -1;
}

/* ---- passes over the folders ---- */

struct job {
	struct account *account;
	const struct folder_pass *pass;
	size_t window; /* folders a worker takes at a time */
	size_t workers;
	atomic_size_t left; /* folders that nobody has taken */
	atomic_size_t next;
	atomic_bool failed;
};

static struct sync_folder *take_folder(struct job *job)
{
	size_t i;

	while ((i = atomic_fetch_add(&job->next, 1)) < job->account->n_folders) {
		struct sync_folder *folder = &job->account->folders[i];

		if (folder->failed || !job->pass->wants(job->account, folder))
			continue;
		atomic_fetch_sub(&job->left, 1);
		return folder;
	}
	return NULL;
}

/* One that is taken early waits for the worker: only while the others have enough to do. */
static struct sync_folder *take_early(struct job *job)
{
	return job->pass->chained && atomic_load(&job->left) > 2 * job->workers ? take_folder(job)
										: NULL;
}

static size_t take_folders(struct job *job, struct worker *worker, struct sync_folder **list)
{
	struct sync_folder *folder = worker->next != NULL ? worker->next : take_folder(job);
	size_t n = 0;

	while (folder != NULL) {
		list[n++] = folder;
		folder = n < job->window ? take_folder(job) : NULL;
	}
	worker->next = n != 0 ? take_early(job) : NULL;
	return n;
}

/* How one step of one folder ended: 0 done, 1 fn must do it, -1 the run ends. */
static int settle_step(struct worker *worker, struct sync_folder *folder, int result,
		       struct error *err)
{
	if (result >= 0)
		return result;
	if (connection_is_dead(err)) {
		drop_connection(worker, folder, err);
		return 1;
	}
	if (!error_is_local_to_folder(err))
		return -1;
	folder_fail(worker->account, folder, err);
	return 0;
}

struct burst {
	struct sync_folder **list;
	size_t n;
	size_t next; /* the first that is not begun */
	bool begun[AHEAD];
	bool *rest; /* those that fn must do */
};

/* Sends for one or more, as many as may be under way. */
static int begin_some(struct worker *worker, const struct folder_pass *pass, struct burst *burst,
		      struct error *err)
{
	do {
		size_t i = burst->next++;
		int result = worker->conn == NULL ? 1 : pass->begin(worker, burst->list[i], err);

		burst->begun[i] = result == 0;
		result = settle_step(worker, burst->list[i], result, err);
		if (result < 0)
			return -1;
		burst->rest[i] = result == 1;
	} while (burst->next < burst->n &&
		 (worker->conn == NULL || imap_begun_has_room(worker->conn)));
	if (worker->conn != NULL)
		imap_begun_send(worker->conn);
	return 0;
}

/* Reads for those from first on that were begun. */
static int finish_some(struct worker *worker, const struct folder_pass *pass, struct burst *burst,
		       size_t first, struct error *err)
{
	for (size_t i = first; i < burst->next; i++) {
		int result;

		if (!burst->begun[i])
			continue;
		result = worker->conn == NULL ? 1 : pass->finish(worker, burst->list[i], err);
		result = settle_step(worker, burst->list[i], result, err);
		folder_close_dir(burst->list[i]);
		if (result < 0)
			return -1;
		burst->rest[i] = result == 1;
	}
	return 0;
}

/* Sends for all of them, then reads for all of them; rest: those that fn must do. */
static int go_ahead(struct worker *worker, const struct folder_pass *pass,
		    struct sync_folder **list, size_t n, bool *rest, struct error *err)
{
	struct burst burst = {.list = list, .n = n, .rest = rest};

	if (worker_connect(worker, err) != 0)
		return -1;
	while (burst.next < n) {
		size_t first = burst.next;

		if (begin_some(worker, pass, &burst, err) != 0 ||
		    finish_some(worker, pass, &burst, first, err) != 0)
			return -1;
	}
	return 0;
}

/* Does all of them at once; rest: after a connection that broke, whatever of them is left. */
static int do_together(struct worker *worker, const struct folder_pass *pass,
		       struct sync_folder **list, size_t n, bool *rest, struct error *err)
{
	int result;

	if (worker_connect(worker, err) != 0)
		return -1;
	result = pass->together(worker, list, n, err);
	if (result != 0 && !connection_is_dead(err))
		return -1;
	for (size_t i = 0; i < n; i++) {
		folder_close_dir(list[i]);
		rest[i] = result != 0;
		if (rest[i])
			drop_connection(worker, list[i], err);
	}
	return 0;
}

static int do_folders(struct worker *worker, const struct folder_pass *pass,
		      struct sync_folder **list, size_t n, struct error *err)
{
	bool rest[AHEAD];
	int result = 0;

	for (size_t i = 0; i < n; i++)
		rest[i] = true;
	if (pass->begin != NULL)
		result = go_ahead(worker, pass, list, n, rest, err);
	else if (pass->together != NULL)
		result = do_together(worker, pass, list, n, rest, err);
	for (size_t i = 0; result == 0 && i < n; i++) {
		if (rest[i] && !list[i]->failed)
			result = do_folder(worker, list[i], pass, err);
	}
	return result;
}

static int work(struct worker *worker, void *ctx, struct error *err)
{
	struct job *job = ctx;
	struct sync_folder *list[AHEAD];
	int result = 0;
	size_t n;

	while (!atomic_load(&job->failed) && (n = take_folders(job, worker, list)) != 0) {
		result = check_stop(err);
		if (result == 0)
			result = do_folders(worker, job->pass, list, n, err);
		if (result != 0)
			atomic_store(&job->failed, true);
	}
	worker->next = NULL;
	return result;
}

/* GNU Mailutils has a mailbox as each session saw it, and gives its files the flags of whoever leaves it last:
 * one that looked at it takes away what another has set since. It has no UIDPLUS, nor has its like. */
static bool stands_sessions(const struct account *account)
{
	const struct imap_conn *conn = account->workers[0].conn;

	return conn == NULL || (imap_capabilities(conn) & CAP_UIDPLUS) != 0;
}

size_t workers_worth(const struct account *account, size_t folders, size_t messages,
		     size_t together)
{
	size_t open = 0, most;

	if (!stands_sessions(account))
		return folders < 1 ? folders : 1;
	for (unsigned i = 0; i < account->n_workers; i++)
		open += account->workers[i].conn != NULL;
	most = 1 + messages / MESSAGES_A_CONNECTION + folders / (FOLDERS_A_CONNECTION * together);
	if (most < open)
		most = open;
	if (most > account->n_workers)
		most = account->n_workers;
	return most < folders ? most : folders;
}

/* Folders that a worker takes at a time, at most: none of the others should stand idle meanwhile. */
static size_t most_together(const struct account *account, const struct folder_pass *pass)
{
	const struct imap_conn *conn = account->workers[0].conn;

	if (pass->begin == NULL && pass->together == NULL)
		return 1;
	return conn != NULL && imap_is_far(conn) ? AHEAD : AHEAD_NEAR;
}

int workers_pass(struct account *account, const struct folder_pass *pass, struct error *err)
{
	size_t folders = 0, remote = 0, messages = 0, most = most_together(account, pass);
	struct job job = {.account = account, .pass = pass};

	for (size_t i = 0; i < account->n_folders; i++) {
		if (account->folders[i].failed || !pass->wants(account, &account->folders[i]))
			continue;
		folders++;
		remote += needs_server(pass, account, &account->folders[i]);
		messages += account->folders[i].n_actions;
	}
	if (folders == 0)
		return 0;
	job.workers = workers_worth(account, remote != 0 ? remote : folders, messages, most);
	job.window = (folders + job.workers - 1) / job.workers;
	if (job.window > most)
		job.window = most;
	atomic_init(&job.left, folders);
	return workers_run(account, job.workers, work, &job, err);
}
