// A `gx dev` of the tests' own, and people and administrators who use it.

import { randomInt } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { accepts } from '../node/networks/ports.js';
import { Service } from '../node/networks/service.js';

const START_MS = 180_000;
const WALLET_MS = 60_000;
const POLL_MS = 100;
/** The ports of `gx dev` without an offset. */
const PORTS = [3001, 3002, 3006, 7051, 8443, 9090, 9091, 13001, 13002, 13006];
/** Rate limits out of reach: generated requests are more than a client may send. */
const LIMITS = Object.fromEntries(
  ['LOGIN', 'LOGIN_CLIENT', 'REGISTER', 'MAIL', 'MAIL_CLIENT', 'REFRESH', 'FILES', 'GENERAL'].map((policy) => [`GX_LIMIT_${policy}`, '1000000/1s']),
);
/** A generated request that pauses the ledger only proposes it: nobody confirms. */
const FOUR_EYES = { GX_FOUR_EYES: 'pause' };
const PASSWORD = 'correct horse battery staple';
/** Pictures of the documents that a review needs. */
const PICTURES = fileURLToPath(new URL('../../examples/documents', import.meta.url));
const DOCUMENTS = { PASSPORT: 'passport.png', SELFIE_PHOTO: 'selfie.png' };

/** A running stack. */
export class Stack {
  #service;

  /** Starts `gx dev` in a new folder, and waits until it is ready. */
  static async start(gx) {
    const stack = new Stack();
    stack.folder = await mkdtemp(join(tmpdir(), 'gx-contract-'));
    const [data, logFile] = [join(stack.folder, 'gx'), join(stack.folder, 'gx.log')];
    const args = ['dev', '--data-dir', data, '--port-offset', String(await freeOffset())];
    const { DATABASE_URL: _own, REDIS_URL: _none, ...env } = process.env;
    stack.#service = new Service('gx dev', gx, args, { env: { ...env, ...LIMITS, ...FOUR_EYES }, logFile });
    const isReady = async () => (await readFile(logFile, 'utf8')).includes('GX is ready.');
    await stack.#service.until('is ready', isReady, START_MS);
    const lines = (await readFile(join(data, 'env'), 'utf8')).matchAll(/^export (\w+)='(.*)'$/gm);
    stack.settings = Object.fromEntries([...lines].map(([, name, value]) => [name, value]));
    return stack;
  }

  /** Stops everything, and removes the folder. */
  async stop() {
    await this.#service.stop('SIGINT');
    await rm(this.folder, { recursive: true });
  }

  url(service) {
    return this.settings[`GX_${service}_URL`];
  }

  /** Registers a person, and returns the answer. */
  async register() {
    return this.#post('IDENTITY', '/auth/register', '', {
      fname: 'Sarah', lname: 'Johnson', email: `sarah.${unique()}@gxtest.com`, password: PASSWORD, phoneNum: `+60123${String(unique()).slice(-6)}`,
      nationalityCountryCode: 'MY', dateOfBirth: '1992-08-20', gender: 'female',
    });
  }

  /** Registers a person, has them approved, and returns a token once they have their grant. */
  async activePerson() {
    const { accessToken, user } = await this.register();
    await this.#handIn(accessToken);
    await this.#post('IDENTITY', '/users/me/kyc/submit', accessToken, {});
    await this.#post('ADMIN', `/admin/users/${user.profileId}/approve`, await this.administrator(), {});
    const deadline = Date.now() + WALLET_MS;
    for (;;) {
      const wallet = await fetch(`${this.url('TOKENOMICS')}/api/v1/wallets/me`, { headers: { authorization: `Bearer ${accessToken}` } });
      if (wallet.ok && (await wallet.json()).balance !== '0') {
        return accessToken;
      }
      if (Date.now() > deadline) {
        throw new Error(`no grant within ${WALLET_MS} ms`);
      }
      await pause(POLL_MS);
    }
  }

  /** Signs the first administrator in, and returns a token. */
  async administrator() {
    const { GX_ADMIN_EMAIL: email, GX_ADMIN_PASSWORD: password } = this.settings;
    return (await this.#post('ADMIN', '/admin/auth/login', '', { email, password })).accessToken;
  }

  /** Hands in the documents that a review needs. */
  async #handIn(token) {
    for (const [type, name] of Object.entries(DOCUMENTS)) {
      const form = new FormData();
      form.append('type', type);
      form.append('file', new Blob([await readFile(join(PICTURES, name))], { type: 'image/png' }), name);
      await this.#send('IDENTITY', '/users/me/kyc/documents', token, {}, form);
    }
  }

  async #post(service, path, token, body) {
    return this.#send(service, path, token, { 'content-type': 'application/json' }, JSON.stringify(body));
  }

  async #send(service, path, token, fields, body) {
    const headers = { ...fields, ...(token === '' ? {} : { authorization: `Bearer ${token}` }) };
    const answer = await fetch(`${this.url(service)}/api/v1${path}`, { method: 'POST', headers, body });
    const text = await answer.text();
    if (!answer.ok) {
      throw new Error(`POST ${path}: ${answer.status} ${text}`);
    }
    return JSON.parse(text);
  }
}

let last = Date.now();

/** A number that no other call returns. */
function unique() {
  last += 1;
  return last;
}

/** An offset at which all ports of a stack are free. */
async function freeOffset() {
  const [FIRST, LAST, STEP] = [20_000, 27_000, 20];
  for (let offset = FIRST + STEP * randomInt(100); offset < LAST; offset += STEP) {
    const taken = await Promise.all(PORTS.map((port) => accepts(`127.0.0.1:${port + offset}`)));
    if (!taken.includes(true)) {
      return offset;
    }
  }
  throw new Error('no free ports for a stack');
}
