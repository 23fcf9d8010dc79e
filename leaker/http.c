// SPDX-License-Identifier: Apache-2.0
/*
 * The leaker as a service: the well-known demo with a button that starts a leak.
 *
 *   GET /triggerMemoryLeak[?rate=MB/s][&pattern=NAME]   starts it and returns at once
 *   GET /stop[?free=1]                                  stops it, and gives the memory back
 *   GET /stats                                          JSON
 *   GET /healthz                                        "ok"
 *
 * libmicrohttpd serves everything on one thread of its own; no handler takes longer than
 * ORDER_MS, since a leak that sits in a long system call is not waited for. Whatever else is asked
 * gets one sentence that says what would have been right, and never an echo of the request.
 *
 * Bounds: MAX_CONNECTIONS at a time, REQUEST_BYTES of memory for each (longer requests are refused
 * by the library), IDLE_S seconds without a byte, no request bodies. The service has no
 * authentication: it is a test program, and listens on the loopback address unless told otherwise.
 */
#include "http.h"

#include "size.h"

#include <errno.h>
#include <inttypes.h>
#include <microhttpd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MAX_CONNECTIONS 64u
#define REQUEST_BYTES ((size_t)8 << 10)
#define IDLE_S 10u
#define ORDER_MS 2000
#define STACK_BYTES ((size_t)256 << 10)
#define BODY_BYTES 640
#define PARAMETERS_MAX 4

/* An answer in the making. */
struct answer {
	unsigned status;
	const char *type;
	char body[BODY_BYTES];
};

struct parameter {
	const char *name;
	const char *value; /* NULL: "?name" without "=" */
};

struct query {
	struct parameter parameters[PARAMETERS_MAX];
	unsigned count;
	bool too_many;
};

static void set_answer(struct answer *a, unsigned status, const char *text)
{
	a->status = status;
	a->type = "text/plain; charset=utf-8";
	(void)snprintf(a->body, sizeof(a->body), "%s\n", text);
}

/* The value of NAME, or NULL. *ret_twice is set when it was given more than once. */
static const char *query_value(const struct query *q, const char *name, bool *ret_twice)
{
	const char *value = NULL;

	for (unsigned i = 0; i < q->count; i++) {
		if (strcmp(q->parameters[i].name, name) != 0)
			continue;
		if (value)
			*ret_twice = true;
		value = q->parameters[i].value ? q->parameters[i].value : "";
	}
	return value;
}

/* True when the query has nothing but the names A and B (may be NULL), each at most once. */
static bool query_is_known(const struct query *q, const char *a, const char *b)
{
	bool twice = false;

	for (unsigned i = 0; i < q->count; i++) {
		const char *name = q->parameters[i].name;

		if (!(a && strcmp(name, a) == 0) && !(b && strcmp(name, b) == 0))
			return false;
		(void)query_value(q, name, &twice);
	}
	return !twice && !q->too_many;
}

static void answer_trigger(struct http *http, const struct query *q, struct answer *a)
{
	struct pattern_plan plan = http->defaults;
	const char *rate, *pattern;
	bool twice = false;

	if (!query_is_known(q, "rate", "pattern")) {
		set_answer(a, MHD_HTTP_BAD_REQUEST,
			"The parameters are rate and pattern, each at most once.");
		return;
	}
	rate = query_value(q, "rate", &twice);
	pattern = query_value(q, "pattern", &twice);
	if (rate && size_parse_rate(rate, &plan.rate_bytes_s) != SIZE_OK) {
		set_answer(
			a, MHD_HTTP_BAD_REQUEST, "rate is \"max\" or a number of MB per second.");
		return;
	}
	if (pattern) {
		plan.pattern = pattern_find(pattern);
		if (!plan.pattern) {
			set_answer(a, MHD_HTTP_BAD_REQUEST,
				"There is no such pattern; leaker --list-patterns prints them.");
			return;
		}
	}
	pattern_plan(&plan);
	if (leak_start(http->leak, &plan, SIZE_MB) == LEAK_BUSY)
		set_answer(a, MHD_HTTP_OK, "The memory leak is already running.");
	else
		set_answer(a, MHD_HTTP_OK, "The memory leak has been started.");
}

static void answer_stop(struct http *http, const struct query *q, struct answer *a)
{
	bool twice = false;
	const char *value = query_value(q, "free", &twice);
	int r;

	if (!query_is_known(q, "free", NULL) ||
		(value && strcmp(value, "1") != 0 && strcmp(value, "0") != 0)) {
		set_answer(a, MHD_HTTP_BAD_REQUEST, "The only parameter is free, which is 0 or 1.");
		return;
	}
	if (value && value[0] == '1')
		r = leak_free(http->leak, ORDER_MS);
	else
		r = leak_stop(http->leak, ORDER_MS);
	if (r == LEAK_LATE)
		set_answer(a, MHD_HTTP_SERVICE_UNAVAILABLE,
			"The leak is inside a system call and has not stopped yet; ask again.");
	else
		set_answer(a, MHD_HTTP_OK,
			value && value[0] == '1'
				? "The memory leak is stopped and its memory is freed."
				: "The memory leak is stopped; its memory is kept.");
}

static void answer_stats(struct http *http, struct answer *a)
{
	const struct leak_shared *s = http->leak->shared;
	const struct manifest_header *h = http->leak->manifest.header;
	enum leak_state state = leak_state(http->leak);
	const struct pattern *pattern =
		state == LEAK_IDLE ? http->defaults.pattern : http->leak->plan.pattern;

	a->status = MHD_HTTP_OK;
	a->type = "application/json";
	(void)snprintf(a->body, sizeof(a->body),
		"{\"pid\":%d,\"pattern\":\"%s\",\"state\":\"%s\",\"running\":%s,"
		"\"allocated_bytes\":%" PRIu64 ",\"filled_bytes\":%" PRIu64 ",\"failures\":%u,"
		"\"manifest\":\"0x%" PRIx64 "\",\"entries\":%" PRIu64
		",\"unrecorded_bytes\":%" PRIu64 ",\"seed\":%" PRIu64 "}\n",
		getpid(), pattern->name, leak_state_name(state),
		state == LEAK_RUNNING ? "true" : "false", atomic_load(&s->allocated_bytes),
		atomic_load(&s->filled_bytes), atomic_load(&s->failures), h->self,
		atomic_load(&h->count), atomic_load(&h->unrecorded_bytes), h->seed);
}

static void route(struct http *http, const char *path, const struct query *q, struct answer *a)
{
	if (strcmp(path, "/triggerMemoryLeak") == 0) {
		answer_trigger(http, q, a);
	} else if (strcmp(path, "/stop") == 0) {
		answer_stop(http, q, a);
	} else if (strcmp(path, "/stats") != 0 && strcmp(path, "/healthz") != 0) {
		set_answer(a, MHD_HTTP_NOT_FOUND,
			"There is /triggerMemoryLeak, /stop, /stats and /healthz, and nothing "
			"else.");
	} else if (!query_is_known(q, NULL, NULL)) {
		set_answer(a, MHD_HTTP_BAD_REQUEST, "This path takes no parameters.");
	} else if (strcmp(path, "/stats") == 0) {
		answer_stats(http, a);
	} else {
		set_answer(a, MHD_HTTP_OK, "ok");
	}
}

static enum MHD_Result send_answer(struct MHD_Connection *connection, struct answer *a)
{
	struct MHD_Response *response =
		MHD_create_response_from_buffer(strlen(a->body), a->body, MHD_RESPMEM_MUST_COPY);
	enum MHD_Result r;

	if (!response)
		return MHD_NO; /* no memory for an answer: the connection is closed */
	/* a header that could not be added makes a poorer answer, not a wrong one */
	(void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, a->type);
	if (a->status == MHD_HTTP_METHOD_NOT_ALLOWED)
		(void)MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET");
	r = MHD_queue_response(connection, a->status, response);
	MHD_destroy_response(response);
	return r;
}

static enum MHD_Result on_parameter(
	void *cls, enum MHD_ValueKind kind, const char *name, const char *value)
{
	struct query *q = cls;

	(void)kind;
	if (q->count == PARAMETERS_MAX) {
		q->too_many = true;
		return MHD_NO;
	}
	q->parameters[q->count++] = (struct parameter){.name = name, .value = value};
	return MHD_YES;
}

/* True when the request announces a body, which no GET of ours has. */
static bool has_body(struct MHD_Connection *connection)
{
	const char *length = MHD_lookup_connection_value(
		connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);

	return (length && strcmp(length, "0") != 0) ||
		MHD_lookup_connection_value(
			connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_TRANSFER_ENCODING);
}

/*
 * Called by the library: first with the headers read, then once more when the request is complete.
 * A request that will be refused is refused at the first call, so that its body is never read.
 */
static enum MHD_Result on_request(void *cls, struct MHD_Connection *connection, const char *url,
	const char *method, const char *version, const char *upload_data, size_t *upload_data_size,
	void **request)
{
	struct query query = {.count = 0};
	struct answer answer;

	(void)version;
	(void)upload_data;
	if (strcmp(method, MHD_HTTP_METHOD_GET) != 0) {
		set_answer(&answer, MHD_HTTP_METHOD_NOT_ALLOWED, "Only GET is understood here.");
		return send_answer(connection, &answer);
	}
	if (has_body(connection)) {
		set_answer(&answer, MHD_HTTP_CONTENT_TOO_LARGE, "A request here has no body.");
		return send_answer(connection, &answer);
	}
	if (!*request) {
		*request = cls; /* any mark will do: the headers have been seen */
		return MHD_YES;
	}
	*upload_data_size = 0;
	(void)MHD_get_connection_values(connection, MHD_GET_ARGUMENT_KIND, on_parameter, &query);
	route(cls, url, &query, &answer);
	return send_answer(connection, &answer);
}

int http_start(
	struct http *http, struct leak *leak, const struct pattern_plan *defaults, int listen_fd)
{
	http->leak = leak;
	http->defaults = *defaults;
	http->daemon = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_AUTO, 0, NULL,
		NULL, on_request, http, MHD_OPTION_LISTEN_SOCKET, listen_fd,
		MHD_OPTION_CONNECTION_LIMIT, MAX_CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT, IDLE_S,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, REQUEST_BYTES, MHD_OPTION_THREAD_STACK_SIZE,
		STACK_BYTES, MHD_OPTION_END);
	if (http->daemon)
		return 0;
	(void)close(listen_fd); /* the library took nothing over */
	return errno ? -errno : -EIO;
}

void http_stop(struct http *http)
{
	if (http->daemon)
		MHD_stop_daemon(http->daemon);
	http->daemon = NULL;
}
