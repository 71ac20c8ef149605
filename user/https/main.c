// SPDX-License-Identifier: GPL-2.0-only
/*
 * One request by libcurl, for the daemon: protocol.h. It needs no rights, for its socket is given to it, and gives away what it has. Neither a
 * name server nor proxy, .netrc and redirect get a say.
 */
#include "user/https/protocol.h"

#include <curl/curl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CONNECT_MS 10000
#define ANSWER_MAX 65536 /* bytes; a longer one is none */

struct request {
	const char *url, *to, *user, *password;
	int fd; /* -1: used */
	char body[HTTPS_BODY_MAX];
	size_t len, seen; /* bytes: of body; in all */
	char error[CURL_ERROR_SIZE];
};

/* ---- what is asked ---- */

static bool read_request(struct request *r, char text[HTTPS_REQUEST_MAX])
{
	const char **const strings[HTTPS_STRINGS] = { &r->url, &r->to, &r->user, &r->password };
	size_t len = 0, at = 0;
	ssize_t n;

	while (len < HTTPS_REQUEST_MAX && (n = read(STDIN_FILENO, text + len, HTTPS_REQUEST_MAX - len)) > 0)
		len += n;
	for (size_t i = 0; i < HTTPS_STRINGS; i++) {
		if (at == len || !memchr(text + at, '\0', len - at))
			return false;
		*strings[i] = text + at;
		at += strlen(text + at) + 1;
	}
	return true;
}

/* "HOST:PORT:ADDRESS"; NULL: out of memory, or it is no url. */
static struct curl_slist *resolved(const char *url, const char *address)
{
	CURLU *parts = curl_url();
	char *host = NULL, *port = NULL, text[512];
	struct curl_slist *list = NULL;

	if (parts && !curl_url_set(parts, CURLUPART_URL, url, 0) && !curl_url_get(parts, CURLUPART_HOST, &host, 0) &&
	    !curl_url_get(parts, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) &&
	    snprintf(text, sizeof(text), "%s:%s:%s", host, port, address) < (int)sizeof(text))
		list = curl_slist_append(NULL, text);
	curl_free(host);
	curl_free(port);
	curl_url_cleanup(parts);
	return list;
}

/* ---- asking ---- */

static size_t on_body(char *data, size_t size, size_t n, void *arg)
{
	struct request *r = arg;
	size_t left = sizeof(r->body) - 1 - r->len, len = size * n < left ? size * n : left;

	memcpy(r->body + r->len, data, len);
	r->len += len;
	r->seen += size * n;
	return r->seen > ANSWER_MAX ? 0 : size * n;
}

/* The one that the daemon has made; another would leave by another way. */
static curl_socket_t on_open(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
	struct request *r = arg;
	int fd = r->fd;

	(void)purpose, (void)address;
	r->fd = -1;
	return fd < 0 ? CURL_SOCKET_BAD : fd;
}

static bool set_up(CURL *c, struct request *r, struct curl_slist *names)
{
	return !curl_easy_setopt(c, CURLOPT_URL, r->url) && !curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https") &&
	       !curl_easy_setopt(c, CURLOPT_IPRESOLVE, (long)CURL_IPRESOLVE_V4) &&
	       !curl_easy_setopt(c, CURLOPT_RESOLVE, names) && !curl_easy_setopt(c, CURLOPT_PROXY, "") &&
	       !curl_easy_setopt(c, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED) &&
	       !curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L) && !curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L) &&
	       !curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS) &&
	       !curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)HTTPS_TIMEOUT_MS) &&
	       !curl_easy_setopt(c, CURLOPT_USERAGENT, "fairlead/" FAIRLEAD_VERSION) &&
	       !curl_easy_setopt(c, CURLOPT_OPENSOCKETFUNCTION, on_open) &&
	       !curl_easy_setopt(c, CURLOPT_OPENSOCKETDATA, r) &&
	       !curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body) && !curl_easy_setopt(c, CURLOPT_WRITEDATA, r) &&
	       !curl_easy_setopt(c, CURLOPT_ERRORBUFFER, r->error) &&
	       (!r->user[0] || (!curl_easy_setopt(c, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC) &&
				!curl_easy_setopt(c, CURLOPT_USERNAME, r->user) &&
				!curl_easy_setopt(c, CURLOPT_PASSWORD, r->password)));
}

/* HTTP's status; 0: r->error says why there is none. */
static long ask(struct request *r)
{
	struct curl_slist *names = r->to[0] ? resolved(r->url, r->to) : NULL;
	CURL *c = curl_easy_init();
	long status = 0;
	CURLcode err;

	if (!c || (r->to[0] && !names) || !set_up(c, r, names)) {
		snprintf(r->error, sizeof(r->error), "out of memory, or this url is none that can be used");
	} else {
		err = curl_easy_perform(c);
		if (!err)
			curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
		else if (!r->error[0])
			snprintf(r->error, sizeof(r->error), "%s", curl_easy_strerror(err));
	}
	curl_easy_cleanup(c);
	curl_slist_free_all(names);
	return status;
}

/* Ends with the daemon, leaves no core with a password in it, and can do nothing that root can. */
static bool give_rights_away(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { 0 };

	return !prctl(PR_SET_PDEATHSIG, SIGKILL) && !prctl(PR_SET_DUMPABLE, 0) &&
	       !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) && !syscall(SYS_capset, &header, none);
}

int main(void)
{
	struct request r = { .fd = HTTPS_SOCKET_FD };
	char text[HTTPS_REQUEST_MAX];
	long status;

	if (!give_rights_away() || !read_request(&r, text)) {
		fputs(HTTPS_PROGRAM " is started by fairleadd, for an update of a tunnel's broker\n", stderr);
		return 2;
	}
	if (curl_global_init(CURL_GLOBAL_DEFAULT))
		return 1;
	status = ask(&r);
	printf("%ld\n%s", status, status ? r.body : r.error);
	curl_global_cleanup();
	return fflush(stdout) ? 1 : 0;
}
