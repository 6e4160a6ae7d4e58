// What a refused call shows to the caller.

import assert from 'node:assert/strict';

import { status } from '@grpc/grpc-js';

/** Waits for a call to fail, and tells what its error says. */
export async function refusal(call) {
  let error;
  try {
    await (typeof call === 'function' ? call() : call);
  } catch (thrown) {
    error = thrown;
  }
  assert.ok(error, 'the call succeeded');
  return {
    type: error.constructor.name,
    code: status[error.code] ?? error.code,
    // grpc-js puts the code before the text in `message`; the text alone is what the peer sent.
    message: (error.cause ?? error).details ?? error.message,
    details: (Array.isArray(error.details) ? error.details : []).map(({ mspId, address, message }) => ({ mspId, address, message })),
  };
}

/** Waits for a call to fail, and compares all that its error says. Texts may be patterns. */
export async function refused(call, expected) {
  isRefusal(await refusal(call), expected);
}

/** Compares what an error says with what it should. */
export function isRefusal(seen, expected) {
  const { details = [], ...rest } = expected;
  for (const [field, value] of Object.entries(rest)) {
    compare(seen[field], value, `${field} of ${JSON.stringify(seen)}`);
  }
  assert.equal(seen.details.length, details.length, `number of details in ${JSON.stringify(seen)}`);
  details.forEach((detail, i) => {
    for (const [field, value] of Object.entries(detail)) {
      compare(seen.details[i][field], value, `${field} of detail ${i} in ${JSON.stringify(seen)}`);
    }
  });
}

function compare(seen, expected, what) {
  if (expected instanceof RegExp) {
    assert.match(seen, expected, what);
  } else {
    assert.equal(seen, expected, what);
  }
}

/** The detail that an organisation's peer gives. */
export function from(org, message) {
  return { mspId: org.mspId, address: org.peer, message };
}
