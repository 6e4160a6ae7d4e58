// Sentences of a peer that several scenarios expect.

import { from } from './refusal.js';
import { channel, org1 } from './world.js';

const ENDORSE_FAILED = 'failed to endorse transaction, see attached details for more info';
const COLLECT_FAILED = 'failed to collect enough transaction endorsements, see attached details for more info';

/** Evaluation refused by a peer, by default the gateway's own. */
export function notEvaluated(message, { code = 'UNKNOWN', by = org1 } = {}) {
  const whole = message instanceof RegExp
    ? new RegExp(`^evaluate call to endorser returned error: ${message.source.replace(/^\^/, '')}`)
    : `evaluate call to endorser returned error: ${message}`;
  return { type: 'GatewayError', code, message: whole, details: [from(by, message)] };
}

/** Endorsement refused by the gateway's own peer. */
export function notEndorsed(message) {
  return { type: 'EndorseError', code: 'ABORTED', message: ENDORSE_FAILED, details: [from(org1, message)] };
}

/** Endorsement refused by a peer beside the gateway's own, or by one that the caller named. */
export function notCollected(org, message) {
  return { type: 'EndorseError', code: 'ABORTED', message: COLLECT_FAILED, details: [from(org, message)] };
}

/** Endorsement that no set of peers can give. */
export function noCombination(reason) {
  const message = `no combination of peers can be derived which satisfy the endorsement policy: ${reason}`;
  return { type: 'EndorseError', code: 'FAILED_PRECONDITION', message };
}

/** A channel's policy that the caller does not meet: Readers or Writers. */
export function policyFailed(name) {
  return `Failed evaluating policy on signed data during check policy on channel [${channel}] with policy ` +
    `[/Channel/Application/${name}]: [implicit policy evaluation failed - 0 sub-policies were satisfied, ` +
    `but this policy requires 1 of the '${name}' sub-policies to be satisfied]`;
}
