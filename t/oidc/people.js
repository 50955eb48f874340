// SPDX-License-Identifier: Apache-2.0
// A real OpenID provider on loopback with a page at which people sign in and consent, or do not; its clients are public ones, with PKCE, whose pages may ask
// for tokens from the origins of their redirect URIs. Access tokens are JWTs for the audience p2p that live for LIFETIME seconds.
// Usage: node people.js CERT KEY CLIENTS [LIFETIME], as provider.js. Commands: {"do":"events"} tells what was granted and refused;
// {"do":"answer","with":{NAME:VALUE}} puts members of its answers to clients' redirect URIs (null: takes them out) from now on; {"do":"lifetime","seconds":N};
// {"do":"tokens","with":{NAME:VALUE}} adds members to its token answers.
import fs from 'node:fs';
import https from 'node:https';
import readline from 'node:readline';
import Provider from 'oidc-provider';

const [cert, key, clients] = process.argv.slice(2).map((file, i) => (i < 3 ? fs.readFileSync(file) : file));
const tell = (message) => process.stdout.write(`${JSON.stringify(message)}\n`);
const events = { granted: [], refused: [] };
let lifetime = Number(process.argv[5] ?? 300);
let changes = {};
let added = {};

const escaped = (text) => String(text).replace(/[&<>"]/g, (letter) => `&#${letter.charCodeAt(0)};`);
const form = (uid, title, inside) => `<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>${title}</title><link rel="icon" href="data:,"></head>
<body><main><h1>${title}</h1><form method="post" action="/interaction/${uid}">${inside} <button name="deny" value="1">Cancel</button></form></main></body></html>`;

// Signing in, then consent to everything that is asked for.
async function interact(provider, request, response) {
  const { uid, prompt, session, params, grantId } = await provider.interactionDetails(request, response);
  if (request.method !== 'POST') {
    response.writeHead(200, { 'Content-Type': 'text/html' }).end(prompt.name === 'login'
      ? form(uid, 'Sign in', '<label>Name <input name="name" required></label> <button>Sign in</button>')
      : form(uid, 'Consent', `<p>${escaped(params.client_id)} asks for ${escaped(params.scope)}</p> <button>Allow</button>`));
    return;
  }
  let body = '';
  for await (const part of request) body += part;
  const said = new URLSearchParams(body);
  const result = {};
  if (said.has('deny')) {
    Object.assign(result, { error: 'access_denied', error_description: 'The person said no' });
  } else if (prompt.name === 'login') {
    result.login = { accountId: said.get('name') };
  } else {
    const grant = (grantId && await provider.Grant.find(grantId)) || new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
    if (prompt.details.missingOIDCScope) grant.addOIDCScope(prompt.details.missingOIDCScope.join(' '));
    for (const [name, scopes] of Object.entries(prompt.details.missingResourceScopes ?? {})) grant.addResourceScope(name, scopes.join(' '));
    result.consent = { grantId: await grant.save() };
  }
  await provider.interactionFinished(request, response, result, { mergeWithLastSubmission: true });
}

// What a provider that errs, or somebody between, would send people back with.
function changed(response) {
  const writeHead = response.writeHead.bind(response);
  response.writeHead = (status, ...more) => {
    const location = response.getHeader('location');
    if (location && /[?&](?:code|error)=/.test(location)) {
      const url = new URL(location);
      for (const [name, value] of Object.entries(changes)) {
        if (value === null) url.searchParams.delete(name);
        else url.searchParams.set(name, value);
      }
      response.setHeader('location', url.href);
    }
    return writeHead(status, ...more);
  };
}

function begin(origin) {
  const list = JSON.parse(clients).map((client) => ({ token_endpoint_auth_method: 'none', ...client }));
  const provider = new Provider(origin, {
    clients: list,
    clientBasedCORS: (ctx, from, client) => client.redirectUris.some((uri) => new URL(uri).origin === from),
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => 'urn:p2p',
        useGrantedResource: () => true,
        getResourceServerInfo: () => ({
          scope: 'p2p.portal p2p.admin', audience: 'p2p', accessTokenTTL: lifetime, accessTokenFormat: 'jwt', jwt: { sign: { alg: 'RS256' } },
        }),
      },
    },
    findAccount: (ctx, sub) => ({ accountId: sub, claims: async () => ({ sub }) }),
    interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
    pkce: { required: () => true },
  });
  provider.use(async (ctx, next) => {
    await next();
    if (ctx.path === '/token' && ctx.status === 200) Object.assign(ctx.body, added);
  });
  provider.on('grant.success', (ctx) => events.granted.push(ctx.oidc.params.grant_type));
  for (const name of ['grant.error', 'authorization.error']) {
    provider.on(name, (ctx, error) => events.refused.push(`${error.error}: ${error.error_detail ?? error.error_description ?? error.message}`));
  }
  provider.on('server_error', (ctx, error) => process.stderr.write(`${error.stack}\n`));
  const callback = provider.callback();
  server.on('request', (request, response) => {
    changed(response);
    if (!request.url.startsWith('/interaction/')) callback(request, response);
    else interact(provider, request, response).catch((error) => response.writeHead(500).end(String(error)));
  });
  const commands = {
    events: () => { const seen = structuredClone(events); events.granted = []; events.refused = []; return seen; },
    answer: (command) => { changes = command.with; return {}; },
    tokens: (command) => { added = command.with; return {}; },
    lifetime: (command) => { lifetime = command.seconds; return {}; },
  };
  readline.createInterface({ input: process.stdin })
    .on('line', (line) => {
      const command = JSON.parse(line);
      tell(commands[command.do](command));
    })
    .on('close', () => process.exit(0));
  tell({ origin });
}

const server = https.createServer({ cert, key });
server.listen(0, '127.0.0.1', () => begin(`https://127.0.0.1:${server.address().port}`));
