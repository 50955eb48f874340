// SPDX-License-Identifier: Apache-2.0
// A real OpenID provider on loopback whose clients get access tokens for an audience, signed with the algorithm that they ask for, or opaque ones that it
// tells about. Usage: node issuer.js CERT KEY CLIENTS, as provider.js. A resource is urn:AUDIENCE:ALGORITHM or urn:AUDIENCE:opaque.
import crypto from 'node:crypto';
import fs from 'node:fs';
import https from 'node:https';
import readline from 'node:readline';
import Provider from 'oidc-provider';

const [cert, key, clients] = process.argv.slice(2).map((file) => fs.readFileSync(file));
const tell = (message) => process.stdout.write(`${JSON.stringify(message)}\n`);
const pairs = { rsa: ['rsa', { modulusLength: 2048 }], p256: ['ec', { namedCurve: 'P-256' }], p384: ['ec', { namedCurve: 'P-384' }], p521: ['ec', { namedCurve: 'P-521' }] };
const keys = Object.entries(pairs).map(([kid, [type, options]]) => (
  { ...crypto.generateKeyPairSync(type, options).privateKey.export({ format: 'jwk' }), kid, use: 'sig' }));

function resource(ctx, name) {
  const [, audience, algorithm] = name.split(':');
  const common = { scope: 'p2p.portal p2p.admin other', audience, accessTokenTTL: 600 };
  if (algorithm === 'opaque') return { ...common, accessTokenFormat: 'opaque' };
  return { ...common, accessTokenFormat: 'jwt', jwt: { sign: { alg: algorithm } } };
}

function begin(origin) {
  const provider = new Provider(origin, {
    clients: JSON.parse(clients),
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      introspection: { enabled: true, allowedPolicy: () => true },
      resourceIndicators: { enabled: true, defaultResource: () => undefined, getResourceServerInfo: resource },
    },
    findAccount: (ctx, sub) => ({ accountId: sub, claims: async () => ({ sub }) }),
    jwks: { keys },
  });
  provider.on('server_error', (ctx, error) => process.stderr.write(`${error.stack}\n`));
  server.on('request', provider.callback());
  readline.createInterface({ input: process.stdin }).on('close', () => process.exit(0));
  tell({ origin });
}

// The port is chosen before the provider is made, since its issuer names it.
const server = https.createServer({ cert, key });
server.listen(0, '127.0.0.1', () => begin(`https://127.0.0.1:${server.address().port}`));
