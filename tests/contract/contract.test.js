// The documents of the three services, and their answers to requests that are generated from the
// documents. `scripts/test-contract` runs the file; it sets
//
//   GX            the built `gx`
//   SCHEMATHESIS  the program
//   REQUESTS      requests to each service, half of them without a token
//   SEED          number that the random cases follow from

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { Stack } from './stack.js';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const run = promisify(execFile);

const { GX, SCHEMATHESIS, REQUESTS, SEED } = process.env;
const OUTPUT_BYTES = 64 * 1024 * 1024;
/** Sessions for the routes that end the session of their caller. */
const SPENT_SESSIONS = 5;
const SERVICES_AT_ONCE = 2;

/** Each service: the name of its URL, and the tokens of its callers. */
const SERVICES = {
  'svc-identity': { name: 'IDENTITY', token: async () => (await stack.register()).accessToken },
  'svc-tokenomics': { name: 'TOKENOMICS', token: () => stack.activePerson() },
  'svc-admin': { name: 'ADMIN', token: () => stack.administrator() },
};

let stack;
before(async () => {
  stack = await Stack.start(GX);
});
after(() => stack?.stop());

describe('the document', { concurrency: SERVICES_AT_ONCE }, () => {
  for (const [service, { name, token }] of Object.entries(SERVICES)) {
    describe(`of ${service}`, () => {
      /** SEC-API-09: the document is sound. */
      it('is accepted by a public linter', async () => {
        const document = await (await fetch(`${stack.url(name)}/openapi.json`)).json();
        const file = join(stack.folder, `${service}.json`);
        await writeFile(file, JSON.stringify(document, null, 2));
        const env = { ...process.env, REDOCLY_TELEMETRY: 'off', REDOCLY_SUPPRESS_UPDATE_NOTICE: 'true' };
        const arguments_ = [here('node_modules/@redocly/cli/bin/cli.js'), 'lint', file, '--config', here('redocly.yaml'), '--format', 'stylish'];
        await succeeds(process.execPath, arguments_, env);
      });

      /** SEC-API-09: generated requests get no 5xx and no answer that the document does not have. */
      it('has every answer to generated requests without a token', async (test) => {
        await generate(test, stack.url(name), {});
      });

      /** SEC-API-09: the same holds for requests of somebody who is signed in. */
      it('has every answer to generated requests with a token', async (test) => {
        const spent = [];
        while (spent.length < SPENT_SESSIONS) {
          spent.push(name === 'ADMIN' ? await token() : (await stack.register()).accessToken);
        }
        await generate(test, stack.url(name), { GX_TOKEN: await token(), GX_SPENT_TOKENS: spent.join(',') });
      });
    });
  }
});

/** Sends half of the requests, and fails if an answer is not as documented. */
async function generate(test, url, callers) {
  const { paths } = await (await fetch(`${url}/openapi.json`)).json();
  const operations = Object.values(paths).flatMap((item) => Object.values(item));
  // Of the others there is one request alone.
  const various = operations.filter(({ parameters, requestBody }) => parameters ?? requestBody).length;
  const wanted = Math.ceil(Number(REQUESTS) / 2);
  const countFile = join(stack.folder, `count-${new URL(url).port}`);
  const env = { ...process.env, ...callers, SCHEMATHESIS_HOOKS: 'callers', PYTHONPATH: here('.'), PYTHONDONTWRITEBYTECODE: '1', GX_COUNT_FILE: countFile };
  const options = ['--max-examples', Math.ceil(wanted / various), '--seed', SEED];
  const arguments_ = ['--config-file', here('schemathesis.toml'), '--no-color', 'run', `${url}/openapi.json`, ...options.map(String)];
  await succeeds(SCHEMATHESIS, arguments_, env);
  const sent = Number(await readFile(countFile, 'utf8'));
  test.diagnostic(`${sent} requests`);
  assert.ok(sent >= wanted, `${sent} requests were sent, not ${wanted}`);
}

/** Runs a program, and fails with all that it printed if it fails. */
async function succeeds(program, arguments_, env) {
  try {
    await run(program, arguments_, { env, cwd: stack.folder, maxBuffer: OUTPUT_BYTES });
  } catch (error) {
    assert.fail(`${error.stdout}\n${error.message}`);
  }
}
