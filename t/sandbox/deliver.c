/* SPDX-License-Identifier: Apache-2.0 */
/* Deliveries: a queue by time, two threads that make them as HAPI's two consumers do, and a record of what came of each. */
#include <curl/curl.h>
#include <pthread.h>
#include <time.h>
#include "told.h"

#define THREADS 2
#define LINES 20000
#define TIMEOUT_S 10L
#define SPREAD_MS 200 /* copies come within, so that they overtake one another */

typedef struct sandbox_told_t {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t threads[THREADS];
    sandbox_delivery_t *waiting; /* the next one due first */
    char **lines;                /* JSON objects of deliveries that were made */
    int line_count, queued, running, count, lost, started, stopping;
    unsigned int random;
} sandbox_told_t;

int sandbox_delivery_read(const char *words, sandbox_payer_t *payer)
{
    static const char *const forms[] = {"put", "post", "empty", "bundle"}, *const times[] = {"whole", "thrice", "half"};
    apr_size_t len;
    int found;

    for (; *words; words += len + (words[len] == ' ')) {
        len = strcspn(words, " ");
        found = 0;
        for (int i = 0; i < 4; i++)
            if (strlen(forms[i]) == len && memcmp(forms[i], words, len) == 0) payer->form = i, found = 1;
        for (int i = 0; i < 3; i++)
            if (strlen(times[i]) == len && memcmp(times[i], words, len) == 0) payer->times = i, found = 1;
        if (!found) return 0;
    }
    return 1;
}

void sandbox_deliveries_make(sandbox_payer_t *payer, apr_pool_t *pool)
{
    sandbox_told_t *told = payer->told = apr_pcalloc(pool, sizeof(*told));
    pthread_condattr_t attributes;

    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&told->lock, NULL);
    pthread_cond_init(&told->changed, &attributes);
    told->lines = apr_pcalloc(pool, sizeof(*told->lines) * LINES);
    told->random = 1;
}

static apr_time_t now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (apr_time_t)t.tv_sec * APR_USEC_PER_SEC + t.tv_nsec / 1000;
}

sandbox_delivery_t *sandbox_delivery_make(const char *subscription, const char *task)
{
    sandbox_delivery_t *delivery = calloc(1, sizeof(*delivery));

    if (!delivery) abort();
    delivery->subscription = strdup(subscription);
    delivery->task = task ? strdup(task) : NULL;
    return delivery;
}

void sandbox_delivery_header(sandbox_delivery_t *delivery, const char *line)
{
    delivery->headers = curl_slist_append(delivery->headers, line);
}

void sandbox_delivery_free(sandbox_delivery_t *delivery)
{
    curl_slist_free_all(delivery->headers);
    free(delivery->subscription);
    free(delivery->task);
    free(delivery->url);
    free(delivery->body);
    free(delivery);
}

static sandbox_delivery_t *copy_of(const sandbox_delivery_t *delivery)
{
    sandbox_delivery_t *copy = sandbox_delivery_make(delivery->subscription, delivery->task);

    copy->method = delivery->method;
    copy->url = strdup(delivery->url);
    copy->body = delivery->body ? strdup(delivery->body) : NULL;
    for (struct curl_slist *at = delivery->headers; at; at = at->next) sandbox_delivery_header(copy, at->data);
    return copy;
}

/* All below that take told: its lock is held, unless said otherwise. */

static void enqueue(sandbox_told_t *told, sandbox_delivery_t *delivery, apr_time_t due)
{
    sandbox_delivery_t **at = &told->waiting;

    delivery->due = due;
    while (*at && (*at)->due <= due) at = &(*at)->next;
    delivery->next = *at;
    *at = delivery;
    told->queued++;
    pthread_cond_broadcast(&told->changed);
}

static void note(sandbox_told_t *told, const sandbox_delivery_t *delivery, const char *how, int status)
{
    p2p_buf_t buf;

    if (told->line_count == LINES) return;
    p2p_buf_init(&buf, 1 << 16);
    p2p_buf_printf(&buf, "{\"outcome\":\"%s\",\"subscription\":\"%s\",\"task\":\"%s\",\"method\":\"%s\",\"tries\":%d,\"status\":%d,\"url\":", how,
                   delivery->subscription, delivery->task, delivery->method, delivery->tries, status);
    p2p_buf_json(&buf, delivery->url, strlen(delivery->url));
    p2p_buf_puts(&buf, "}");
    told->lines[told->line_count++] = p2p_buf_take(&buf);
}

static size_t take_answer(char *bytes, size_t size, size_t count, void *baton)
{
    p2p_buf_add(baton, bytes, size * count);
    return size * count;
}

static int on_progress(void *baton, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    (void)a, (void)b, (void)c, (void)d;
    return __atomic_load_n(&((sandbox_told_t *)baton)->stopping, __ATOMIC_RELAXED);
}

/* HAPI reads the answer to what has a payload: to a resource nothing or a resource, to a transaction a Bundle. */
static int is_understood(const p2p_buf_t *answer, int form)
{
    json_object *object;
    const char *type;
    int is;

    if (form == SANDBOX_TELL_POST) return 1;
    if (answer->overflow) return 0;
    if (!answer->len) return form != SANDBOX_TELL_BUNDLE;
    object = sandbox_read_json(answer->data, answer->len);
    type = sandbox_member(object, "resourceType");
    is = form == SANDBOX_TELL_BUNDLE ? strcmp(type, "Bundle") == 0 : *type != '\0';
    json_object_put(object);
    return is;
}

static void prepare(CURL *curl, sandbox_payer_t *payer, const sandbox_delivery_t *delivery, p2p_buf_t *answer)
{
    curl_easy_reset(curl);
    curl_easy_setopt(curl, CURLOPT_URL, delivery->url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, TIMEOUT_S);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, delivery->headers);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_answer);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, payer->told);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    if (payer->delivery_ca) curl_easy_setopt(curl, CURLOPT_CAINFO, payer->delivery_ca);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, delivery->body ? delivery->body : "");
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)(delivery->body ? strlen(delivery->body) : 0));
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, delivery->method);
}

/* Without the lock. The status of the answer, 0 without one, negative where HAPI could not read it. */
static long send_one(CURL *curl, sandbox_payer_t *payer, const sandbox_delivery_t *delivery)
{
    p2p_buf_t answer;
    CURLcode code;
    long status = 0;

    p2p_buf_init(&answer, 1 << 20);
    prepare(curl, payer, delivery, &answer);
    code = curl_easy_perform(curl);
    if (code == CURLE_OK) curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    if (status / 100 == 2 && delivery->body && !is_understood(&answer, payer->form)) status = -status;
    p2p_buf_free(&answer);
    return status;
}

/* Without the lock. What has no payload is not repeated, as HAPI does. */
static void make(CURL *curl, sandbox_payer_t *payer, sandbox_delivery_t *delivery)
{
    sandbox_told_t *told = payer->told;
    long status;
    int again, failed;

    if (!delivery->task) {
        sandbox_subscription_set(payer, delivery->subscription, "requested", "active");
        sandbox_delivery_free(delivery);
        return;
    }
    status = send_one(curl, payer, delivery);
    delivery->tries++;
    failed = status / 100 != 2;
    again = failed && delivery->body && delivery->tries < payer->delivery_tries;
    pthread_mutex_lock(&told->lock);
    if (again) enqueue(told, delivery, now() + (apr_time_t)payer->delivery_retry_ms * 1000);
    else note(told, delivery, failed ? "failed" : "taken", (int)status);
    pthread_mutex_unlock(&told->lock);
    if (again) return;
    if (failed && payer->off_when_failed) sandbox_subscription_set(payer, delivery->subscription, "active", "off");
    sandbox_delivery_free(delivery);
}

static sandbox_delivery_t *next_due(sandbox_told_t *told)
{
    sandbox_delivery_t *first = told->waiting;
    struct timespec until;

    if (!first) {
        pthread_cond_wait(&told->changed, &told->lock);
        return NULL;
    }
    if (first->due > now()) {
        until = (struct timespec){.tv_sec = first->due / APR_USEC_PER_SEC, .tv_nsec = first->due % APR_USEC_PER_SEC * 1000};
        pthread_cond_timedwait(&told->changed, &told->lock, &until);
        return NULL;
    }
    told->waiting = first->next;
    told->queued--;
    return first;
}

static void *work(void *baton)
{
    sandbox_payer_t *payer = baton;
    sandbox_told_t *told = payer->told;
    sandbox_delivery_t *delivery;
    CURL *curl = curl_easy_init();

    pthread_mutex_lock(&told->lock);
    while (!told->stopping) {
        delivery = next_due(told);
        if (!delivery) continue;
        told->running++;
        pthread_mutex_unlock(&told->lock);
        make(curl, payer, delivery);
        pthread_mutex_lock(&told->lock);
        told->running--;
    }
    pthread_mutex_unlock(&told->lock);
    curl_easy_cleanup(curl);
    return NULL;
}

/* Threads do not survive the fork, so the first delivery starts them. */
static void start(sandbox_payer_t *payer)
{
    sandbox_told_t *told = payer->told;

    if (told->started) return;
    told->started = 1;
    for (int i = 0; i < THREADS; i++)
        if (pthread_create(&told->threads[i], NULL, work, payer) != 0) abort();
}

static void spread(sandbox_told_t *told, sandbox_delivery_t *delivery, apr_time_t due)
{
    for (int i = 0; i < 3; i++) {
        told->random = told->random * 1103515245u + 12345u;
        enqueue(told, i < 2 ? copy_of(delivery) : delivery, due + (told->random >> 16) % SPREAD_MS * 1000);
    }
}

void sandbox_deliver(sandbox_payer_t *payer, sandbox_delivery_t *delivery, int ms)
{
    sandbox_told_t *told = payer->told;
    apr_time_t due = now() + (apr_time_t)ms * 1000;

    pthread_mutex_lock(&told->lock);
    start(payer);
    if (delivery->task && payer->times == 2 && ++told->count % 2 == 0) {
        told->lost++;
        note(told, delivery, "lost", 0);
        sandbox_delivery_free(delivery);
    } else if (delivery->task && payer->times == 1) {
        spread(told, delivery, due);
    } else {
        enqueue(told, delivery, due);
    }
    pthread_mutex_unlock(&told->lock);
}

void sandbox_deliveries_drop(sandbox_payer_t *payer)
{
    sandbox_told_t *told = payer->told;
    sandbox_delivery_t *next;

    pthread_mutex_lock(&told->lock);
    for (sandbox_delivery_t *at = told->waiting; at; at = next) {
        next = at->next;
        sandbox_delivery_free(at);
    }
    told->waiting = NULL;
    told->queued = told->count = 0;
    pthread_mutex_unlock(&told->lock);
}

static apr_status_t stop(void *baton)
{
    sandbox_payer_t *payer = baton;
    sandbox_told_t *told = payer->told;
    int started;

    pthread_mutex_lock(&told->lock);
    __atomic_store_n(&told->stopping, 1, __ATOMIC_RELAXED);
    started = told->started;
    pthread_cond_broadcast(&told->changed);
    pthread_mutex_unlock(&told->lock);
    for (int i = 0; started && i < THREADS; i++) pthread_join(told->threads[i], NULL);
    sandbox_deliveries_drop(payer);
    return APR_SUCCESS;
}

void sandbox_deliveries_begin(sandbox_payer_t *payer, apr_pool_t *pchild)
{
    apr_pool_cleanup_register(pchild, payer, stop, apr_pool_cleanup_null);
}

static void forget_lines(sandbox_told_t *told)
{
    while (told->line_count) free(told->lines[--told->line_count]);
    told->lost = 0;
}

int sandbox_deliveries(sandbox_call_t *call)
{
    sandbox_told_t *told = call->payer->told;
    sandbox_out_t out;

    sandbox_out_init(&out, call, 4096);
    pthread_mutex_lock(&told->lock);
    if (call->r->method_number == M_DELETE) forget_lines(told);
    p2p_buf_printf(&out.buf, "{\"waiting\":%d,\"lost\":%d,\"log\":[", told->queued + told->running, told->lost);
    for (int i = 0; i < told->line_count; i++) p2p_buf_cat(&out.buf, i ? ",\n" : "\n", told->lines[i], NULL);
    pthread_mutex_unlock(&told->lock);
    p2p_buf_puts(&out.buf, "]}\n");
    return sandbox_out_send(&out, HTTP_OK, "application/json");
}
