/* SPDX-License-Identifier: Apache-2.0 */
/* One Bundle on its way to the target: its resources, and its text, which is made as it is sent and never lies in memory. */
#ifndef P2P_EXCHANGE_OUTGOING_H
#define P2P_EXCHANGE_OUTGOING_H

#include "exchange/map.h"
#include "exchange/retry.h"
#include "net/http.h"
#include "store/id_map_store.h"

/* How an entry is sent where the target assigns ids. */
typedef struct p2p_address_t {
    p2p_id_pair_t pair;     /* its derived id, and the id at the target where that is known */
    int by_id;              /* it was addressed by that id */
    const char *begin, *end; /* around the resource */
    apr_size_t begin_len, end_len;
    struct p2p_address_text_t {
        const char *text;   /* instead of the splice's; NULL: the splice's own */
        apr_size_t len;
    } *splices;
    struct p2p_address_aside_t {
        struct p2p_address_aside_t *next;
        p2p_link_t *link;
        p2p_splice_t splice;
    } *aside;               /* references to itself that this attempt leaves out; NULL: none */
} p2p_address_t;

typedef struct p2p_family_t p2p_family_t;
typedef struct p2p_outgoing_t p2p_outgoing_t;
struct p2p_outgoing_t {
    p2p_resource_t **resources; /* those that refer after those that are referred to, circles side by side */
    int count, room;
    apr_uint64_t bytes;         /* of the resources as they will be sent */
    apr_uint64_t held;          /* of their blocks */
    int attempts;
    int in_line;                /* it was handed to net and has no connection yet */
    p2p_outgoing_t *next;       /* in a queue */
    p2p_outgoing_t *then;       /* to be sent when this one is done */
    void *owner;                /* p2p_push_t */
    p2p_family_t *family;      /* exchange/limit's; NULL: it was never parted */
    p2p_http_transfer_t *transfer;
    p2p_http_timer_t *timer;
    apr_time_t due;             /* of timer, monotonic, */
    p2p_trouble_why_t why;      /* and what it waits for */
    apr_pool_t *pool;           /* of the attempt under way */
    p2p_http_body_t body;       /* of the attempt under way */
    const char *answer;         /* to it, in pool, where the database was away; NULL */
    apr_size_t answer_len;
    const p2p_mapper_t *mapper;
    p2p_address_t *addresses;   /* of the attempt under way, in pool, by exchange/address; NULL where we choose the ids */
    int batch;                  /* as the attempt under way was sent */
    /* how far the body was read */
    int at_resource;
    unsigned at_piece;
    apr_size_t at_byte;
    apr_uint64_t offset;
    char id[P2P_RESOURCE_ID_LEN + 1]; /* of the resource it stands at */
};

/* An empty one on the heap. Out of memory aborts. */
p2p_outgoing_t *p2p_outgoing_make(const p2p_mapper_t *mapper);

/* Frees it with the resources that are still in it. */
void p2p_outgoing_free(p2p_outgoing_t *outgoing);

void p2p_outgoing_add(p2p_outgoing_t *outgoing, p2p_resource_t *resource);

/* Makes outgoing->body ready to be sent: a Bundle of type transaction or batch, each resource with PUT to its id, or as outgoing->addresses
 * says. */
void p2p_outgoing_start(p2p_outgoing_t *outgoing, int batch);

/* Takes the second half away into a new Bundle, never parting a circle: NULL where there is no place to part it. */
p2p_outgoing_t *p2p_outgoing_split(p2p_outgoing_t *outgoing);

#endif
