// Verifies access tokens as backends on Node do: with jose, jsonwebtoken (its keys from jwks-rsa) and
// express-oauth2-jwt-bearer in strict mode, each with its default caches. It reads one command a line from stdin and
// answers each with one line of JSON. Time is the machine's, moved on by the command "advance".
'use strict';

let offset = 0; // milliseconds
const RealDate = Date;
class MovedDate extends RealDate {
  constructor(...args) {
    super(...(args.length ? args : [RealDate.now() + offset]));
  }
  static now() {
    return RealDate.now() + offset;
  }
}
globalThis.Date = MovedDate;
const realNow = performance.now.bind(performance);
performance.now = () => realNow() + offset;

const express = require('express');
const jwt = require('jsonwebtoken');
const jwksClient = require('jwks-rsa');
const { auth } = require('express-oauth2-jwt-bearer');

async function main() {
  const { createRemoteJWKSet, jwtVerify } = await import('jose');
  const [issuer, audience, jwksUri] = process.argv.slice(2);
  const keySet = createRemoteJWKSet(new URL(jwksUri));
  const client = jwksClient({ jwksUri });

  const app = express();
  app.use(auth({ issuerBaseURL: issuer, audience, strict: true }));
  app.get('/', (req, res) => res.json(req.auth.payload.sub));
  app.use((err, req, res, next) => res.status(err.status || 500).send(String(err.message)));
  const listener = app.listen(0, '127.0.0.1');
  await new Promise((resolve) => listener.once('listening', resolve));
  const protectedURL = `http://127.0.0.1:${listener.address().port}/`;

  const verifiers = {
    jose: async (token) => (await jwtVerify(token, keySet, { issuer, audience, typ: 'at+jwt' })).payload.sub,
    jsonwebtoken: (token) =>
      new Promise((resolve, reject) =>
        jwt.verify(
          token,
          (header, done) => client.getSigningKey(header.kid, (err, key) => done(err, key && key.getPublicKey())),
          { issuer, audience },
          (err, payload) => (err ? reject(err) : resolve(payload.sub)),
        ),
      ),
    'express-oauth2-jwt-bearer': async (token) => {
      const answer = await fetch(protectedURL, { headers: { authorization: `Bearer ${token}` } });
      const text = await answer.text();
      if (!answer.ok) throw new Error(text);
      return JSON.parse(text);
    },
  };

  const lines = require('node:readline').createInterface({ input: process.stdin });
  for await (const line of lines) {
    const command = JSON.parse(line);
    const result = {};
    if (command.advance) offset += command.advance * 1000;
    if (command.token) {
      for (const [name, verify] of Object.entries(verifiers)) {
        try {
          result[name] = await verify(command.token);
        } catch (err) {
          result[name] = `refused: ${err.message}`;
        }
      }
    }
    console.log(JSON.stringify(result));
  }
  process.exit(0);
}

main().catch((err) => {
  console.error(err);
  process.exit(1);
});
