// SPDX-License-Identifier: Apache-2.0
// A real OpenID provider on loopback at which anybody signs in as whom the header X-Sign-In-As says, and whose clients get access tokens that are JWTs.
// Usage: node signin.js CERT KEY CLIENTS PORT, as provider.js. Its only command is {"do":"events"}.
import fs from 'node:fs';
import https from 'node:https';
import readline from 'node:readline';
import Provider from 'oidc-provider';

const [certificate, privateKey, clients, port] = process.argv.slice(2);
const cert = fs.readFileSync(certificate);
const key = fs.readFileSync(privateKey);
const origin = `https://127.0.0.1:${port}`;
const tell = (message) => process.stdout.write(`${JSON.stringify(message)}\n`);
const refused = [];

// The audience is what a client asks for: whoever checks tokens has to look at it.
const provider = new Provider(origin, {
  clients: JSON.parse(fs.readFileSync(clients)),
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => undefined,
      getResourceServerInfo: (ctx, resource) => ({
        scope: 'p2p.portal p2p.administration other',
        audience: resource.replace('urn:', ''),
        accessTokenFormat: 'jwt',
        accessTokenTTL: ctx.get('X-Lifetime') ? Number(ctx.get('X-Lifetime')) : 300,
        jwt: { sign: { alg: 'RS256' } },
      }),
    },
  },
  findAccount: (ctx, sub) => ({ accountId: sub, claims: async () => ({ sub }) }),
  interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
});
provider.on('grant.error', (ctx, error) => refused.push(`${error.error}: ${error.error_detail ?? error.message}`));
provider.on('authorization.error', (ctx, error) => refused.push(`${error.error}: ${error.error_detail ?? error.message}`));

// Signs in, then consents to everything.
async function interact(request, response) {
  const { prompt, session, params } = await provider.interactionDetails(request, response);
  const result = {};
  if (prompt.name === 'login') {
    result.login = { accountId: request.headers['x-sign-in-as'] };
  } else {
    const grant = new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
    grant.addOIDCScope(params.scope);
    result.consent = { grantId: await grant.save() };
  }
  await provider.interactionFinished(request, response, result, { mergeWithLastSubmission: true });
}

const callback = provider.callback();
const server = https.createServer({ cert, key }, (request, response) => {
  if (request.url.startsWith('/interaction/')) interact(request, response).catch((error) => response.writeHead(500).end(String(error)));
  else callback(request, response);
});
server.listen(Number(port), '127.0.0.1', () => {
  readline.createInterface({ input: process.stdin })
    .on('line', () => tell({ refused: refused.splice(0) }))
    .on('close', () => process.exit(0));
  tell({ origin });
});
