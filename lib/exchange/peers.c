/* SPDX-License-Identifier: Apache-2.0 */
/* A counter for each peer: as many as there are definitions that this runner has worked for. */
#include "exchange/peers.h"

#include <apr_hash.h>

#include "net/http_tally.h"
#include "store/stat_store.h"

typedef struct peer_t {
    apr_int64_t server_id; /* 0: the target */
    apr_int64_t troubles;
    p2p_http_t *http;
} peer_t;

struct p2p_peers_t {
    apr_pool_t *pool;
    p2p_http_t *loop;
    apr_hash_t *known; /* of peer_t, by server_id */
};

p2p_peers_t *p2p_peers_make(apr_pool_t *p, p2p_http_t *loop)
{
    p2p_peers_t *peers = apr_pcalloc(p, sizeof *peers);

    peers->pool = p;
    peers->loop = loop;
    peers->known = apr_hash_make(p);
    return peers;
}

static p2p_http_t *http_of(p2p_peers_t *peers, apr_int64_t server_id)
{
    peer_t *peer = apr_hash_get(peers->known, &server_id, sizeof server_id);

    if (peer) return peer->http;
    peer = apr_pcalloc(peers->pool, sizeof *peer);
    peer->server_id = server_id;
    peer->http = p2p_http_tally_make(peers->pool, peers->loop, &peer->troubles);
    apr_hash_set(peers->known, &peer->server_id, sizeof peer->server_id, peer);
    return peer->http;
}

p2p_http_t *p2p_peers_payer(const p2p_exchange_context_t *context, apr_int64_t server_id)
{
    return context->peers ? http_of(context->peers, server_id) : context->http;
}

p2p_http_t *p2p_peers_target(p2p_peers_t *peers)
{
    return http_of(peers, 0);
}

static p2p_error_t *note(const p2p_exchange_context_t *context, apr_pool_t *p, peer_t *peer)
{
    p2p_stat_t add = {.errors = peer->troubles};

    if (!peer->troubles) return NULL;
    P2P_TRY(p2p_stat_add(context->db, p, context->spec->target, context->owner,
                         peer->server_id ? p2p_stat_payer(p, peer->server_id) : P2P_STAT_TARGET, &add));
    peer->troubles = 0;
    return NULL;
}

p2p_error_t *p2p_peers_note(const p2p_exchange_context_t *context, apr_pool_t *p)
{
    if (!context->peers) return NULL;
    for (apr_hash_index_t *i = apr_hash_first(p, context->peers->known); i; i = apr_hash_next(i))
        P2P_TRY(note(context, p, apr_hash_this_val(i)));
    return NULL;
}
