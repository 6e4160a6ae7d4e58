// Passkeys in Chromium with its virtual authenticator, against a `gx dev` of the tests' own.
// `scripts/test-browser` runs the file; it sets
//
//   GX        the built `gx`
//   CHROMIUM  the browser

import assert from 'node:assert/strict';
import { after, before, beforeEach, afterEach, describe, it } from 'node:test';

import { chromium } from 'playwright-core';

import { Stack } from '../contract/stack.js';
import { addPasskey, call, signIn, virtualAuthenticator } from './passkeys.js';

const { GX, CHROMIUM } = process.env;

/** People and administrators: the name of their service's URL, their paths, and how each begins. */
const REALMS = {
  'a person': {
    name: 'IDENTITY', own: '/api/v1/users/me/passkeys', entrance: '/api/v1/auth/passkeys', me: '/api/v1/users/me',
    token: async () => (await stack.register()).accessToken,
    proof: () => ({}),
  },
  'an administrator': {
    name: 'ADMIN', own: '/api/v1/admin/me/passkeys', entrance: '/api/v1/admin/auth/passkeys', me: '/api/v1/admin/users',
    token: () => stack.administrator(),
    proof: () => ({ password: stack.settings.GX_ADMIN_PASSWORD }),
  },
};

let stack;
let browser;
before(async () => {
  stack = await Stack.start(GX);
  // Chromium's sandbox refuses to run for root.
  const args = process.getuid() === 0 ? ['--no-sandbox'] : [];
  browser = await chromium.launch({ executablePath: CHROMIUM, args });
});
after(async () => {
  await browser?.close();
  await stack?.stop();
});

for (const [who, { name, own, entrance, me, token, proof }] of Object.entries(REALMS)) {
  describe(`passkeys of ${who}`, () => {
    let context;
    let page;
    let authenticator;
    beforeEach(async () => {
      // The page's policy permits no request; a real page of the same origin has one of its own.
      context = await browser.newContext({ bypassCSP: true });
      page = await context.newPage();
      await page.goto(`http://localhost:${new URL(stack.url(name)).port}/problems`);
      authenticator = await virtualAuthenticator(page);
    });
    afterEach(() => context?.close());

    /**
     * AUTHN-15: a passkey is added after a fresh sign-in, or by an administrator with the password, and signs in. The same authenticator is not
     * added twice, a user who is not verified is refused by it, and a removed passkey opens nothing.
     */
    it('is added, signs in, and is removed', async () => {
      const bearer = await token();
      const added = await addPasskey(page, own, bearer, proof());
      assert.equal(added.status, 201, JSON.stringify(added));
      assert.equal(added.body.name, 'Chromium');
      assert.deepEqual(await addPasskey(page, own, bearer, proof()), { error: 'InvalidStateError' });

      const signedIn = await signIn(page, entrance);
      assert.equal(signedIn.status, 200, JSON.stringify(signedIn));
      assert.equal((await call(page, 'GET', me, signedIn.body.accessToken)).status, 200);
      const { body: list } = await call(page, 'GET', own, signedIn.body.accessToken);
      assert.equal(list.items.length, 1);
      assert.ok(list.items[0].lastUsedAt);

      await authenticator.setVerified(false);
      assert.deepEqual(await signIn(page, entrance), { error: 'NotAllowedError' });
      await authenticator.setVerified(true);

      const path = `${own}/${added.body.passkeyId}`;
      assert.equal((await call(page, 'DELETE', path, signedIn.body.accessToken, proof())).status, 204);
      const refused = await signIn(page, entrance);
      assert.equal(refused.status, 401);
      assert.equal(refused.body.code, 'invalid_credentials');
    });

    /** AUTHN-15: a page of another host cannot ask for the passkey. */
    it('is asked for by pages of its domain only', async () => {
      await page.goto(`${stack.url(name)}/problems`);
      assert.deepEqual(await signIn(page, entrance), { error: 'SecurityError' });
    });
  });
}

describe('an administrator with a passkey', () => {
  /** AUTHN-17: the passkey is the factor: the password alone opens no session. */
  it('does not sign in with the password alone', async () => {
    const context = await browser.newContext({ bypassCSP: true });
    const page = await context.newPage();
    await page.goto(`http://localhost:${new URL(stack.url('ADMIN')).port}/problems`);
    await virtualAuthenticator(page);
    const { own, entrance, proof } = REALMS['an administrator'];
    const bearer = await stack.administrator();
    assert.equal((await addPasskey(page, own, bearer, proof())).status, 201);
    await assert.rejects(() => stack.administrator(), /passkey_required/);
    const signedIn = await signIn(page, entrance);
    assert.equal(signedIn.status, 200, JSON.stringify(signedIn));
    await context.close();
  });
});
