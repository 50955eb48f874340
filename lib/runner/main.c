/* SPDX-License-Identifier: Apache-2.0 */
/* p2p-runner: the program that moves members' records, and its commands. */
#include <apr_dbd.h>
#include <apr_general.h>
#include <apr_strings.h>
#include <curl/curl.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sysexits.h>
#include "runner/commands.h"
#include "runner/runner.h"
#include "runner/spec_source.h"
#include "runner/user.h"
#include "runner/wake.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WITH_SANITIZER
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define WITH_SANITIZER
#endif

#define LARGE_BLOCK (256 << 10) /* bytes of a block that goes back to the system at once */
#define HEAP_KEEP (4 << 20)     /* free bytes that the heap may keep at its end */
#define POOLS_KEEP (4 << 20) /* bytes of freed pools that are kept for the next ones */

static const char usage[] =
    "usage: p2p-runner COMMAND [--spec FILE | --httpd \"PROGRAM OPTIONS\"]\n"
    "\n"
    "  migrate                  create or upgrade the schema\n"
    "  definitions import FILE  create or update definitions by issuer (a JSON array; - is standard input)\n"
    "  keygen                   print a new sealing key: (umask 077; p2p-runner keygen > p2p.key)\n"
    "  reseal                   seal anew, with the first key of P2PSecretKeyFile, what another key sealed\n"
    "  reseal check             tell how much is sealed with which key\n"
    "  hook rotate              give the hook a new secret; the old one is good for 24 hours\n"
    "  status                   show runners and jobs as JSON\n"
    "  mail test ADDRESS        send a mail, now, as the runner would\n"
    "  once                     work until the queue is empty\n"
    "  run                      what httpd starts: the specification on descriptor 3, a wake pipe on 4\n"
    "  version                  print the version\n"
    "  help                     this text\n"
    "\n"
    "Settings are those of httpd's configuration, which httpd is asked for (-t -D P2P_DUMP_SPEC):\n"
    "apache2ctl, or what --httpd names, such as --httpd \"apache2 -f /etc/p2p/httpd.conf\". --spec reads\n"
    "what httpd printed from a file. Given by root, commands that use the database work as httpd's User.\n";

typedef struct call_t {
    const char *words[3]; /* command and arguments */
    int count;
    const char *spec_file, *httpd;
} call_t;

/* Member data and keys are in memory: no other process of the same user reads them. */
static void hide_memory(void)
{
#if !defined(WITH_SANITIZER) && !defined(P2P_DEBUG)
    prctl(PR_SET_DUMPABLE, 0);
#endif
}

/* … and they go into no core file. */
static void dump_no_core(void)
{
    struct rlimit none = {0, 0};

    setrlimit(RLIMIT_CORE, &none);
}

static int read_arguments(int argc, const char *const *argv, call_t *call)
{
    for (int i = 1; i < argc; i++) {
        const char **option = !strcmp(argv[i], "--spec") ? &call->spec_file : NULL;
        if (!strcmp(argv[i], "--httpd")) option = &call->httpd;
        if (option && i + 1 < argc && !*option) *option = argv[++i];
        else if (!strcmp(argv[i], "--help") && !call->count) call->words[call->count++] = "help";
        else if (!strcmp(argv[i], "--version") && !call->count) call->words[call->count++] = "version";
        else if (!strncmp(argv[i], "--", 2) || call->count == 3) return 0;
        else call->words[call->count++] = argv[i];
    }
    return call->count > 0 && !(call->spec_file && call->httpd);
}

static int is(const call_t *call, int count, const char *first)
{
    return call->count == count && !strcmp(call->words[0], first);
}

static p2p_error_t *get_spec(apr_pool_t *p, const call_t *call, p2p_spec_t **spec)
{
    if (call->spec_file) return p2p_spec_from_file(p, call->spec_file, spec);
    if (call->httpd || !is(call, 1, "run")) return p2p_spec_by_asking(p, call->httpd, spec);
    return p2p_spec_from_httpd(p, spec);
}

static p2p_error_t *check_spec(apr_pool_t *p, const p2p_spec_t *spec)
{
    const char *missing = !spec->target ? "target" : !spec->db_driver ? "dbDriver" : !spec->db_params ? "dbParams" : NULL;

    if (!missing && !p2p_keyring_count(spec->keyring)) missing = "keys";
    if (!missing) return NULL;
    return p2p_error_make(p, P2P_E_INVALID, "bad-spec", "The specification has no %s.", missing);
}

static int work(apr_pool_t *p, const call_t *call, const p2p_spec_t *spec, const p2p_log_t *log)
{
    int supervised = is(call, 1, "run") && !call->spec_file && !call->httpd;
    p2p_runner_order_t order = {spec, log, -1, is(call, 1, "once")};
    p2p_error_t *error = p2p_become_user(p, spec);
    int code;

    if (error) {
        p2p_command_complain(error);
        return EX_CONFIG;
    }
    hide_memory();
    if (supervised && fcntl(P2P_WAKE_FD, F_GETFD) >= 0) order.wake_pipe = P2P_WAKE_FD;
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) return EX_SOFTWARE;
    code = p2p_runner_run(p, &order);
    apr_pool_destroy(p); /* connections first, then the library under them */
    curl_global_cleanup();
    return code;
}

static int command(apr_pool_t *p, const call_t *call, const p2p_spec_t *spec, const p2p_log_t *log)
{
    apr_pool_t *own;

    if (is(call, 1, "migrate")) return p2p_command_migrate(p, spec, log, stdout);
    if (is(call, 1, "status")) return p2p_command_status(p, spec, log, stdout);
    if (!strcmp(call->words[0], "reseal")) return p2p_command_reseal(p, spec, log, call->count == 2, stdout);
    if (is(call, 2, "hook")) return p2p_command_hook_rotate(p, spec, log, stdout);
    if (is(call, 3, "definitions")) return p2p_command_import(p, spec, log, call->words[2], stdout);
    if (is(call, 3, "mail")) return p2p_command_mail_test(p, spec, call->words[2], stdout);
    apr_pool_create(&own, p);
    return work(own, call, spec, log);
}

static int is_known(const call_t *call)
{
    static const char *const plain[] = {"migrate", "keygen", "reseal", "status", "once", "run", "version", "help"};

    for (apr_size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        if (is(call, 1, plain[i])) return 1;
    if (is(call, 2, "reseal")) return !strcmp(call->words[1], "check");
    if (is(call, 3, "mail")) return !strcmp(call->words[1], "test");
    if (is(call, 2, "hook")) return !strcmp(call->words[1], "rotate");
    return is(call, 3, "definitions") && !strcmp(call->words[1], "import");
}

static int carry_out(apr_pool_t *p, const call_t *call)
{
    p2p_spec_t *spec = NULL;
    p2p_error_t *error;
    p2p_log_t log;

    if (is(call, 1, "keygen")) return p2p_command_keygen(p, stdout);
    error = get_spec(p, call, &spec);
    if (!error) error = check_spec(p, spec);
    if (error) {
        p2p_command_complain(error);
        return EX_CONFIG;
    }
    log = p2p_log_stderr(p2p_log_level_parse(spec->log_level ? spec->log_level : "notice"));
    return command(p, call, spec, &log);
}

/* By itself glibc would take blocks as large as the largest it has seen from the heap, and keep twice as much of it. */
static void keep_heap_small(void)
{
#ifdef __GLIBC__
    mallopt(M_MMAP_THRESHOLD, LARGE_BLOCK);
    mallopt(M_TRIM_THRESHOLD, HEAP_KEEP);
#endif
}

static int say(const char *text)
{
    return fputs(text, stdout) < 0 || fflush(stdout) ? EX_IOERR : EX_OK;
}

int main(int argc, const char *const *argv)
{
    call_t call = {.count = 0};
    apr_pool_t *p;
    int code;

    if (!read_arguments(argc, argv, &call) || !is_known(&call)) {
        fputs(usage, stderr);
        return EX_USAGE;
    }
    if (is(&call, 1, "help")) return say(usage);
    if (is(&call, 1, "version")) return say("p2p-runner " P2P_VERSION "\n");
    dump_no_core();
    keep_heap_small();
    p2p_signals_reset();
    if (apr_initialize() != APR_SUCCESS) return EX_SOFTWARE;
    apr_pool_create(&p, NULL);
    apr_allocator_max_free_set(apr_pool_allocator_get(p), POOLS_KEEP);
    apr_dbd_init(p);
    code = carry_out(p, &call);
    apr_pool_destroy(p);
    apr_terminate();
    return code;
}
