/* SPDX-License-Identifier: Apache-2.0 */
/* The insides of exchange/sequence, shared by sequence*.c: what is kept of a resource that lies here, and of what is awaited. */
#ifndef P2P_EXCHANGE_SEQUENCING_H
#define P2P_EXCHANGE_SEQUENCING_H

#include "exchange/sequence.h"

/* What those wait for that refer to something under an unknown base: that this becomes known. No resource has this key. */
#define P2P_EXTERNAL_KEY 1

/* ---- Tables by key (sequence_table.c) ---- */

/* What an entry begins with. */
typedef struct p2p_keyed_t {
    apr_uint64_t key;
    struct p2p_keyed_t *chain;
} p2p_keyed_t;

typedef struct p2p_keyed_table_t {
    p2p_keyed_t **buckets;
    apr_size_t bucket_count, count; /* bucket_count is a power of two, or 0 */
} p2p_keyed_table_t;

void *p2p_keyed_find(const p2p_keyed_table_t *table, apr_uint64_t key);
void p2p_keyed_add(p2p_keyed_table_t *table, void *entry);   /* of a key that is not there */
void p2p_keyed_remove(p2p_keyed_table_t *table, apr_uint64_t key);

/* ---- Resources that lie here ---- */

/* What is known of a link without the resource's bytes. LOST: what it leads to never comes; its bytes learn that when they are fetched. */
typedef enum { P2P_STAY_KEY, P2P_STAY_URN, P2P_STAY_EXTERNAL, P2P_STAY_SETTLED, P2P_STAY_LOST } p2p_stay_link_t;

typedef struct p2p_stay_list_t {
    struct p2p_stay_t *head, *tail;
} p2p_stay_list_t;

/* A resource that lies here: this is in memory for as long as it does, its bytes may be in the spool. */
typedef struct p2p_stay_t {
    apr_uint64_t key;
    p2p_keyed_t *chain;
    p2p_stay_list_t *list;              /* the list it is in, and its neighbours there */
    struct p2p_stay_t *prev, *next;
    struct p2p_stay_t *older, *newer;   /* all that lie here, by when they came */
    union {
        p2p_resource_t *resource;
        apr_int64_t at;                 /* in the spool */
    } is;
    unsigned size;                      /* of the resource, wherever it is */
    unsigned link_count;
    unsigned mark;                      /* where the search has its marks of it, if any */
    unsigned char spooled;
    unsigned char kinds[];              /* p2p_stay_link_t of each link; the keys of those that are awaited come behind */
} p2p_stay_t;

/* What is awaited, by its key (a urn is one, too), and those that wait for it. */
typedef struct p2p_await_t {
    apr_uint64_t key;
    p2p_keyed_t *chain;
    p2p_stay_list_t waiting;
    p2p_named_t *named; /* of a urn: what it names */
    unsigned char is_urn;
    unsigned char asked; /* p2p_sequence_wanted has told it */
} p2p_await_t;

/* Marks of the search for circles (Tarjan); the place of a mark is its index. */
typedef struct p2p_mark_t {
    p2p_stay_t *stay;
    unsigned low, link_at;
    unsigned up, below; /* the path to it; what lies below it on the stack */
    unsigned on_stack;
    unsigned referred;  /* how often others of its circle refer to it */
} p2p_mark_t;

#define P2P_NO_MARK ((unsigned)-1)

struct p2p_sequence_t {
    p2p_sequence_settings_t set;
    p2p_keyed_table_t stays, awaits;
    p2p_stay_list_t arrivals;  /* not looked at yet */
    p2p_stay_list_t released;  /* what they waited for has moved: to be looked at again, before the arrivals */
    p2p_stay_t *oldest, *newest;
    p2p_stay_t *in_memory;     /* those older than this one have been spooled as far as they can be, or will be when they are laid aside */
    apr_size_t bytes;          /* in memory of all that lie here */
    apr_size_t backlog;        /* and of those in arrivals and released */
    int closed, broken;
    int bases_final;           /* p2p_sequence_wanted was called: the answers to come teach no bases, and name no urns */
    apr_pool_t *scratch;
    p2p_mark_t *marks;
    unsigned mark_count, mark_room, stack;
};

/* ---- sequence_stay.c ---- */

p2p_stay_t *p2p_stay_make(p2p_sequence_t *sequence, p2p_resource_t *resource);
apr_uint64_t *p2p_stay_keys(p2p_stay_t *stay);

/* What its links are, after something was done with them. */
void p2p_stay_look(p2p_stay_t *stay);

void p2p_stay_enlist(p2p_sequence_t *sequence, p2p_stay_t *stay, p2p_stay_list_t *list);
void p2p_stay_unlist(p2p_sequence_t *sequence, p2p_stay_t *stay);

/* Its resource, brought into memory: before bytes are looked at or changed. NULL: it cannot be, and the job has failed. */
p2p_resource_t *p2p_stay_fetch(p2p_sequence_t *sequence, p2p_stay_t *stay);

/* It goes to the spool where memory does not suffice. Returns whether it did. */
int p2p_stay_spool(p2p_sequence_t *sequence, p2p_stay_t *stay);

/* It lies here no longer: its resource is the caller's, and has to be in memory. */
p2p_resource_t *p2p_stay_leave(p2p_sequence_t *sequence, p2p_stay_t *stay);

p2p_await_t *p2p_await_need(p2p_sequence_t *sequence, apr_uint64_t key);

/* Forgets one that nothing needs any more. */
void p2p_await_tidy(p2p_sequence_t *sequence, p2p_await_t *await);

/* All that wait for it are to be looked at again. */
void p2p_await_release(p2p_sequence_t *sequence, p2p_await_t *await);

/* What a resource waits for, or NULL. */
p2p_await_t *p2p_await_of(const p2p_sequence_t *sequence, const p2p_stay_t *stay);

/* ---- sequence_search.c ---- */

/* Puts stay and all it depends on into the open Bundle, or lays it aside. */
void p2p_sequence_settle(p2p_sequence_t *sequence, p2p_stay_t *stay);

/* Moves one into the open Bundle: those that waited for it to be there are to be looked at again. */
void p2p_sequence_bundle(p2p_sequence_t *sequence, p2p_stay_t *stay);

/* It turned out to be another patient's. */
void p2p_sequence_skip(p2p_sequence_t *sequence, p2p_stay_t *stay);

/* Is what key stands for at the target, or will it be with the open Bundle (or before), as far as one that refers to it needs? */
int p2p_sequence_is_clear(const p2p_sequence_t *sequence, apr_uint64_t key);

/* ---- sequence_open.c ---- */

/* Writes the oldest of those that wait open where more waits than may. Returns whether it did something. */
int p2p_sequence_relieve(p2p_sequence_t *sequence);

/* Puts a copy of the member of a circle that most of it refer to into the open Bundle, open; the member itself follows when the others
 * are there. root is the lowest mark of the circle, the stack's top the highest. Returns 0 where it cannot be brought back. */
int p2p_sequence_open_circle(p2p_sequence_t *sequence, unsigned root);

#endif
