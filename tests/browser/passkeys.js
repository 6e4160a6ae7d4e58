// What a page of GX does with passkeys, run in Chromium, and the authenticator that answers it.

/** An authenticator of Chromium, which approves everything without a person. */
export async function virtualAuthenticator(page) {
  const devtools = await page.context().newCDPSession(page);
  await devtools.send('WebAuthn.enable');
  const { authenticatorId } = await devtools.send('WebAuthn.addVirtualAuthenticator', {
    options: {
      protocol: 'ctap2', ctap2Version: 'ctap2_1', transport: 'internal', hasResidentKey: true,
      hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true,
    },
  });
  return {
    setVerified: (isUserVerified) => devtools.send('WebAuthn.setUserVerified', { authenticatorId, isUserVerified }),
  };
}

/** Sends a request from the page, and returns status and body of the answer. */
export async function call(page, method, path, token, body) {
  return page.evaluate(send, [method, path, token, body]);
}

/** Adds a passkey as a page does, with a password if `proof` has one. Returns the answer, or the name of the browser's error. */
export async function addPasskey(page, own, token, proof) {
  const { body: options } = await call(page, 'POST', `${own}/options`, token, proof);
  const credential = await page.evaluate(async (json) => {
    const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(json);
    return navigator.credentials.create({ publicKey }).then((made) => made.toJSON(), (why) => ({ error: why.name }));
  }, options.publicKey);
  if (credential.error) {
    return credential;
  }
  const { challengeId } = options;
  return call(page, 'POST', own, token, { challengeId, credential, name: 'Chromium' });
}

/** Signs in as a page does. Returns the answer, or the name of the browser's error. */
export async function signIn(page, entrance) {
  const { body: options } = await call(page, 'POST', `${entrance}/options`, undefined, {});
  const credential = await page.evaluate(async (json) => {
    const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(json);
    return navigator.credentials.get({ publicKey }).then((found) => found.toJSON(), (why) => ({ error: why.name }));
  }, options.publicKey);
  if (credential.error) {
    return credential;
  }
  const { challengeId } = options;
  return call(page, 'POST', entrance, undefined, { challengeId, credential });
}

/** Runs in the page. */
async function send([method, path, token, body]) {
  const headers = { ...(body && { 'content-type': 'application/json' }), ...(token && { authorization: `Bearer ${token}` }) };
  const answer = await fetch(path, { method, headers, body: body && JSON.stringify(body) });
  const text = await answer.text();
  return { status: answer.status, body: text === '' ? null : JSON.parse(text) };
}
