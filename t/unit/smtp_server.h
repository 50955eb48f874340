/* SPDX-License-Identifier: Apache-2.0 */
/* A loopback SMTP server for tests: a process of its own that does as the local part of an address says, such as rcpt-550@b.example. */
#ifndef P2P_T_SMTP_SERVER_H
#define P2P_T_SMTP_SERVER_H

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

typedef struct smtp_shared_t {
    int port;
    int connections, taken, stalled; /* so far */
    char greeting[80];               /* "": it hangs up instead */
    char from[400], to[400], message[20000]; /* of the last mail that was taken */
} smtp_shared_t;

static smtp_shared_t *smtp;
static pid_t smtp_server;

static void smtp_say(int fd, const char *line)
{
    if (send(fd, line, strlen(line), MSG_NOSIGNAL) < 0 || send(fd, "\r\n", 2, MSG_NOSIGNAL) < 0) _exit(0);
}

static size_t smtp_read(int fd, char *line, size_t room)
{
    size_t n = 0;

    while (n + 1 < room) {
        if (recv(fd, line + n, 1, 0) != 1) _exit(0);
        if (line[n++] == '\n') break;
    }
    line[n] = '\0';
    return n;
}

static void smtp_nap(void)
{
    struct timespec t = {0, 2000000};

    nanosleep(&t, NULL);
}

/* Several lines, byte by byte. */
static void smtp_say_slowly(int fd)
{
    for (const char *c = "250-one\r\n250-two\r\n250 three\r\n"; *c; c++) {
        if (send(fd, c, 1, MSG_NOSIGNAL) < 0) _exit(0);
        smtp_nap();
    }
}

/* Does as the word behind STEP- in the address says. Returns 1 where that is as if nothing were said. */
static int smtp_obey(int fd, const char *address, const char *step)
{
    char said[80];
    const char *word = strstr(address, step);

    if (!word) return 1;
    word += strlen(step);
    if (word[0] >= '0' && word[0] <= '9') {
        snprintf(said, sizeof said, "%.3s it is so", word);
        smtp_say(fd, said);
        if (!strncmp(word, "421", 3)) _exit(0);
        return !strncmp(word, "250", 3) && !strcmp(step, "message-");
    }
    if (!strncmp(word, "drop", 4)) _exit(0);
    if (!strncmp(word, "junk", 4)) smtp_say(fd, "what?");
    if (!strncmp(word, "slow", 4)) smtp_say_slowly(fd);
    if (!strncmp(word, "flood", 5))
        for (;;) smtp_say(fd, "250-and then");
    if (!strncmp(word, "stall", 5)) {
        __sync_add_and_fetch(&smtp->stalled, 1);
        for (;;) pause();
    }
    return !strncmp(word, "bye", 3) || !strncmp(word, "tired", 5);
}

/* The message up to its dot; refused and broken ones are not kept. */
static void smtp_take(int fd, const char *from, const char *to)
{
    char line[1100], *message = calloc(1, sizeof smtp->message);
    size_t len = 0;

    while (smtp_read(fd, line, sizeof line), strcmp(line, ".\r\n")) {
        if (len + strlen(line) < sizeof smtp->message) len += (size_t)sprintf(message + len, "%s", line);
    }
    if (smtp_obey(fd, to, "message-")) {
        snprintf(smtp->from, sizeof smtp->from, "%s", from);
        snprintf(smtp->to, sizeof smtp->to, "%s", to);
        memcpy(smtp->message, message, sizeof smtp->message);
        __sync_add_and_fetch(&smtp->taken, 1);
        smtp_say(fd, "250 taken");
    }
    free(message);
    if (strstr(to, "message-bye")) _exit(0);
    if (!strstr(to, "message-tired")) return;
    smtp_read(fd, line, sizeof line);
    smtp_say(fd, "421 tired");
    _exit(0);
}

static void smtp_serve(int fd)
{
    char line[1100], from[400] = "", to[400] = "";

    if (!*smtp->greeting) _exit(0);
    smtp_say(fd, smtp->greeting);
    for (;;) {
        size_t n = smtp_read(fd, line, sizeof line);
        while (n && (line[n - 1] == '\r' || line[n - 1] == '\n')) line[--n] = '\0';
        if (!strncmp(line, "MAIL FROM:", 10)) {
            if (*from) smtp_say(fd, "503 there is a mail under way");
            snprintf(from, sizeof from, "%.399s", line);
            if (smtp_obey(fd, line, "mail-")) smtp_say(fd, "250 ok");
        } else if (!strncmp(line, "RCPT TO:", 8)) {
            snprintf(to, sizeof to, "%.399s", line);
            if (smtp_obey(fd, line, "rcpt-")) smtp_say(fd, "250 ok");
        } else if (!strcmp(line, "DATA")) {
            if (!smtp_obey(fd, to, "data-")) continue;
            smtp_say(fd, "354 go on");
            smtp_take(fd, from, to);
            *from = *to = '\0';
        } else if (!strncmp(line, "QUIT", 4)) {
            smtp_say(fd, "221 bye");
            _exit(0);
        } else {
            if (!strcmp(line, "RSET")) *from = *to = '\0';
            smtp_say(fd, "250 mail.example");
        }
    }
}

static void smtp_serve_all(int listener)
{
    signal(SIGCHLD, SIG_IGN);
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        if (fd < 0) _exit(1);
        __sync_add_and_fetch(&smtp->connections, 1);
        if (!fork()) smtp_serve(fd);
        close(fd);
    }
}

static inline void smtp_server_reset(void)
{
    smtp->connections = smtp->taken = smtp->stalled = 0;
    snprintf(smtp->greeting, sizeof smtp->greeting, "220 mail.example");
}

static inline int smtp_server_start(void **state)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    int listener = socket(AF_INET, SOCK_STREAM, 0);

    (void)state;
    smtp = mmap(NULL, sizeof *smtp, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (smtp == MAP_FAILED || bind(listener, (struct sockaddr *)&at, sizeof at) || listen(listener, 64) ||
        getsockname(listener, (struct sockaddr *)&at, &len))
        return -1;
    smtp->port = ntohs(at.sin_port);
    smtp_server = fork();
    if (!smtp_server) {
        setpgid(0, 0);
        smtp_serve_all(listener);
    }
    setpgid(smtp_server, smtp_server);
    close(listener);
    return smtp_server < 0;
}

static inline int smtp_server_stop(void **state)
{
    (void)state;
    kill(-smtp_server, SIGKILL);
    waitpid(smtp_server, NULL, 0);
    return 0;
}

#endif
