/* SPDX-License-Identifier: Apache-2.0 */
/* Runners as children of httpd's parent. The numbers are those of the life cycle in the architecture. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "supervise.h"

#include <http_config.h>
#include <http_core.h>
#include <http_log.h>
#include <http_main.h>
#include <ap_listen.h>
#include <ap_mpm.h>
#include <mpm_common.h>
#include <unixd.h>
#include <apr_portable.h>
#include <apr_strings.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/seal.h"
#include "mod_p2p.h"
#include "respawn.h"

APLOG_USE_MODULE(p2p);

#define EXIT_CONFIG 78 /* sysexits: the runner refuses its configuration, starting it again does not help */
#define SPEC_FD 3
#define WAKE_FD 4
#define INSTANCE_KEY "p2p_instance"

typedef enum { SLOT_DEAD, SLOT_ALIVE, SLOT_GIVEN_UP } slot_state_t;

typedef struct slot_t {
    p2p_supervisor_t *supervisor;
    int number;
    slot_state_t state;
    pid_t pid;
    int wake_read, wake_write; /* kept across respawns, so that httpd's children need not learn of them */
    apr_pool_t *pool;          /* of this life of the runner */
    apr_time_t started, next_start;
    p2p_respawn_t respawn;
} slot_t;

struct p2p_supervisor_t {
    apr_pool_t *pconf;
    server_rec *s;
    p2p_config_t *config;
    int count;
    slot_t *slots;
};

/* One UUID for the life of the parent: it outlives restarts, and the module's unloading, in the process
 * pool. */
static const char *instance_of(process_rec *process)
{
    void *found = NULL;
    const char *uuid;

    apr_pool_userdata_get(&found, INSTANCE_KEY, process->pool);
    if (found) return found;
    if (p2p_uuid4(process->pool, &uuid)) return NULL;
    apr_pool_userdata_set(uuid, INSTANCE_KEY, apr_pool_cleanup_null, process->pool);
    return uuid;
}

/* The specification of a slot in a file without a name, from its beginning; -1 on failure. Keys are in it: it
 * never has a path. */
static int make_spec_file(slot_t *slot)
{
    p2p_spec_t spec = slot->supervisor->config->spec;
    const char *text;
    size_t len, done = 0;
    ssize_t n = 0;
    int fd = memfd_create("p2p-spec", MFD_CLOEXEC);

    if (fd < 0) return -1;
    spec.slot = slot->number;
    text = p2p_spec_print(slot->pool, &spec);
    for (len = strlen(text); done < len; done += (size_t)n) {
        n = write(fd, text + done, len - done);
        if (n < 0) break;
    }
    if (n >= 0 && lseek(fd, 0, SEEK_SET) == 0) return fd;
    close(fd);
    return -1;
}

/* In the child: only what cannot be done after exec. Everything but 0 to 4 is closed by exec, so that a
 * failure can be logged. */
static void become_runner(const slot_t *slot, int spec_fd)
{
    const p2p_supervisor_t *supervisor = slot->supervisor;
    const char *const argv[] = { "p2p-runner", "run", NULL };
    sigset_t none;
    int spec = fcntl(spec_fd, F_DUPFD, 16), wake = fcntl(slot->wake_read, F_DUPFD, 16);

    ap_close_listeners();
    if (ap_run_drop_privileges(slot->pool, supervisor->s)) _exit(EXIT_CONFIG);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (dup2(spec, SPEC_FD) < 0 || dup2(wake, WAKE_FD) < 0) _exit(EXIT_CONFIG);
    close_range(WAKE_FD + 1, ~0U, CLOSE_RANGE_CLOEXEC);
    execv(supervisor->config->runner, (char *const *)argv);
    ap_log_error(APLOG_MARK, APLOG_CRIT, errno, supervisor->s, "P2PRunner: %s cannot be started",
                 supervisor->config->runner);
    _exit(EXIT_CONFIG);
}

/* The exit code or the signal. The MPM tells it so; APR, while httpd ends, as waitpid does. */
static int decode(int status)
{
    return status > 0xff ? status >> 8 & 0xff : status;
}

/* Life cycle 6. */
static void note_death(slot_t *slot, int status)
{
    apr_interval_time_t uptime = apr_time_now() - slot->started, delay;
    server_rec *s = slot->supervisor->s;

    slot->state = status == EXIT_CONFIG ? SLOT_GIVEN_UP : SLOT_DEAD;
    slot->pid = -1;
    delay = p2p_respawn_delay(&slot->respawn, uptime, (unsigned)ap_random_pick(0, APR_UINT32_MAX));
    slot->next_start = apr_time_now() + delay;
    if (slot->state == SLOT_GIVEN_UP) {
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, s, "p2p-runner %d does not accept its configuration or "
                     "database (see its lines above): it stays down until httpd is restarted", slot->number);
    } else if (!status) {
        ap_log_error(APLOG_MARK, APLOG_INFO, 0, s, "p2p-runner %d ended, as it was asked to", slot->number);
    } else {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s, "p2p-runner %d ended (status or signal %d); it starts "
                     "again in %d s or a little later", slot->number, status, (int)apr_time_sec(delay));
    }
}

/* httpd tells what became of a runner. */
static void watch(int reason, void *data, int status)
{
    slot_t *slot = data;
    apr_pool_t *pool = slot->pool;

    if (slot->state != SLOT_ALIVE) return; /* destroying the pool unregisters, which calls again */
    if (reason == APR_OC_REASON_RESTART) kill(slot->pid, SIGTERM);
    if (reason != APR_OC_REASON_DEATH && reason != APR_OC_REASON_LOST) return;
    note_death(slot, reason == APR_OC_REASON_LOST ? 0 : decode(status));
    slot->pool = NULL;
    apr_pool_destroy(pool);
}

/* Life cycle 2. A spawn that fails counts as a death. */
static void spawn(slot_t *slot)
{
    p2p_supervisor_t *supervisor = slot->supervisor;
    apr_proc_t *proc;
    int spec_fd;

    apr_pool_create(&slot->pool, supervisor->pconf);
    proc = apr_pcalloc(slot->pool, sizeof *proc);
    slot->started = apr_time_now();
    spec_fd = make_spec_file(slot);
    proc->pid = spec_fd < 0 ? -1 : fork();
    if (proc->pid == 0) become_runner(slot, spec_fd);
    if (spec_fd >= 0) close(spec_fd);
    if (proc->pid < 0) {
        ap_log_error(APLOG_MARK, APLOG_ERR, errno, supervisor->s, "p2p-runner %d cannot be started",
                     slot->number);
        slot->next_start = slot->started + p2p_respawn_delay(&slot->respawn, 0, 0);
        apr_pool_destroy(slot->pool);
        return;
    }
    slot->pid = proc->pid;
    slot->state = SLOT_ALIVE;
    apr_pool_note_subprocess(slot->pool, proc, APR_KILL_AFTER_TIMEOUT);
    apr_proc_other_child_register(proc, watch, slot, NULL, slot->pool);
    ap_log_error(APLOG_MARK, APLOG_INFO, 0, supervisor->s, "p2p-runner %d started (pid %ld)", slot->number,
                 (long)slot->pid);
}

static apr_status_t close_pipe(void *data)
{
    slot_t *slot = data;

    if (slot->wake_read >= 0) close(slot->wake_read);
    close(slot->wake_write);
    return APR_SUCCESS;
}

static apr_status_t open_slot(p2p_supervisor_t *supervisor, int number)
{
    slot_t *slot = &supervisor->slots[number];
    int fds[2];

    if (pipe2(fds, O_CLOEXEC | O_NONBLOCK)) return errno;
    slot->supervisor = supervisor;
    slot->number = number;
    slot->wake_read = fds[0];
    slot->wake_write = fds[1];
    apr_pool_cleanup_register(supervisor->pconf, slot, close_pipe, close_pipe);
    return APR_SUCCESS;
}

/* Life cycle 7: all runners are told at once; then each has three seconds of its own until its pool kills
 * it. */
static apr_status_t stop_all(void *data)
{
    p2p_supervisor_t *supervisor = data;

    for (int i = 0; i < supervisor->count; i++) {
        if (supervisor->slots[i].state == SLOT_ALIVE) kill(supervisor->slots[i].pid, SIGTERM);
    }
    return APR_SUCCESS;
}

static int is_for_real(const p2p_config_t *config)
{
    if (!config->spec.target || ap_exists_config_define("ONE_PROCESS")) return 0;
    return ap_state_query(AP_SQ_MAIN_STATE) != AP_SQ_MS_CREATE_PRE_CONFIG;
}

static p2p_supervisor_t *make_supervisor(apr_pool_t *pconf, server_rec *s)
{
    p2p_supervisor_t *supervisor = apr_pcalloc(pconf, sizeof *supervisor);

    supervisor->pconf = pconf;
    supervisor->s = s;
    supervisor->config = p2p_config(s);
    supervisor->slots = apr_pcalloc(pconf, sizeof(slot_t) * (apr_size_t)supervisor->config->spec.runners);
    return supervisor;
}

int p2p_supervise_start(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s)
{
    p2p_config_t *config = p2p_config(s);
    p2p_supervisor_t *supervisor;

    (void)plog, (void)ptemp;
    if (!is_for_real(config)) return OK;
    config->spec.instance = instance_of(s->process);
    if (!config->spec.instance) return HTTP_INTERNAL_SERVER_ERROR;
    config->supervisor = supervisor = make_supervisor(pconf, s);
    for (; supervisor->count < config->spec.runners; supervisor->count++) {
        apr_status_t rv = open_slot(supervisor, supervisor->count);

        if (rv) {
            ap_log_error(APLOG_MARK, APLOG_CRIT, rv, s, "no pipe for p2p-runner %d", supervisor->count);
            return HTTP_INTERNAL_SERVER_ERROR;
        }
    }
    apr_pool_pre_cleanup_register(pconf, supervisor, stop_all);
    for (int i = 0; i < supervisor->count; i++) spawn(&supervisor->slots[i]);
    return OK;
}

int p2p_supervise_monitor(apr_pool_t *p, server_rec *s)
{
    p2p_supervisor_t *supervisor = p2p_config(s)->supervisor;

    (void)p;
    for (int i = 0; supervisor && i < supervisor->count; i++) {
        slot_t *slot = &supervisor->slots[i];

        if (slot->state == SLOT_DEAD && slot->next_start <= apr_time_now()) spawn(slot);
    }
    return DECLINED;
}

void p2p_supervise_child(apr_pool_t *p, server_rec *s)
{
    p2p_supervisor_t *supervisor = p2p_config(s)->supervisor;

    (void)p;
    for (int i = 0; supervisor && i < supervisor->count; i++) {
        close(supervisor->slots[i].wake_read);
        supervisor->slots[i].wake_read = -1;
    }
}

void p2p_wake(const server_rec *s)
{
    const p2p_supervisor_t *supervisor = p2p_config(s)->supervisor;

    for (int i = 0; supervisor && i < supervisor->count; i++) {
        ssize_t written = write(supervisor->slots[i].wake_write, "w", 1);

        (void)written; /* full: it is awake already; nobody there: the queue is the truth */
    }
}
