// Which organisations endorse, by policy and by request, and what happens when they do not agree.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { StatusCode } from '@hyperledger/fabric-gateway';
import { gateway as messages } from '@hyperledger/fabric-protos';

import { transaction } from '../support/blocks.js';
import { refused } from '../support/refusal.js';
import { notCollected, notEvaluated } from '../support/words.js';
import { channel, gateway, json, org1, org2, text, unique, user2 } from '../support/world.js';

const network = gateway().getNetwork(channel);
const [both, either] = ['both', 'either'].map((name) => network.getContract(name));

/** The organisations whose endorsements an endorsed transaction carries. */
function endorsers(endorsed) {
  const prepared = messages.PreparedTransaction.deserializeBinary(endorsed.getBytes());
  return transaction(prepared.getEnvelope()).endorsers.sort();
}

async function endorse(contract, endorsingOrganizations) {
  const proposal = contract.newProposal('put', { arguments: [unique('endorsed'), 'x'], endorsingOrganizations });
  return proposal.endorse();
}

describe('endorsement by policy', () => {
  it('comes from both organisations when the policy asks for a majority', async () => {
    assert.deepEqual(endorsers(await endorse(both)), [org1.mspId, org2.mspId]);
  });

  it("comes from the gateway's own organisation when one is enough", async () => {
    assert.deepEqual(endorsers(await endorse(either)), [org1.mspId]);
    const other = gateway({ as: user2 }).getNetwork(channel).getContract('either');
    assert.deepEqual(endorsers(await endorse(other)), [org2.mspId]);
  });

  it('is enough for a valid commit', async () => {
    for (const contract of [both, either]) {
      const status = await (await (await endorse(contract)).submit()).getStatus();
      assert.equal(status.code, StatusCode.VALID);
    }
  });

  it('covers each chaincode that takes part', async () => {
    const key = unique('through another');
    const through = network.getContract('either', 'state');
    const proposal = through.newProposal('callOther', { arguments: ['both', channel, JSON.stringify(['put', key, 'x'])] });
    const endorsed = await proposal.endorse();
    assert.deepEqual(endorsers(endorsed), [org1.mspId, org2.mspId]);
    assert.equal((await (await endorsed.submit()).getStatus()).code, StatusCode.VALID);
    assert.equal(text(await both.evaluateTransaction('get', key)), 'x');
  });
});

describe('endorsement by named organisations', () => {
  for (const mspIds of [[org1.mspId], [org2.mspId], [org1.mspId, org2.mspId]]) {
    it(`comes from ${mspIds.join(' and ')}`, async () => {
      const endorsed = await endorse(either, mspIds);
      assert.deepEqual(endorsers(endorsed), mspIds);
      assert.equal((await (await endorsed.submit()).getStatus()).code, StatusCode.VALID);
    });
  }

  it('is evaluated there too', async () => {
    for (const org of [org1, org2]) {
      const evaluation = either.evaluate('refuse', { arguments: ['here'], endorsingOrganizations: [org.mspId] });
      await refused(evaluation, notEvaluated('chaincode response 500, here', { by: org }));
    }
  });

  it('is refused when one has no peer', async () => {
    await refused(endorse(both, ['Org9MSP']), {
      type: 'EndorseError', code: 'UNAVAILABLE', message: 'failed to find any endorsing peers for org(s): Org9MSP',
    });
    const evaluation = both.evaluate('echo', { arguments: ['x'], endorsingOrganizations: ['Org9MSP'] });
    await refused(evaluation, {
      type: 'GatewayError', code: 'FAILED_PRECONDITION', message: `no peers available to evaluate chaincode both in channel ${channel}`,
    });
  });
});

describe('endorsements that do not agree', () => {
  it('are refused, and the other organisation is named', async () => {
    await refused(network.getContract('both', 'faulty').submitTransaction('differ'), notCollected(org2, 'ProposalResponsePayloads do not match'));
  });

  /** FAB-06: the chaincode's words at the organisation that refuses reach the caller. */
  it('are refused in the words of the organisation that fails', async () => {
    await refused(network.getContract('both', 'faulty').submitTransaction('refuseAfterFirst', 'not with me'), notCollected(org2, 'chaincode response 500, not with me'));
  });
});

describe('the endorsement policy of a key', () => {
  const state = network.getContract('either', 'state');

  async function ownedKey(...mspIds) {
    const key = unique('owned');
    await either.submitTransaction('put', key, 'before');
    await state.submitTransaction('requireOrganizations', key, mspIds.join(','));
    return key;
  }

  async function change(key, endorsingOrganizations) {
    const endorsed = await either.newProposal('put', { arguments: [key, 'after'], endorsingOrganizations }).endorse();
    const { code } = await (await endorsed.submit()).getStatus();
    return { code, value: text(await either.evaluateTransaction('get', key)) };
  }

  it('can be read', async () => {
    assert.deepEqual(json(await state.evaluateTransaction('requiredOrganizations', await ownedKey(org2.mspId))), [org2.mspId]);
    assert.deepEqual(json(await state.evaluateTransaction('requiredOrganizations', unique('free'))), []);
  });

  it('lets the named organisation change the value', async () => {
    assert.deepEqual(await change(await ownedKey(org1.mspId), [org1.mspId]), { code: StatusCode.VALID, value: 'after' });
  });

  it('invalidates a change that another has endorsed', async () => {
    const outcome = await change(await ownedKey(org1.mspId), [org2.mspId]);
    assert.deepEqual(outcome, { code: StatusCode.ENDORSEMENT_POLICY_FAILURE, value: 'before' });
  });

  it('makes the gateway ask the organisations that it names', async () => {
    for (const mspIds of [[org2.mspId], [org1.mspId, org2.mspId]]) {
      assert.deepEqual(await change(await ownedKey(...mspIds)), { code: StatusCode.VALID, value: 'after' });
    }
  });

  it('of two organisations is not met by one', async () => {
    const outcome = await change(await ownedKey(org1.mspId, org2.mspId), [org1.mspId]);
    assert.equal(outcome.code, StatusCode.ENDORSEMENT_POLICY_FAILURE);
  });
});
