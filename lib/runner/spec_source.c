/* SPDX-License-Identifier: Apache-2.0 */
/* Getting the specification. Keys are in it: what was read is wiped. */
#include "runner/spec_source.h"
#include <apr_strings.h>
#include <apr_tables.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/buf.h"

#define SPEC_BYTES (4 * 1024 * 1024)

extern char **environ;

/* Whatever was read is in buf, which the caller frees. */
static p2p_error_t *read_all(apr_pool_t *p, int fd, apr_size_t max, p2p_buf_t *buf)
{
    char block[65536];
    ssize_t n;

    p2p_buf_init(buf, max);
    do {
        n = read(fd, block, sizeof block);
        if (n > 0) p2p_buf_add(buf, block, (apr_size_t)n);
    } while (!buf->overflow && (n > 0 || (n < 0 && errno == EINTR)));
    explicit_bzero(block, sizeof block);
    if (buf->overflow)
        return p2p_error_make(p, P2P_E_INVALID, "too-large", "It is longer than %" APR_SIZE_T_FMT " bytes.", max);
    if (n < 0) return p2p_error_make(p, P2P_E_NOT_FOUND, "no-file", "It cannot be read: %s.", strerror(errno));
    return NULL;
}

static void wipe(p2p_buf_t *buf)
{
    if (buf->data) explicit_bzero(buf->data, buf->len);
    p2p_buf_free(buf);
}

p2p_error_t *p2p_read_file(apr_pool_t *p, const char *path, apr_size_t max, const char **text, apr_size_t *len)
{
    int fd = strcmp(path, "-") ? open(path, O_RDONLY | O_CLOEXEC) : STDIN_FILENO;
    p2p_buf_t buf;
    p2p_error_t *error;

    if (fd < 0) return p2p_error_make(p, P2P_E_NOT_FOUND, "no-file", "%s cannot be read: %s.", path, strerror(errno));
    error = read_all(p, fd, max, &buf);
    if (fd != STDIN_FILENO) close(fd);
    if (error) error = p2p_error_make(p, error->kind, error->code, "%s cannot be used. %s", path, error->sentence);
    *text = error ? NULL : apr_pstrmemdup(p, buf.data ? buf.data : "", buf.len);
    *len = buf.len;
    wipe(&buf);
    return error;
}

/* httpd may say other things on the way: the specification is the one line that is a JSON object. */
static p2p_error_t *parse(apr_pool_t *p, const p2p_buf_t *buf, p2p_spec_t **spec)
{
    const char *text = buf->data ? buf->data : "", *end;

    while (*text && *text != '{') {
        text = strchr(text, '\n');
        text = text ? text + 1 : "";
    }
    if (!*text) return p2p_error_make(p, P2P_E_INVALID, "bad-spec", "There is no specification (a JSON object) in it.");
    end = buf->data + buf->len;
    return p2p_spec_parse(p, text, (apr_size_t)(end - text), spec);
}

static p2p_error_t *read_spec(apr_pool_t *p, int fd, p2p_spec_t **spec)
{
    p2p_buf_t buf;
    p2p_error_t *error = read_all(p, fd, SPEC_BYTES, &buf);

    if (!error) error = parse(p, &buf, spec);
    wipe(&buf);
    return error;
}

p2p_error_t *p2p_spec_from_httpd(apr_pool_t *p, p2p_spec_t **spec)
{
    p2p_error_t *error;

    if (fcntl(P2P_SPEC_FD, F_GETFD) < 0)
        return p2p_error_make(p, P2P_E_NOT_FOUND, "no-spec",
                              "\"run\" is what httpd starts. By hand, say p2p-runner once, or give --spec FILE.");
    error = read_spec(p, P2P_SPEC_FD, spec);
    close(P2P_SPEC_FD);
    return error;
}

p2p_error_t *p2p_spec_from_file(apr_pool_t *p, const char *path, p2p_spec_t **spec)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    p2p_error_t *error;

    if (fd < 0) return p2p_error_make(p, P2P_E_NOT_FOUND, "no-spec", "%s cannot be read: %s.", path, strerror(errno));
    error = read_spec(p, fd, spec);
    close(fd);
    if (!error) return NULL;
    return p2p_error_make(p, error->kind, error->code, "The specification %s cannot be used. %s", path,
                          error->sentence);
}

/* The words of command and what we add. */
static char **arguments(apr_pool_t *p, const char *command)
{
    apr_array_header_t *words = apr_array_make(p, 8, sizeof(char *));
    char *rest = apr_pstrdup(p, command), *word;

    while ((word = apr_strtok(rest, " ", &rest))) APR_ARRAY_PUSH(words, char *) = word;
    APR_ARRAY_PUSH(words, const char *) = "-t";
    APR_ARRAY_PUSH(words, const char *) = "-D";
    APR_ARRAY_PUSH(words, const char *) = "P2P_DUMP_SPEC";
    APR_ARRAY_PUSH(words, char *) = NULL;
    return (char **)words->elts;
}

/* Runs it to its end with its output and complaints in two files without names. Returns its wait status, or
 * -1 with errno. */
static int run(apr_pool_t *p, const char *command, int out, int complaints)
{
    char **argv = arguments(p, command);
    posix_spawn_file_actions_t actions;
    int status = -1;
    pid_t pid;

    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, complaints, STDERR_FILENO);
    errno = posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (errno) return -1;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
    return status;
}

static p2p_error_t *httpd_failed(apr_pool_t *p, const char *command, int complaints)
{
    p2p_buf_t buf;
    p2p_error_t *error;

    lseek(complaints, 0, SEEK_SET);
    (void)read_all(p, complaints, 65536, &buf); /* what there is of it */
    error = p2p_error_make(p, P2P_E_INVALID, "bad-spec",
                           "%s -t does not accept its configuration. Mend that, or name the program and its -f and -d with "
                           "--httpd \"...\".", command);
    error = p2p_error_detail(p, error, buf.data);
    p2p_buf_free(&buf);
    return error;
}

static p2p_error_t *ask(apr_pool_t *p, const char *command, int out, int complaints, p2p_spec_t **spec)
{
    int status = command ? run(p, command, out, complaints) : -1;

    if (!command) {
        command = "apache2ctl";
        status = run(p, command, out, complaints);
        if (status == -1 && errno == ENOENT) status = run(p, command = "apache2", out, complaints);
    }
    if (status == -1)
        return p2p_error_make(p, P2P_E_NOT_FOUND, "no-spec",
                              "%s cannot be run: %s. Name httpd's program with --httpd, or give --spec FILE.", command,
                              strerror(errno));
    if (!WIFEXITED(status) || WEXITSTATUS(status)) return httpd_failed(p, command, complaints);
    lseek(out, 0, SEEK_SET);
    return read_spec(p, out, spec);
}

p2p_error_t *p2p_spec_by_asking(apr_pool_t *p, const char *command, p2p_spec_t **spec)
{
    int out = memfd_create("p2p-spec", MFD_CLOEXEC), complaints = memfd_create("p2p-complaints", MFD_CLOEXEC);
    p2p_error_t *error;

    if (command && !command[strspn(command, " ")])
        error = p2p_error_make(p, P2P_E_INVALID, "no-spec", "--httpd needs httpd's program and its options.");
    else if (out < 0 || complaints < 0)
        error = p2p_error_make(p, P2P_E_INTERNAL, "no-spec", "httpd cannot be asked: %s.", strerror(errno));
    else
        error = ask(p, command, out, complaints, spec);
    if (out >= 0) close(out);
    if (complaints >= 0) close(complaints);
    return error;
}
