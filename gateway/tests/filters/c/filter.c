// The filter that every SDK family has, in C without an SDK; ../README.md says what it does.

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define IMPORT(name) __attribute__((import_module("env"), import_name(#name))) name
#define EXPORT(name) __attribute__((export_name(#name))) name

typedef uint32_t u32;

u32 IMPORT(proxy_log)(u32 level, const char *text, size_t size);
u32 IMPORT(proxy_set_tick_period_milliseconds)(u32 period);
u32 IMPORT(proxy_set_effective_context)(u32 context);
u32 IMPORT(proxy_get_buffer_bytes)(u32 buffer, u32 start, u32 size, char **out, size_t *out_size);
u32 IMPORT(proxy_set_buffer_bytes)(u32 buffer, u32 start, u32 size, const char *bytes, size_t length);
u32 IMPORT(proxy_get_header_map_value)(u32 map, const char *name, size_t size, char **out, size_t *out_size);
u32 IMPORT(proxy_add_header_map_value)(u32 map, const char *name, size_t size, const char *value, size_t length);
u32 IMPORT(proxy_remove_header_map_value)(u32 map, const char *name, size_t size);
u32 IMPORT(proxy_continue_stream)(u32 stream);
u32 IMPORT(proxy_send_local_response)(u32 status, const char *details, size_t details_size, const char *body,
                                      size_t body_size, const char *headers, size_t headers_size, u32 grpc_status);
u32 IMPORT(proxy_http_call)(const char *backend, size_t backend_size, const char *headers, size_t headers_size,
                            const char *body, size_t body_size, const char *trailers, size_t trailers_size,
                            u32 timeout, u32 *token);

enum { CONTINUE = 0, PAUSE = 1 };
enum { REQUEST = 0, RESPONSE = 2, CALL_RESPONSE = 6 };
enum { REQUEST_BODY = 0, RESPONSE_BODY = 1, PLUGIN_CONFIGURATION = 7 };
enum { TICK_MILLISECONDS = 50, CALL_MILLISECONDS = 5000, CONTEXTS = 1024, WHOLE = 0xffffffff };

// What is remembered of a stream; contexts far apart never live at once in a test.
struct stream {
    u32 context;
    bool upper;
    bool text;
    u32 call;
};

static struct stream streams[CONTEXTS];
static char *greeting;
static size_t greeting_size;
static u32 ticks;

static struct stream *stream_of(u32 context) { return &streams[context % CONTEXTS]; }

static char *header(u32 map, const char *name) {
    char *value = NULL;
    size_t size = 0;
    if (proxy_get_header_map_value(map, name, strlen(name), &value, &size) != 0) {
        return NULL;
    }
    char *text = malloc(size + 1);
    memcpy(text, value, size);
    text[size] = 0;
    free(value);
    return text;
}

static bool is(const char *text, const char *other) { return text != NULL && strcmp(text, other) == 0; }

static void answer(u32 status, const char *body, const char *headers, size_t headers_size) {
    const char details[] = "family";
    proxy_send_local_response(status, details, strlen(details), body, strlen(body), headers, headers_size, -1);
}

// Appends the sizes of a pair, and then, when all sizes are there, its text.
static char *put_size(char *at, const char *text) {
    u32 size = strlen(text);
    memcpy(at, &size, 4);
    return at + 4;
}

static char *put_text(char *at, const char *text) {
    size_t size = strlen(text) + 1;
    memcpy(at, text, size);
    return at + size;
}

static size_t pairs(char *out, const char *const *texts, u32 count) {
    char *at = out;
    memcpy(at, &count, 4);
    at += 4;
    for (u32 i = 0; i < count * 2; i++) {
        at = put_size(at, texts[i]);
    }
    for (u32 i = 0; i < count * 2; i++) {
        at = put_text(at, texts[i]);
    }
    return at - out;
}

static u32 ask(struct stream *stream) {
    char *authorization = header(REQUEST, "authorization");
    const char *texts[] = {
        ":method", "GET", ":path", "/check", ":authority", "auth",
        "authorization", authorization == NULL ? "" : authorization,
    };
    size_t needed = 4 + sizeof texts * 4;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        needed += strlen(texts[i]) + 1;
    }
    char *wire = malloc(needed);
    size_t size = pairs(wire, texts, 4);
    u32 asked = proxy_http_call("auth", 4, wire, size, NULL, 0, NULL, 0, CALL_MILLISECONDS, &stream->call);
    free(wire);
    free(authorization);
    if (asked != 0) {
        answer(500, "cannot ask\n", NULL, 0);
    }
    return PAUSE;
}

void EXPORT(proxy_abi_version_0_2_1)(void) {}

void *EXPORT(proxy_on_memory_allocate)(size_t size) { return malloc(size); }

void EXPORT(proxy_on_context_create)(u32 context, u32 parent) {
    if (parent != 0) {
        *stream_of(context) = (struct stream){.context = context};
    }
}

u32 EXPORT(proxy_on_configure)(u32 root, u32 size) {
    (void)root;
    if (proxy_get_buffer_bytes(PLUGIN_CONFIGURATION, 0, size, &greeting, &greeting_size) != 0) {
        return 0;
    }
    return proxy_set_tick_period_milliseconds(TICK_MILLISECONDS) == 0;
}

void EXPORT(proxy_on_tick)(u32 root) {
    (void)root;
    ticks++;
}

u32 EXPORT(proxy_on_request_headers)(u32 context, u32 count, u32 end) {
    (void)count, (void)end;
    struct stream *stream = stream_of(context);
    char *path = header(REQUEST, ":path");
    u32 action = CONTINUE;
    proxy_add_header_map_value(REQUEST, "x-greeting", 10, greeting, greeting_size);
    if (is(path, "/forbidden")) {
        const char *texts[] = {"x-denied", "yes"};
        char wire[64];
        answer(403, "forbidden\n", wire, pairs(wire, texts, 1));
        action = PAUSE;
    } else if (is(path, "/ticks")) {
        answer(ticks > 0 ? 200 : 503, ticks > 0 ? "ticking\n" : "not yet\n", NULL, 0);
        action = PAUSE;
    } else if (is(path, "/upper")) {
        stream->upper = true;
        proxy_remove_header_map_value(REQUEST, "content-length", 14);
    } else if (is(path, "/authorized")) {
        action = ask(stream);
    } else if (is(path, "/text")) {
        stream->text = true;
    }
    free(path);
    return action;
}

void EXPORT(proxy_on_http_call_response)(u32 root, u32 token, u32 headers, u32 size, u32 trailers) {
    (void)root, (void)size, (void)trailers;
    struct stream *stream = NULL;
    for (size_t i = 0; i < CONTEXTS; i++) {
        if (streams[i].call == token) {
            stream = &streams[i];
        }
    }
    if (stream == NULL || proxy_set_effective_context(stream->context) != 0) {
        return;
    }
    stream->call = 0;
    char *status = headers > 0 ? header(CALL_RESPONSE, ":status") : NULL;
    char *user = headers > 0 ? header(CALL_RESPONSE, "x-user") : NULL;
    if (is(status, "200") && user != NULL) {
        proxy_add_header_map_value(REQUEST, "x-user", 6, user, strlen(user));
        proxy_continue_stream(0);
    } else {
        answer(401, "unauthorized\n", NULL, 0);
    }
    free(status);
    free(user);
}

u32 EXPORT(proxy_on_request_body)(u32 context, u32 size, u32 end) {
    if (!stream_of(context)->upper) {
        return CONTINUE;
    }
    if (!end) {
        return PAUSE;
    }
    char *body = NULL;
    size_t length = 0;
    if (proxy_get_buffer_bytes(REQUEST_BODY, 0, size, &body, &length) != 0) {
        return CONTINUE;
    }
    for (size_t i = 0; i < length; i++) {
        if (body[i] >= 'a' && body[i] <= 'z') {
            body[i] -= 'a' - 'A';
        }
    }
    proxy_set_buffer_bytes(REQUEST_BODY, 0, WHOLE, body, length);
    free(body);
    return CONTINUE;
}

u32 EXPORT(proxy_on_response_headers)(u32 context, u32 count, u32 end) {
    (void)count, (void)end;
    proxy_add_header_map_value(RESPONSE, "x-family", 8, "c", 1);
    proxy_remove_header_map_value(RESPONSE, "x-powered-by", 12);
    if (stream_of(context)->text) {
        proxy_remove_header_map_value(RESPONSE, "content-length", 14);
    }
    return CONTINUE;
}

u32 EXPORT(proxy_on_response_body)(u32 context, u32 size, u32 end) {
    (void)size;
    if (end && stream_of(context)->text) {
        // Behind all that is there.
        proxy_set_buffer_bytes(RESPONSE_BODY, WHOLE, 0, "!", 1);
    }
    return CONTINUE;
}

void EXPORT(proxy_on_delete)(u32 context) {
    if (stream_of(context)->context == context) {
        *stream_of(context) = (struct stream){0};
    }
}
