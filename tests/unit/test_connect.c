/* How a stream comes to be: what a host may look like, addresses in turn, no plain text to strangers,
 * tunnels and how they end. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/text.h"
#include "check.h"
#include "imap/stream_private.h"
#include "stream_server.h"

/* ---- hosts ---- */

static const struct {
	const char *host;
	const char *text; /* "": good */
} host_rows[] = {
	{"imap.example.org", ""},
	{"imap.example.org.", ""},
	{"my_host", ""},
	{"192.0.2.1", ""},
	{"::1", ""},
	{"2001:db8::17", ""},
	{"fe80::1%eth0", ""},
	{"", "no host"},
	{"[::1]", "host '[::1]': write the IP address without brackets: '::1'"},
	{"[2001:db8::1]:993",
	 "host '[2001:db8::1]:993': write host = '2001:db8::1' and port = 993"},
	{"imap.example.org:993", "write host = 'imap.example.org' and port = 993"},
	{"imaps://imap.example.org", "is neither a name nor an IP address"},
	{"imap example", "is neither a name nor an IP address"},
	{"a\nb", "is neither a name nor an IP address"},
	{"127.0.0.1%lo", "is neither a name nor an IP address"},
	{"münchen.de", "host 'münchen.de' is not ASCII: write 'xn--mnchen-3ya.de'"},
	{"MÜNCHEN.de", "write 'xn--mnchen-3ya.de'"},
	{"imap.bücher.example", "write 'imap.xn--bcher-kva.example'"},
	{"faß.de", "write 'xn--fa-hia.de'"},
	{"例え.jp", "write 'xn--r8jz45g.jp'"},
	{"Пример.рф", "write 'xn--e1afmkfd.xn--p1ai'"},
	{"αβγ.gr.", "write 'xn--mxacd.gr.'"},
	{"他们为什么不说中文", "write 'xn--ihqwcrb4cv8a8dqg056pqjye'"},
	{"3年B組金八先生", "write 'xn--3b-ww4c5e180e575a65lsy2b'"},
	{"\xff.de", "its form that begins with xn--"},
};

static void test_hosts(void)
{
	char long_name[300];
	struct error err;

	for (size_t i = 0; i < ARRAY_SIZE(host_rows); i++) {
		bool good = *host_rows[i].text == '\0';

		error_clear(&err);
		CU_ASSERT(host_check(host_rows[i].host, &err) == (good ? 0 : -1));
		expect_error(&err, good ? ERROR_NONE : ERROR_CONFIG, host_rows[i].text);
	}
	memset(long_name, 'a', sizeof(long_name));
	long_name[254] = '\0';
	CU_ASSERT(host_check(long_name, &err) == -1 && err.kind == ERROR_CONFIG);
	long_name[253] = '\0';
	CU_ASSERT(host_check(long_name, &err) == 0);
	long_name[253] = '.';
	CU_ASSERT(host_check(long_name, &err) == 0);
}

static const struct {
	const char *address;
	bool loopback;
} loopback_rows[] = {
	{"127.0.0.1", true},        {"127.255.0.9", true},     {"128.0.0.1", false},
	{"10.0.0.1", false},        {"0.0.0.0", false},        {"::1", true},
	{"::ffff:127.0.0.1", true}, {"::ffff:1.2.3.4", false}, {"::", false},
	{"fe80::1", false},         {"2001:db8::1", false},
};

static struct addrinfo *numeric(const char *address, uint16_t port)
{
	struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
				 .ai_socktype = SOCK_STREAM};
	struct addrinfo *list;
	char service[8];

	snprintf(service, sizeof(service), "%u", (unsigned)port);
	CU_ASSERT_FATAL(getaddrinfo(address, service, &hints, &list) == 0);
	return list;
}

static void test_loopback(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(loopback_rows); i++) {
		struct addrinfo *list = numeric(loopback_rows[i].address, 1);

		CU_ASSERT(address_is_loopback(list->ai_addr) == loopback_rows[i].loopback);
		freeaddrinfo(list);
	}
}

static void test_name_for_certificates(void)
{
	static const char *const rows[][2] = {
		{"imap.example.org", "imap.example.org"},
		{"imap.example.org.", "imap.example.org"},
		{"fe80::1%eth0", "fe80::1"},
		{"::1", "::1"},
	};
	char name[256], copy[64];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct stream stream = {.host = copy};

		snprintf(copy, sizeof(copy), "%s", rows[i][0]);
		tls_name(&stream, name, sizeof(name));
		CU_ASSERT_STRING_EQUAL(name, rows[i][1]);
	}
}

/* ---- fingerprints and authorities ---- */

#define ZEROS "00000000000000000000000000000000000000000000000000000000000000"

static const struct {
	const char *text;
	int result;
} pin_rows[] = {
	{"aB" ZEROS, 0},  {"AB:" ZEROS, 0},     {"::ab" ZEROS ":", 0},   {"", -1},
	{"ab", -1},       {"ab" ZEROS "0", -1}, {"ab" ZEROS "00", -1},   {"b" ZEROS, -1},
	{"ag" ZEROS, -1}, {"ab " ZEROS, -1},    {"sha256:ab" ZEROS, -1},
};

static void test_fingerprints(void)
{
	unsigned char digest[DIGEST_SIZE];

	for (size_t i = 0; i < ARRAY_SIZE(pin_rows); i++) {
		CU_ASSERT(fingerprint_parse(pin_rows[i].text, digest) == pin_rows[i].result);
		if (pin_rows[i].result == 0)
			CU_ASSERT(digest[0] == 0xab && digest[1] == 0 && digest[31] == 0);
	}
}

static void expect_config_error(const char *ca_file, const char *fingerprint, const char *text)
{
	struct stream_options options = {.host = "localhost",
					 .port = 1,
					 .ca_file = ca_file,
					 .fingerprint = fingerprint,
					 .stop_fd = -1};
	struct stream *stream;
	struct error err = {0};

	CU_ASSERT(stream_open(&stream, &options, &err) == -1);
	CU_ASSERT(stream == NULL && err.kind == ERROR_CONFIG);
	CU_ASSERT(starts_with(err.text, text));
}

static void test_bad_options(void)
{
	expect_config_error(NULL, "abc", "fingerprint 'abc' is not a SHA-256 of 64 hex digits");
	expect_config_error("/nonexistent/ca.pem", NULL,
			    "ca-file '/nonexistent/ca.pem' cannot be read: ");
	expect_config_error("/dev/null", NULL, "ca-file '/dev/null' has no certificate");
	expect_config_error("/", NULL, "ca-file '/' has no certificate");
}

/* ---- connecting ---- */

static void test_refused(void)
{
	struct stream_options options = plain_options;
	struct server server = {.serve = serve_echo};
	struct stream *stream;
	struct error err = {0};
	char text[100];

	server_start(&server);
	server_stop(&server);
	options.port = server.port;
	CU_ASSERT(stream_open(&stream, &options, &err) == -1 && stream == NULL);
	snprintf(text, sizeof(text), "connection to 127.0.0.1 port %u refused",
		 (unsigned)server.port);
	expect_error(&err, ERROR_NETWORK, text);
}

static void test_unknown_host(void)
{
	struct stream_options options = plain_options;
	struct stream *stream;
	struct error err = {0};

	options.host = "no-such-host.invalid";
	options.port = 143;
	CU_ASSERT(stream_open(&stream, &options, &err) == -1);
	expect_error(&err, ERROR_NETWORK, "cannot find the address of no-such-host.invalid: ");
}

static void test_no_answer_to_connect(void)
{
	struct stream_options options = plain_options;
	struct stream *stream;
	struct error err = {0};
	int fillers[2], fd = deaf_listener(&options.port, fillers);
	int64_t start = wire_clock_ms();

	options.timeout = 1;
	CU_ASSERT(stream_open(&stream, &options, &err) == -1);
	expect_error(&err, ERROR_NETWORK, "no answer from 127.0.0.1 for 1 second");
	CU_ASSERT(seconds_since(start) > 0.9 && seconds_since(start) < 3);
	close(fd);
	close(fillers[0]);
	close(fillers[1]);
}

/* first is tried first; connects in the given number of seconds, or not at all (-1). */
static double race(uint16_t first, uint16_t second, struct error *err)
{
	char host[] = "test";
	struct stream stream = {.host = host, .port = 1, .timeout = 10000, .stop_fd = -1, .fd = -1};
	struct addrinfo *a = numeric("127.0.0.1", first), *b = numeric("127.0.0.1", second);
	int64_t start = wire_clock_ms();
	int status;

	a->ai_next = b;
	status = connect_any(&stream, a);
	a->ai_next = NULL;
	freeaddrinfo(a);
	freeaddrinfo(b);
	*err = stream.error;
	if (stream.fd >= 0)
		close(stream.fd);
	CU_ASSERT((status == 0) == (stream.fd >= 0));
	return status == 0 ? seconds_since(start) : -1;
}

static void test_addresses_in_turn(void)
{
	struct server server = {.serve = serve_echo}, gone = {.serve = serve_echo};
	uint16_t deaf;
	int fillers[2], fd = deaf_listener(&deaf, fillers);
	struct error err;
	double seconds;

	server_start(&server);
	server_start(&gone);
	server_stop(&gone);
	seconds = race(deaf, server.port, &err);
	CU_ASSERT(seconds > 1.9 && seconds < 4);
	seconds = race(gone.port, server.port, &err);
	CU_ASSERT(seconds >= 0 && seconds < 1);
	seconds = race(server.port, deaf, &err);
	CU_ASSERT(seconds >= 0 && seconds < 1);
	CU_ASSERT(race(gone.port, gone.port, &err) == -1);
	expect_error(&err, ERROR_NETWORK, "connection to test port 1 refused");
	server_stop(&server);
	close(fd);
	close(fillers[0]);
	close(fillers[1]);
}

/* An address of this machine that is not loopback, as text; "" if there is none. */
static void own_address(char text[INET_ADDRSTRLEN])
{
	struct ifaddrs *list = NULL;
	struct sockaddr_in address;

	text[0] = '\0';
	if (getifaddrs(&list) != 0)
		return;
	for (const struct ifaddrs *i = list; i != NULL && text[0] == '\0'; i = i->ifa_next) {
		if (i->ifa_addr == NULL || i->ifa_addr->sa_family != AF_INET)
			continue;
		memcpy(&address, i->ifa_addr, sizeof(address));
		if (!address_is_loopback(i->ifa_addr))
			inet_ntop(AF_INET, &address.sin_addr, text, INET_ADDRSTRLEN);
	}
	freeifaddrs(list);
}

static void test_plain_text_to_strangers(void)
{
	struct stream_options options = plain_options;
	struct sockaddr_in address = {.sin_family = AF_INET};
	socklen_t len = sizeof(address);
	struct stream *stream;
	struct error err = {0};
	char host[INET_ADDRSTRLEN], byte;
	void *generic = &address;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), accepted;

	CU_ASSERT_FATAL(bind(fd, generic, len) == 0 && listen(fd, 4) == 0);
	CU_ASSERT_FATAL(getsockname(fd, generic, &len) == 0);
	options.port = ntohs(address.sin_port);
	own_address(host);
	if (host[0] != '\0') {
		options.host = host;
		CU_ASSERT(stream_open(&stream, &options, &err) == -1);
		expect_error(&err, ERROR_CONFIG, "allow-plaintext = yes");
		accepted = accept(fd, NULL, NULL);
		CU_ASSERT(recv(accepted, &byte, 1, 0) == 0); /* not one octet */
		close(accepted);
		options.allow_plaintext = true;
		CU_ASSERT(stream_open(&stream, &options, &err) == 0);
		stream_close(&stream);
		options.allow_plaintext = false;
		options.tls = TLS_STARTTLS;
		CU_ASSERT(stream_open(&stream, &options, &err) == 0);
		stream_close(&stream);
	}
	close(fd);
}

/* ---- tunnels ---- */

static void test_tunnel(void)
{
	struct stream *stream = open_tunnel("echo '* PREAUTH hello'; exec cat");
	struct stream_traffic traffic;

	CU_ASSERT(says(stream, "* PREAUTH hello\n"));
	CU_ASSERT(stream_write(stream, "ping", 4, NULL) == 0 && says(stream, "ping"));
	stream_get_traffic(stream, &traffic);
	CU_ASSERT(traffic.bytes_in == 20 && traffic.bytes_out == 4 && traffic.round_trips == 1);
	stream_close(&stream);
}

static const struct {
	const char *command;
	const char *output;
	const char *text;
} end_rows[] = {
	{"exit 3", "", "the tunnel ended with exit status 3"},
	{"echo bye", "bye\n", "the tunnel ended with exit status 0"},
	{"/nonexistent/command 2>&-", "", "the tunnel ended with exit status 127"},
	{"kill -9 $$", "", "the tunnel was killed by signal 9"},
	{"exec <&- >&-; sleep 100", "", "the tunnel closed its end of the connection"},
	/* Its world: no descriptor of ours, default signals, a group of its own. */
	{"for i in 3 4 5 6 7 8 9; do test -e /proc/self/fd/$i && echo $i; done", "", "status 1"},
	{"test -e /proc/$$/fd/50 && echo inherited", "", "status 1"},
	{"grep SigIgn /proc/self/status | grep -q '0000000$' && echo default", "default\n",
	 "status 0"},
	{"set -- $(cat /proc/$$/stat); test $5 = $$ && echo leader", "leader\n", "status 0"},
};

static void test_tunnel_ends(void)
{
	int inherited = fcntl(STDERR_FILENO, F_DUPFD, 50);

	for (size_t i = 0; i < ARRAY_SIZE(end_rows); i++) {
		struct stream *stream = open_tunnel(end_rows[i].command);
		struct error err = {0};
		char text[4096];

		read_to_end(stream, text, &err);
		CU_ASSERT_STRING_EQUAL(text, end_rows[i].output);
		expect_error(&err, ERROR_NETWORK, end_rows[i].text);
		stream_close(&stream);
	}
	close(inherited);
}

static void test_write_to_a_dead_tunnel(void)
{
	struct stream *stream = open_tunnel("exit 5");
	struct error err = {0};
	struct timespec wait = {.tv_nsec = 100000000};

	nanosleep(&wait, NULL);
	CU_ASSERT(stream_write(stream, "x", 1, &err) == 0 && stream_flush(stream, &err) == -1);
	expect_error(&err, ERROR_NETWORK, "the tunnel ended with exit status 5");
	stream_close(&stream);
}

static bool is_running(long pid)
{
	char path[64], stat[256] = "";
	const char *state;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%ld/stat", pid);
	file = fopen(path, "r");
	if (file == NULL)
		return false;
	state = fgets(stat, sizeof(stat), file) != NULL ? strrchr(stat, ')') : NULL;
	fclose(file);
	return state != NULL && state[2] != 'Z' && state[2] != 'X';
}

/* Neither the shell that ignores every hint nor what it started is left. */
static void test_tunnel_is_killed(void)
{
	struct stream *stream =
		open_tunnel("trap '' TERM HUP; sleep 100 & echo $$ $!; while :; do sleep 1; done");
	char line[64] = "";
	long shell = 0, child = 0;
	int64_t start;

	for (size_t i = 0; i < sizeof(line) - 1 && strchr(line, '\n') == NULL; i++)
		CU_ASSERT_FATAL(stream_read(stream, line + i, 1, NULL) == 1);
	CU_ASSERT_FATAL(sscanf(line, "%ld %ld", &shell, &child) == 2);
	CU_ASSERT(is_running(shell) && is_running(child));
	start = wire_clock_ms();
	stream_close(&stream);
	CU_ASSERT(seconds_since(start) < 4);
	CU_ASSERT(kill((pid_t)shell, 0) == -1 && errno == ESRCH);
	for (int i = 0; i < 200 && is_running(child); i++)
		nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
	CU_ASSERT(!is_running(child));
}

int main(void)
{
	static const struct test_case cases[] = {
		{"hosts", test_hosts},
		{"loopback addresses", test_loopback},
		{"fingerprints are parsed", test_fingerprints},
		{"bad options are refused before connecting", test_bad_options},
		{"the name that certificates have", test_name_for_certificates},
		{"connection refused", test_refused},
		{"unknown host", test_unknown_host},
		{"no answer to a connection", test_no_answer_to_connect},
		{"addresses in turn", test_addresses_in_turn},
		{"plain text only to loopback", test_plain_text_to_strangers},
		{"tunnel", test_tunnel},
		{"tunnels that end", test_tunnel_ends},
		{"writing to a dead tunnel", test_write_to_a_dead_tunnel},
		{"tunnels are killed", test_tunnel_is_killed},
	};

	signal(SIGUSR1, SIG_IGN); /* must not be inherited by tunnels */
	return run_tests("connect", cases, ARRAY_SIZE(cases));
}
