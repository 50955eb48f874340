/* SPDX-License-Identifier: Apache-2.0 */
/* A loopback HTTP server for tests of lib/net: a process of its own that behaves as the path that is asked for says. */
#ifndef P2P_T_LOOPBACK_H
#define P2P_T_LOOPBACK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <apr_strings.h>
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

/* The server: a process that forks one for each connection. */

typedef struct shared_t {
    int now, most;    /* requests to /slow under way, and the most there were */
    int connections;  /* accepted so far */
    int queued, let_go; /* requests for "hold" so far, and how many of them may be answered */
} shared_t;

static shared_t *shared;
static pid_t server;
static int port;

static char pattern(apr_uint64_t i)
{
    return (char)('a' + (i * 7 + i / 251) % 26);
}

static void nap(int ms)
{
    struct timespec t = {ms / 1000, (long)(ms % 1000) * 1000000};

    nanosleep(&t, NULL);
}

static void say(int fd, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(int fd, const char *format, ...)
{
    char line[2048];
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (send(fd, line, (size_t)n, MSG_NOSIGNAL) < 0) _exit(0);
}

static void say_pattern(int fd, apr_uint64_t from, apr_uint64_t len)
{
    char block[65536];

    while (len) {
        size_t n = len < sizeof block ? (size_t)len : sizeof block;
        for (size_t i = 0; i < n; i++) block[i] = pattern(from + i);
        if (send(fd, block, n, MSG_NOSIGNAL) != (ssize_t)n) _exit(0);
        from += n;
        len -= n;
    }
}

static void say_chunks(int fd, apr_uint64_t len, int whole)
{
    say(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (apr_uint64_t at = 0; at < len; at += 1000) {
        apr_uint64_t n = len - at < 1000 ? len - at : 1000;
        say(fd, "%x\r\n", (unsigned)n);
        say_pattern(fd, at, n);
        say(fd, "\r\n");
    }
    if (whole) say(fd, "0\r\nTrailer: yes\r\n\r\n");
}

static uint32_t crc(uint32_t c, const char *bytes, size_t n)
{
    c = ~c;
    for (size_t i = 0; i < n; i++) {
        c ^= (unsigned char)bytes[i];
        for (int k = 0; k < 8; k++) c = c & 1 ? 0xedb88320u ^ (c >> 1) : c >> 1;
    }
    return ~c;
}

/* gzip made of stored blocks (RFC 1951 and 1952): no zlib needed. */
static void say_gzip(int fd, size_t len)
{
    char *out = malloc(len + len / 30000 * 5 + 64), *to = out, block[30000];
    uint32_t sum = 0, size = (uint32_t)len;

    memcpy(to, "\x1f\x8b\x08\0\0\0\0\0\0\xff", 10);
    to += 10;
    for (size_t at = 0; at < len;) {
        size_t n = len - at < sizeof block ? len - at : sizeof block;
        for (size_t i = 0; i < n; i++) block[i] = pattern(at + i);
        sum = crc(sum, block, n);
        *to++ = at + n == len;
        *to++ = (char)(n & 255);
        *to++ = (char)(n >> 8);
        *to++ = (char)(~n & 255);
        *to++ = (char)(~n >> 8);
        memcpy(to, block, n);
        to += n;
        at += n;
    }
    memcpy(to, &sum, 4);
    memcpy(to + 4, &size, 4);
    say(fd, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %zu\r\n\r\n", (size_t)(to + 8 - out));
    if (send(fd, out, (size_t)(to + 8 - out), MSG_NOSIGNAL) < 0) _exit(0);
    free(out);
}

/* So many megabytes of zeros, as few bytes. */
static void say_bomb(int fd, apr_uint64_t mb)
{
    static char zeros[1 << 20], out[1 << 16];
    z_stream z = {.next_in = NULL};

    if (deflateInit2(&z, 9, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY) != Z_OK) _exit(1);
    say(fd, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (apr_uint64_t i = 0; i <= mb; i++) {
        z.next_in = (unsigned char *)zeros;
        z.avail_in = i < mb ? sizeof zeros : 0;
        do {
            z.next_out = (unsigned char *)out;
            z.avail_out = sizeof out;
            deflate(&z, i < mb ? Z_NO_FLUSH : Z_FINISH);
            if (z.avail_out == sizeof out) break;
            say(fd, "%x\r\n", (unsigned)(sizeof out - z.avail_out));
            if (send(fd, out, sizeof out - z.avail_out, MSG_NOSIGNAL) < 0) _exit(0);
            say(fd, "\r\n");
        } while (!z.avail_out);
    }
    deflateEnd(&z);
    say(fd, "0\r\n\r\n");
}

/* Gzip that is none, that ends too early, in two members, and a coding that nobody asked for. */
static void say_odd_gzip(int fd, apr_uint64_t which)
{
    static const char member[] = "\x1f\x8b\x08\0\0\0\0\0\0\xff\x01\x03\0\xfc\xff" "abc" "\xc2\x41\x24\x35\x03\0\0\0";
    const size_t len = sizeof member - 1;

    say(fd, "HTTP/1.1 200 OK\r\nContent-Encoding: %s\r\nConnection: close\r\n\r\n", which == 4 ? "br" : "gzip");
    if (which == 1) send(fd, "this is no gzip at all", 22, MSG_NOSIGNAL);
    if (which == 2) send(fd, member, len - 5, MSG_NOSIGNAL);
    if (which >= 3) send(fd, member, len, MSG_NOSIGNAL);
    if (which == 3) send(fd, member, len, MSG_NOSIGNAL);
    _exit(0);
}

static void say_text(int fd, const char *text)
{
    say(fd, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\nX-Two: a\r\nx-two: b\r\n\r\n%s", strlen(text), text);
}

/* Reads the body and tells its length and whether it was the pattern. */
static void echo(int fd, apr_uint64_t length)
{
    char block[65536], said[100];
    apr_uint64_t at = 0;
    int good = 1;

    while (at < length) {
        ssize_t n = recv(fd, block, sizeof block, 0);
        if (n <= 0) _exit(0);
        for (ssize_t i = 0; i < n; i++) good &= block[i] == pattern(at + (apr_uint64_t)i);
        at += (apr_uint64_t)n;
    }
    snprintf(said, sizeof said, "%llu %s", (unsigned long long)at, good ? "good" : "bad");
    say_text(fd, said);
}

static void slow(int fd)
{
    int now = __sync_add_and_fetch(&shared->now, 1);

    if (now > shared->most) shared->most = now;
    nap(30);
    __sync_sub_and_fetch(&shared->now, 1);
    say_text(fd, "done");
}

static void endless_head(int fd)
{
    say(fd, "HTTP/1.1 200 OK\r\n");
    for (;;) say(fd, "X-More: %0500d\r\n", 0);
}

/* Both take their time, then go on. */
static void stall(int fd, apr_uint64_t n)
{
    say(fd, "HTTP/1.1 200 OK\r\nContent-Length: %llu\r\n\r\n", (unsigned long long)n * 2);
    say_pattern(fd, 0, n);
    nap(5000);
    _exit(0);
}

static void trickle(int fd, apr_uint64_t n)
{
    say(fd, "HTTP/1.1 200 OK\r\nContent-Length: %llu\r\n\r\n", (unsigned long long)n);
    for (apr_uint64_t i = 0; i < n; i++) {
        say_pattern(fd, i, 1);
        nap(20);
    }
}

/* Answered when the test lets it go, in the order in which they came. */
static void hold(int fd, apr_uint64_t n)
{
    int mine = __sync_add_and_fetch(&shared->queued, 1);

    while (__sync_fetch_and_add(&shared->let_go, 0) < mine) nap(2);
    trickle(fd, n);
}

static const char *field(const char *head, const char *name)
{
    const char *at = strcasestr(head, name);
    static char value[1000];

    value[0] = 0;
    if (at) sscanf(at + strlen(name), "%999[^\r]", value);
    return value;
}

static void serve(int fd, const char *head, int number)
{
    char what[32] = "", said[1200];
    unsigned long long n = 0;
    apr_uint64_t length = strtoull(field(head, "\r\nContent-Length: "), NULL, 10);

    sscanf(strchr(head, ' ') + 2, "%31[a-z]/%llu", what, &n);
    if (!strcmp(what, "whole")) {
        say(fd, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: %llu\r\n\r\n", n);
        say_pattern(fd, 0, n);
    } else if (!strcmp(what, "chunked")) {
        say_chunks(fd, n, 1);
    } else if (!strcmp(what, "gzip")) {
        if (!strcmp(field(head, "\r\nAccept-Encoding: "), "gzip")) say_gzip(fd, n);
        else say_text(fd, "not asked for");
    } else if (!strcmp(what, "bomb")) {
        say_bomb(fd, n);
    } else if (!strcmp(what, "oddgzip")) {
        say_odd_gzip(fd, n);
    } else if (!strcmp(what, "cut")) {
        say(fd, "HTTP/1.1 200 OK\r\nContent-Length: %llu\r\n\r\n", n * 2);
        say_pattern(fd, 0, n);
        _exit(0);
    } else if (!strcmp(what, "cutchunks")) {
        say_chunks(fd, n, 0);
        _exit(0);
    } else if (!strcmp(what, "nothing")) {
        _exit(0);
    } else if (!strcmp(what, "nohttp")) {
        say(fd, "220 mail.example ESMTP\r\n");
        _exit(0);
    } else if (!strcmp(what, "stall")) {
        stall(fd, n);
    } else if (!strcmp(what, "trickle")) {
        trickle(fd, n);
    } else if (!strcmp(what, "mull")) {
        nap(250);
        trickle(fd, n);
    } else if (!strcmp(what, "hold")) {
        hold(fd, n);
    } else if (!strcmp(what, "status")) {
        say(fd, "HTTP/1.1 %llu Thing\r\nContent-Length: 2\r\nWWW-Authenticate: Bearer\r\nLocation: /whole/9\r\n\r\nno", n);
    } else if (!strcmp(what, "fields")) {
        endless_head(fd);
    } else if (!strcmp(what, "slow")) {
        slow(fd);
    } else if (!strcmp(what, "echo")) {
        echo(fd, length);
    } else if (!strcmp(what, "fresh")) {
        if (number > 1) nap(20), _exit(0);
        echo(fd, length);
    } else if (!strcmp(what, "head")) {
        snprintf(said, sizeof said, "%.1100s", head);
        say_text(fd, said);
    } else {
        say(fd, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    }
}

/* One head at a time, byte by byte: what follows it is the body's. */
static void serve_connection(int fd)
{
    char head[4096];

    for (int number = 1;; number++) {
        size_t n = 0;
        while (n < 4 || memcmp(head + n - 4, "\r\n\r\n", 4)) {
            if (n == sizeof head - 1 || recv(fd, head + n, 1, 0) != 1) _exit(0);
            n++;
        }
        head[n] = 0;
        serve(fd, head, number);
    }
}

static void serve_all(int listener)
{
    signal(SIGCHLD, SIG_IGN);
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        if (fd < 0) _exit(1);
        __sync_add_and_fetch(&shared->connections, 1);
        if (!fork()) serve_connection(fd);
        close(fd);
    }
}

static inline int start_server(void **state)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    int listener = socket(AF_INET, SOCK_STREAM, 0);

    (void)state;
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED || bind(listener, (struct sockaddr *)&at, sizeof at) || listen(listener, 64) ||
        getsockname(listener, (struct sockaddr *)&at, &len))
        return -1;
    port = ntohs(at.sin_port);
    server = fork();
    if (!server) {
        setpgid(0, 0);
        serve_all(listener);
    }
    setpgid(server, server);
    close(listener);
    return server < 0;
}

static inline int stop_server(void **state)
{
    (void)state;
    kill(-server, SIGKILL);
    waitpid(server, NULL, 0);
    return 0;
}

#endif
