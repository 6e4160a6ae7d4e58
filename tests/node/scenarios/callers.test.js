// Who may do what: identities, signatures, and the caller's clock.

import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { describe, it } from 'node:test';

import { listening } from '../support/listen.js';
import { commitRequest, proposedAt, withHighS } from '../support/messages.js';
import { from, refused } from '../support/refusal.js';
import { notEndorsed, notEvaluated, policyFailed } from '../support/words.js';
import { admin1, channel, gateway, json, org1, org2, signerOf, stranger, text, unique, user1 } from '../support/world.js';

const MINUTE_MS = 60_000;

const denied = (creator) => `error validating proposal: access denied: channel [${channel}] creator org ${creator}`;
const UNKNOWN = denied('unknown, creator is malformed');
const FORGED = denied(`[${org1.mspId}]`);

/** Tries every kind of call as somebody whom the ledger must refuse. */
async function refusedEverything(connected, message) {
  const network = connected.getNetwork(channel);
  const contract = network.getContract('both');
  await refused(contract.evaluateTransaction('echo', 'x'), notEvaluated(message, { code: 'FAILED_PRECONDITION' }));
  await refused(contract.submitTransaction('echo', 'x'), notEndorsed(message));
  await refused(async () => listening(network.getChaincodeEvents('both'), (events) => events.next()),
    { type: 'GatewayError', code: 'PERMISSION_DENIED', message: policyFailed('Readers') });
  await refused(async () => listening(network.getBlockEvents(), (events) => events.next()),
    { type: 'Error', code: undefined, message: 'Unexpected status response: 403' });
}

describe('an identity', () => {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const key = privateKey.export({ type: 'pkcs8', format: 'pem' });
  const IDENTITIES = [
    ['of an organisation outside the channel', stranger, UNKNOWN],
    ['that claims another organisation', { ...user1, mspId: org2.mspId }, UNKNOWN],
    ['of an organisation that does not exist', { ...user1, mspId: 'Org9MSP' }, UNKNOWN],
    ['that is no certificate', { ...user1, cert: Buffer.from('nonsense') }, UNKNOWN],
    ['with the key of another', { ...user1, key }, FORGED],
  ];
  for (const [what, as, message] of IDENTITIES) {
    it(`${what} is refused everything`, async () => {
      await refusedEverything(gateway({ as, at: org1 }), message);
    });
  }

  it('of an organisation outside the channel is told no commit status', async () => {
    const commit = await gateway().getNetwork(channel).getContract('both').submitAsync('echo', { arguments: ['x'] });
    const asked = gateway({ as: stranger, at: org1 }).newCommit(commitRequest(commit.getTransactionId(), { as: stranger }));
    await refused(asked.getStatus(), { type: 'CommitStatusError', code: 'PERMISSION_DENIED', message: policyFailed('Readers') });
  });

  it('of an administrator is as good as a user', async () => {
    const contract = gateway({ as: admin1 }).getNetwork(channel).getContract('both');
    const key = unique('admin');
    await contract.submitTransaction('put', key, 'x');
    assert.equal(text(await contract.evaluateTransaction('get', key)), 'x');
    assert.match(json(await contract.evaluateTransaction('transaction')).caller, /OU=admin.*CN=Admin/);
  });

  it('of one member may ask the peer of another', async () => {
    const contract = gateway({ as: user1, at: org2 }).getNetwork(channel).getContract('both');
    assert.equal(json(await contract.evaluateTransaction('transaction')).mspId, org1.mspId);
  });
});

describe('a signature', () => {
  it('with a high S is refused everything', async () => {
    const sign = signerOf(user1);
    await refusedEverything(gateway({ signer: async (digest) => withHighS(await sign(digest)) }), FORGED);
  });
});

describe("the caller's clock", () => {
  const contract = gateway().getNetwork(channel).getContract('both');
  const propose = (offsetMs) =>
    gateway().newProposal(proposedAt(contract.newProposal('echo', { arguments: ['x'] }), new Date(Date.now() + offsetMs)));
  const time = '\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}:\\d{2}Z';
  const words = `request unauthorized due to incorrect timestamp ${time}, peer time ${time}, peer\\.authentication\\.timewindow 15m0s`;

  it('may be ten minutes off', async () => {
    for (const minutes of [-10, 10]) {
      assert.equal(text(await propose(minutes * MINUTE_MS).evaluate()), 'x');
    }
  });

  it('may not be twenty minutes off', async () => {
    for (const minutes of [-20, 20]) {
      await refused(propose(minutes * MINUTE_MS).evaluate(), {
        type: 'GatewayError',
        code: 'UNAVAILABLE',
        message: 'failed to evaluate transaction, see attached details for more info',
        details: [from(org1, new RegExp(`^${words}$`)), from(org2, new RegExp(`^rpc error: code = Unknown desc = ${words}$`))],
      });
      await refused(propose(minutes * MINUTE_MS).endorse(), notEndorsed(new RegExp(`^${words}$`)));
    }
  });
});
