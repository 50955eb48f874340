/* SPDX-License-Identifier: Apache-2.0 */
/* Reading other modules' directives: mod_dbd has no call that tells its parameters. */
#include "conftree.h"

#include <httpd.h>
#include <http_config.h>
#include <apr_strings.h>

static int is(const ap_directive_t *directive, const char *name)
{
    return !ap_cstr_casecmp(directive->directive, name);
}

static int is_section_of_its_own(const ap_directive_t *directive)
{
    return is(directive, "<VirtualHost") || is(directive, "<Location") || is(directive, "<LocationMatch") ||
           is(directive, "<Directory") || is(directive, "<DirectoryMatch");
}

const ap_directive_t *p2p_conftree_find(const ap_directive_t *node, const char *name)
{
    const ap_directive_t *found = NULL, *inner;

    for (; node; node = node->next) {
        if (is(node, name)) found = node;
        if (!node->first_child || is_section_of_its_own(node)) continue;
        inner = p2p_conftree_find(node->first_child, name);
        if (inner) found = inner;
    }
    return found;
}

const char *p2p_conftree_arg(apr_pool_t *p, const ap_directive_t *directive)
{
    const char *args = directive->args;

    return ap_getword_conf(p, &args);
}

/* Does SetHandler p2p stand at or below the level of siblings that node begins? */
static int has_handler(apr_pool_t *p, const ap_directive_t *node)
{
    for (; node; node = node->next) {
        if (is(node, "SetHandler") && !strcmp(p2p_conftree_arg(p, node), "p2p")) return 1;
        if (node->first_child && has_handler(p, node->first_child)) return 1;
    }
    return 0;
}

/* The directive of that name in a virtual host whose argument is not value. */
static const ap_directive_t *other(apr_pool_t *p, const ap_directive_t *vhost, const char *name,
                                   const char *value)
{
    const ap_directive_t *directive = p2p_conftree_find(vhost->first_child, name);

    return directive && strcmp(p2p_conftree_arg(p, directive), value) ? directive : NULL;
}

const ap_directive_t *p2p_conftree_other_database(apr_pool_t *p, const char *driver, const char *params)
{
    const ap_directive_t *found;

    for (const ap_directive_t *node = ap_conftree; node; node = node->next) {
        if (!is(node, "<VirtualHost") || !has_handler(p, node->first_child)) continue;
        found = other(p, node, "DBDriver", driver);
        if (!found) found = other(p, node, "DBDParams", params);
        if (found) return found;
    }
    return NULL;
}
