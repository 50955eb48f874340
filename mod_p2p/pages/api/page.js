/* SPDX-License-Identifier: Apache-2.0 */
/* Starts Swagger UI: nothing from elsewhere, nothing from the query, nothing kept. */
'use strict';

/* Where people sign in, or null: the server tells. */
async function signIn() {
    try {
        const answer = await fetch('console/sign-in.json');
        return answer.ok ? (await answer.json()).signIn : null;
    } catch {
        return null;
    }
}

async function start() {
    const provider = await signIn();
    const ui = SwaggerUIBundle({
        url: 'openapi.json',
        dom_id: '#api',
        presets: [SwaggerUIBundle.presets.apis],
        deepLinking: true,
        displayRequestDuration: true,
        validatorUrl: null,
        queryConfigEnabled: false,
        persistAuthorization: false,
        oauth2RedirectUrl: new URL('swagger/oauth2-redirect.html', document.baseURI).href
    });

    if (provider) ui.initOAuth({ clientId: provider.clientId, scopes: provider.scopes.split(' '), usePkceWithAuthorizationCodeGrant: true });
}

start();
