/* SPDX-License-Identifier: Apache-2.0 */
/* Asks an httpd of 127.0.0.1 over TLS connections that are kept alive, `http_load PORT CONNECTIONS SECONDS RATE FILE`, and prints what came of it as
 * JSON. Each line of FILE is a request, "METHOD PATH", with headers after tabs; they take turns. RATE is requests a second, of all connections
 * together, each at its time whether those before it have been answered or not, and how long it took counts from that time; 0: every
 * connection asks again as soon as it has been answered. A connection that httpd closes is made anew. Certificates are not looked at. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* epoll_pwait2 */
#endif
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <openssl/ssl.h>

#define HEAD_MAX 16384
#define STATUS_MAX 600
#define EVENTS 256

typedef struct request_t {
    char *bytes;
    size_t len;
} request_t;

typedef struct connection_t {
    SSL *ssl;
    const request_t *request; /* under way; NULL: idle */
    size_t sent;
    int64_t due;              /* when the request was to go, in microseconds */
    char head[HEAD_MAX];
    size_t head_len;
    int64_t body_left;        /* -1: the head is not complete */
    int closing;              /* httpd says that it closes after this answer */
} connection_t;

typedef struct load_t {
    int port, epoll, count;
    SSL_CTX *tls;
    request_t *requests;
    size_t request_count, next;
    connection_t *connections;
    double rate;
    int64_t begun, end, scheduled; /* requests that were due so far */
    long statuses[STATUS_MAX], broken, connects;
    uint32_t *times;               /* of answered requests, in microseconds */
    size_t answered, room;
} load_t;

static void give_up(const char *what)
{
    fprintf(stderr, "http_load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int64_t now_us(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* ---- Requests ---- */

static void add_request(load_t *load, char *line)
{
    static const char first[] = " HTTP/1.1\r\nHost: 127.0.0.1\r\n";
    size_t room = strlen(line) * 2 + sizeof first + 8, len;
    char *bytes = malloc(room), *header = strchr(line, '\t');

    if (header) *header++ = '\0';
    len = (size_t)snprintf(bytes, room, "%s%s", line, first);
    while (header) {
        char *more = strchr(header, '\t');

        if (more) *more++ = '\0';
        len += (size_t)snprintf(bytes + len, room - len, "%s\r\n", header);
        header = more;
    }
    len += (size_t)snprintf(bytes + len, room - len, "\r\n");
    load->requests = realloc(load->requests, (load->request_count + 1) * sizeof *load->requests);
    load->requests[load->request_count++] = (request_t){ bytes, len };
}

static void read_requests(load_t *load, const char *path)
{
    FILE *in = fopen(path, "r");
    char *line = NULL;
    size_t room = 0;
    ssize_t len;

    if (!in) give_up(path);
    while ((len = getline(&line, &room, in)) > 0) {
        if (line[len - 1] == '\n') line[len - 1] = '\0';
        add_request(load, line);
    }
    free(line);
    fclose(in);
    if (!load->request_count) give_up(path);
}

/* ---- Connections ---- */

/* The handshake comes with the first bytes. */
static void open_connection(load_t *load, connection_t *connection)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)load->port), .sin_addr = { htonl(INADDR_LOOPBACK) } };
    struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLET, .data = { .ptr = connection } };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address)) give_up("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    connection->ssl = SSL_new(load->tls);
    SSL_set_fd(connection->ssl, fd);
    SSL_set_connect_state(connection->ssl);
    if (epoll_ctl(load->epoll, EPOLL_CTL_ADD, fd, &event)) give_up("epoll_ctl");
    connection->sent = 0;
    connection->head_len = 0;
    connection->body_left = -1;
    connection->closing = 0;
    load->connects++;
}

static void close_connection(connection_t *connection)
{
    int fd = SSL_get_fd(connection->ssl);

    SSL_free(connection->ssl);
    connection->ssl = NULL;
    close(fd);
}

static void begin_request(load_t *load, connection_t *connection, int64_t due)
{
    connection->request = &load->requests[load->next++ % load->request_count];
    connection->due = due;
    connection->sent = 0;
    connection->head_len = 0;
    connection->body_left = -1;
}

static int64_t next_due(const load_t *load)
{
    return load->begun + (int64_t)((double)load->scheduled * 1e6 / load->rate);
}

/* The request whose time has come goes out, if any has. */
static void take_turn(load_t *load, connection_t *connection)
{
    int64_t now = now_us(), due = now;

    if (now >= load->end) return;
    if (load->rate > 0) {
        due = next_due(load);
        if (due > now) return;
        load->scheduled++;
    }
    begin_request(load, connection, due);
}

/* ---- Answers ---- */

static void note_answer(load_t *load, const connection_t *connection)
{
    int status = atoi(connection->head + 9);

    if (load->answered == load->room) {
        load->room = load->room ? load->room * 2 : 65536;
        load->times = realloc(load->times, load->room * sizeof *load->times);
        if (!load->times) give_up("no memory");
    }
    load->times[load->answered++] = (uint32_t)(now_us() - connection->due);
    if (status > 0 && status < STATUS_MAX) load->statuses[status]++;
}

/* The value of a header whose name is given with its colon, or NULL. */
static const char *header_of(const char *head, const char *name)
{
    for (const char *line = strstr(head, "\r\n"); line; line = strstr(line + 2, "\r\n")) {
        if (!strncasecmp(line + 2, name, strlen(name))) return line + 2 + strlen(name);
    }
    return NULL;
}

/* Takes len bytes that came, and returns how many of them belong to this answer's head. */
static size_t take_head(connection_t *connection, const char *bytes, size_t len)
{
    size_t before = connection->head_len;
    const char *end, *value;

    if (len > HEAD_MAX - 1 - before) len = HEAD_MAX - 1 - before;
    memcpy(connection->head + before, bytes, len);
    connection->head[before + len] = '\0';
    end = strstr(connection->head, "\r\n\r\n");
    if (!end) {
        connection->head_len += len;
        return len;
    }
    connection->head[end + 2 - connection->head] = '\0';
    value = header_of(connection->head, "Content-Length:");
    connection->body_left = value ? atoll(value) : 0;
    value = header_of(connection->head, "Connection:");
    connection->closing = value && !strncasecmp(value + strspn(value, " "), "close", 5);
    return (size_t)(end + 4 - connection->head) - before;
}

/* Reads what is there. 1: the answer is complete, 0: there will be more, -1: httpd closed. */
static int read_answer(connection_t *connection)
{
    char bytes[16384];
    size_t len, at;
    int rv;

    while ((rv = SSL_read(connection->ssl, bytes, sizeof bytes)) > 0) {
        len = (size_t)rv;
        at = connection->body_left < 0 ? take_head(connection, bytes, len) : 0;
        if (connection->body_left < 0 && connection->head_len >= HEAD_MAX - 1) return -1;
        if (connection->body_left < 0) continue;
        connection->body_left -= (int64_t)(len - at);
        if (connection->body_left <= 0) return 1;
    }
    rv = SSL_get_error(connection->ssl, rv);
    return rv == SSL_ERROR_WANT_READ || rv == SSL_ERROR_WANT_WRITE ? 0 : -1;
}

static int write_request(connection_t *connection)
{
    const request_t *request = connection->request;
    int rv;

    while (connection->sent < request->len) {
        rv = SSL_write(connection->ssl, request->bytes + connection->sent, (int)(request->len - connection->sent));
        if (rv <= 0) {
            rv = SSL_get_error(connection->ssl, rv);
            return rv == SSL_ERROR_WANT_READ || rv == SSL_ERROR_WANT_WRITE ? 0 : -1;
        }
        connection->sent += (size_t)rv;
    }
    return 0;
}

/* A request on a connection that httpd was closing goes out again on another. */
static void start_anew(load_t *load, connection_t *connection, int was_broken)
{
    close_connection(connection);
    open_connection(load, connection);
    if (was_broken) load->broken++;
    if (connection->request) connection->due = load->rate > 0 ? connection->due : now_us();
}

static void work(load_t *load, connection_t *connection)
{
    for (;;) {
        int rv;

        if (!connection->request) take_turn(load, connection);
        if (!connection->request) return;
        rv = write_request(connection);
        if (!rv && connection->sent == connection->request->len) rv = read_answer(connection);
        if (rv == 0) return;
        if (rv > 0) {
            note_answer(load, connection);
            connection->request = NULL;
        }
        if (rv < 0 || connection->closing) {
            start_anew(load, connection, rv < 0);
            if (now_us() >= load->end) return;
        }
    }
}

/* ---- The run ---- */

static void dispatch_due(load_t *load)
{
    for (int i = 0; load->rate > 0 && i < load->count; i++) {
        connection_t *connection = &load->connections[i];

        if (next_due(load) > now_us()) return;
        if (!connection->request) work(load, connection);
    }
}

/* Waits for so many microseconds at most. */
static void handle_events(load_t *load, int64_t most)
{
    struct epoll_event events[EVENTS];
    struct timespec wait = { most / 1000000, most % 1000000 * 1000 };
    int count = epoll_pwait2(load->epoll, events, EVENTS, &wait, NULL);

    for (int i = 0; i < count; i++) work(load, events[i].data.ptr);
}

static int busy(const load_t *load)
{
    for (int i = 0; i < load->count; i++) {
        if (load->connections[i].request) return 1;
    }
    return 0;
}

/* Every connection asks once before the clock starts: handshakes are not counted. */
static void warm_up(load_t *load)
{
    int64_t give_up_at = now_us() + 60 * INT64_C(1000000);

    load->end = 0;
    for (int i = 0; i < load->count; i++) {
        open_connection(load, &load->connections[i]);
        begin_request(load, &load->connections[i], now_us());
    }
    while (busy(load) && now_us() < give_up_at) handle_events(load, 100000);
    load->answered = 0;
    load->broken = load->connects = 0;
    memset(load->statuses, 0, sizeof load->statuses);
}

/* As long as nothing comes and nothing is due; where all connections are busy, what is due waits for one. */
static int64_t rest(const load_t *load)
{
    int64_t left = load->rate > 0 ? next_due(load) - now_us() : 100000;

    return left < 0 ? 100 : left < 100000 ? left : 100000;
}

static void run(load_t *load, double seconds)
{
    load->begun = now_us();
    load->end = load->begun + (int64_t)(seconds * 1e6);
    for (int i = 0; load->rate <= 0 && i < load->count; i++) work(load, &load->connections[i]);
    while (now_us() < load->end) {
        dispatch_due(load);
        handle_events(load, rest(load));
    }
    while (busy(load) && now_us() < load->end + 20000000) handle_events(load, 100000);
}

static int by_size(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

static double part(const load_t *load, double of)
{
    size_t at = (size_t)((double)load->answered * of);

    if (!load->answered) return 0;
    return load->times[at < load->answered ? at : load->answered - 1] / 1000.0;
}

static void print(load_t *load, double seconds)
{
    const char *comma = "";

    if (load->answered) qsort(load->times, load->answered, sizeof *load->times, by_size);
    printf("{\"answered\":%zu,\"rate\":%.2f,\"broken\":%ld,\"connects\":%ld,\"p50\":%.3f,\"p99\":%.3f,\"max\":%.3f,\"statuses\":{", load->answered,
           (double)load->answered / seconds, load->broken, load->connects, part(load, 0.5), part(load, 0.99), part(load, 1));
    for (int i = 0; i < STATUS_MAX; i++) {
        if (!load->statuses[i]) continue;
        printf("%s\"%d\":%ld", comma, i, load->statuses[i]);
        comma = ",";
    }
    printf("}}\n");
}

int main(int argc, char **argv)
{
    load_t load = { 0 };
    double seconds;

    if (argc != 6) return 64;
    load.port = atoi(argv[1]);
    load.count = atoi(argv[2]);
    seconds = atof(argv[3]);
    load.rate = atof(argv[4]);
    read_requests(&load, argv[5]);
    load.tls = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_mode(load.tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    load.epoll = epoll_create1(EPOLL_CLOEXEC);
    load.connections = calloc((size_t)load.count, sizeof *load.connections);
    if (!load.tls || load.epoll < 0 || !load.connections || load.count < 1 || seconds <= 0) give_up("start");
    warm_up(&load);
    run(&load, seconds);
    print(&load, seconds);
    return 0;
}
