/* SPDX-License-Identifier: Apache-2.0 */
/* Own, listed, elsewhere. */
#include "exchange/place.h"

#include <string.h>
#include <strings.h>

#include <apr_strings.h>

static int is_listed(const p2p_places_t *places, apr_pool_t *p, const p2p_uri_t *uri)
{
    char *state, *word, *copy = apr_pstrdup(p, places->origins ? places->origins : "");
    p2p_uri_t listed;

    for (word = apr_strtok(copy, " ", &state); word; word = apr_strtok(NULL, " ", &state)) {
        if (!p2p_uri_parse(p, word, &listed) && p2p_uri_same_origin(&listed, uri)) return 1;
    }
    return 0;
}

static const char *trimmed(apr_pool_t *p, const char *path)
{
    apr_size_t len = strlen(path);

    while (len && path[len - 1] == '/') len--;
    return apr_pstrmemdup(p, path, len);
}

/* Under one of the names that the source has for itself: the same under its endpoint. Returns whether it is. */
static int bring_home(const p2p_places_t *places, apr_pool_t *p, const p2p_uri_t *endpoint, p2p_uri_t *uri)
{
    int i;

    for (i = 0; i < places->bases->count; i++) {
        p2p_uri_t base;

        if (p2p_uri_parse(p, places->bases->base[i], &base) || !p2p_uri_is_under(&base, uri)) continue;
        uri->path = apr_pstrcat(p, trimmed(p, endpoint->path), uri->path + strlen(trimmed(p, base.path)), NULL);
        if (!*uri->path) uri->path = "/";
        uri->scheme = endpoint->scheme;
        uri->host = endpoint->host;
        uri->port = endpoint->port;
        return 1;
    }
    return 0;
}

static int says_json(const char *value, apr_size_t len)
{
    apr_size_t i;

    for (i = 0; i + 4 <= len; i++) {
        if (strncasecmp(value + i, "json", 4) == 0) return 1;
    }
    return 0;
}

/* The query with what _format asks for in it made JSON: it counts more than Accept. */
static const char *as_json(apr_pool_t *p, const char *query)
{
    const char *at = query, *end;

    for (; at; at = *end ? end + 1 : NULL) {
        end = at + strcspn(at, "&");
        if (strncmp(at, "_format=", 8) != 0 || says_json(at + 8, (apr_size_t)(end - at) - 8)) continue;
        return apr_pstrcat(p, apr_pstrmemdup(p, query, (apr_size_t)(at - query)), "_format=json", as_json(p, end), NULL);
    }
    return query;
}

p2p_error_t *p2p_place_of(const p2p_places_t *places, apr_pool_t *p, const char *from, const char *link, p2p_place_t *place)
{
    p2p_uri_t endpoint, uri;

    P2P_TRY(p2p_uri_parse(p, places->endpoint, &endpoint));
    P2P_TRY(p2p_uri_resolve(p, from, link, &uri));
    place->kind = p2p_uri_same_origin(&endpoint, &uri) ? P2P_PLACE_OWN
                  : is_listed(places, p, &uri) ? P2P_PLACE_LISTED
                  : bring_home(places, p, &endpoint, &uri) ? P2P_PLACE_OWN : P2P_PLACE_ELSEWHERE;
    if (place->kind == P2P_PLACE_OWN && uri.query) uri.query = as_json(p, uri.query);
    place->url = p2p_uri_text(p, &uri);
    place->origin = p2p_uri_origin(p, &uri);
    return NULL;
}

const char *p2p_place_refusal(const p2p_place_t *place, apr_pool_t *p, const char *what)
{
    int is_http = strncmp(place->origin, "http:", 5) == 0;

    return apr_psprintf(p, "%s leads to another origin, %s, and is not followed; if that is the source payer's as well, write P2POrigins %s%s",
                        what, place->origin, place->origin, is_http ? " and P2PAllowHttp On" : "");
}
