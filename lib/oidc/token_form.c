/* SPDX-License-Identifier: Apache-2.0 */
/* Forms for token endpoints. */
#include "oidc/token_form.h"
#include <apr_strings.h>
#include "base/uri.h"

void p2p_token_form_add(apr_pool_t *p, p2p_token_form_t *form, const char *name, const char *value)
{
    form->body = apr_pstrcat(p, form->body ? form->body : "", form->body ? "&" : "", p2p_uri_encode(p, name), "=",
                             p2p_uri_encode(p, value), NULL);
}

void p2p_token_form_client(apr_pool_t *p, p2p_token_form_t *form, const char *client_id, const char *client_secret,
                           p2p_client_method_t method)
{
    if (*client_secret && method == P2P_CLIENT_SECRET_BASIC) {
        form->basic = apr_pstrcat(p, p2p_uri_encode(p, client_id), ":", p2p_uri_encode(p, client_secret), NULL);
        return;
    }
    if (*client_id) p2p_token_form_add(p, form, "client_id", client_id);
    if (*client_secret) p2p_token_form_add(p, form, "client_secret", client_secret);
}

p2p_token_form_t p2p_token_form_refresh(apr_pool_t *p, const p2p_oidc_server_t *server, p2p_client_method_t method,
                                        const char *refresh_token)
{
    p2p_token_form_t form = {NULL, NULL};
    const char *rest = server->custom_token_params, *name, *value;

    p2p_token_form_add(p, &form, "grant_type", "refresh_token");
    p2p_token_form_add(p, &form, "refresh_token", refresh_token);
    p2p_token_form_client(p, &form, server->client_id, server->client_secret, method);
    while ((name = p2p_token_param_next(p, &rest, &value)))
        if (value) p2p_token_form_add(p, &form, name, value);
    return form;
}
