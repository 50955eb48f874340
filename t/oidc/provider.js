// SPDX-License-Identifier: Apache-2.0
// A real OpenID provider on loopback, and before the sandbox's payers a door that opens to its living access tokens only.
// Usage: node provider.js CERT KEY CLIENTS, where CLIENTS is a JSON array of its clients. Commands come on standard input, a JSON object a line; each
// is answered by one on standard output. It ends with its standard input.
import crypto from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import readline from 'node:readline';
import Provider from 'oidc-provider';

const [cert, key, clients] = process.argv.slice(2).map((file) => fs.readFileSync(file));
const tell = (message) => process.stdout.write(`${JSON.stringify(message)}\n`);
const upstream = {};  // name of a payer: URL of its FHIR base, without TLS
const events = { revoked: 0, turnedAway: 0, tokens: [], refused: [] };
const LIFETIME = 2;   // seconds, of access tokens
let methods;          // what the SMART documents tell; undefined: nothing

// A client of private_key_jwt comes with its public key in PEM form.
function withKeys({ pem, kid, ...client }) {
  if (!pem) return client;
  return { ...client, jwks: { keys: [{ ...crypto.createPublicKey(pem).export({ format: 'jwk' }), kid, use: 'sig' }] } };
}

// The port is chosen before the provider is made, since its issuer names it.
const server = https.createServer({ cert, key });
server.listen(0, '127.0.0.1', () => begin(`https://127.0.0.1:${server.address().port}`));

function make(origin) {
  const provider = new Provider(origin, {
    clients: JSON.parse(clients).map(withKeys),
    clientAuthMethods: ['client_secret_basic', 'client_secret_post', 'private_key_jwt', 'none'],
    enabledJWA: { clientAuthSigningAlgValues: ['RS384', 'ES384'] },
    features: { clientCredentials: { enabled: true }, devInteractions: { enabled: false } },
    findAccount: (ctx, sub) => ({ accountId: sub, claims: async () => ({ sub }) }),
    rotateRefreshToken: true,
    scopes: ['openid', 'offline_access', 'system/*.cruds'],
    ttl: { AccessToken: LIFETIME, ClientCredentials: LIFETIME, RefreshToken: 3600, Grant: 3600 },
  });
  provider.on('grant.revoked', () => { events.revoked += 1; });
  provider.on('grant.success', (ctx) => {
    events.tokens.push({ client: ctx.oidc.client.clientId, type: ctx.oidc.params.grant_type, basic: Boolean(ctx.get('Authorization')) });
  });
  provider.on('grant.error', (ctx, error) => { events.refused.push(`${error.error}: ${error.error_detail ?? ''}`); });
  // It takes the secret of a client either way; many servers do not.
  provider.use(async (ctx, next) => {
    const basic = /^Basic (.*)$/.exec(ctx.get('Authorization'))?.[1];
    const id = basic && decodeURIComponent(Buffer.from(basic, 'base64').toString().split(':')[0]);
    const client = basic && await provider.Client.find(id);
    if (client?.clientAuthMethod !== 'client_secret_post') {
      await next();
      return;
    }
    events.refused.push('invalid_client: not by Basic');
    ctx.status = 401;
    ctx.body = { error: 'invalid_client' };
  });
  // What a source payer adds to its token answers.
  provider.use(async (ctx, next) => {
    await next();
    const member = ctx.oidc?.entities?.RefreshToken?.accountId;
    if (ctx.path === '/token' && ctx.status === 200 && member) ctx.body.memberId = member;
  });
  return provider;
}

// A grant as a member's consent leaves it, with the first refresh token of its chain.
async function grant(provider, { client: clientId, member }) {
  const client = await provider.Client.find(clientId);
  const given = new provider.Grant({ accountId: member, clientId });
  given.addOIDCScope('openid offline_access');
  const token = new provider.RefreshToken({
    accountId: member, client, grantId: await given.save(), gty: 'authorization_code', scope: 'openid offline_access', rotations: 0,
  });
  return { refresh: await token.save() };
}

async function mayEnter(provider, name, authorization = '') {
  const token = authorization.replace(/^Bearer /, '');
  const found = name === 'target' ? await provider.ClientCredentials.find(token) : await provider.AccessToken.find(token);
  return Boolean(found);
}

function pass(request, response, url) {
  const through = http.request(url, { method: request.method, headers: request.headers }, (answer) => {
    response.writeHead(answer.statusCode, answer.headers);
    answer.pipe(response);
  });
  through.on('error', () => response.destroy());
  request.pipe(through);
}

function smartConfiguration(response, origin) {
  const document = { issuer: origin, token_endpoint: `${origin}/token`, token_endpoint_auth_methods_supported: methods };
  response.setHeader('Content-Type', 'application/json');
  response.end(JSON.stringify(document));
}

function begin(origin) {
  const provider = make(origin);
  const callback = provider.callback();
  server.on('request', async (request, response) => {
    const [, name, rest] = request.url.match(/^\/(source|target)([/?].*)?$/) ?? [];
    if (!name) {
      callback(request, response);
    } else if (rest === '/.well-known/smart-configuration') {
      smartConfiguration(response, origin);
    } else if (await mayEnter(provider, name, request.headers.authorization)) {
      pass(request, response, upstream[name] + (rest ?? ''));
    } else {
      events.turnedAway += 1;
      request.resume();
      response.writeHead(401, { 'WWW-Authenticate': 'Bearer error="invalid_token"' }).end();
    }
  });
  const commands = {
    upstream: (command) => { upstream[command.name] = command.url; return {}; },
    methods: (command) => { methods = command.methods; return {}; },
    grant: (command) => grant(provider, command),
    events: () => { const seen = structuredClone(events); events.tokens = []; events.refused = []; return seen; },
  };
  readline.createInterface({ input: process.stdin })
    .on('line', async (line) => {
      const command = JSON.parse(line);
      tell(await commands[command.do](command));
    })
    .on('close', () => process.exit(0));
  tell({ origin });
}
