// Private data collections through the official client and chaincode libraries.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { StatusCode } from '@hyperledger/fabric-gateway';

import { refused } from '../support/refusal.js';
import { notCollected, notEvaluated } from '../support/words.js';
import { channel, gateway, json, org1, org2, sha256, text, unique, user1, user2 } from '../support/world.js';

const confidential = (as) => gateway({ as }).getNetwork(channel).getContract('either', 'confidential');
const [first, second] = [confidential(user1), confidential(user2)];

function write(contract, collections, key, value, endorsingOrganizations) {
  return contract.submit('write', { arguments: [collections, key], transientData: { value }, endorsingOrganizations });
}

function read(contract, collection, key, endorsingOrganizations = [org1.mspId]) {
  return contract.evaluate('read', { arguments: [collection, key], endorsingOrganizations });
}

/** What a peer answers to a request of the chaincode; `reason` is a pattern. */
const failed = (request, reason) => new RegExp(`^chaincode response 500, ${request} failed: transaction ID: [0-9a-f]{64}: ${reason}$`);

const NO_DATA = 'private data matching public hash version is not available\\. ' +
  'Public hash version = {BlockNum: \\d+, TxNum: \\d+}, Private data version = <nil>';

const notPermitted = (what, collection) =>
  `tx creator does not have ${what} access permission on privatedata in chaincodeName:either collectionName: ${collection}`;

describe('private data', () => {
  it('is written by a member and read back', async () => {
    const key = unique('own');
    await write(first, 'org1Data', key, 'value', [org1.mspId]);
    assert.equal(text(await read(first, 'org1Data', key)), 'value');
  });

  it('is not at the peer of an organisation that is no member', async () => {
    const key = unique('other peer');
    await write(first, 'org1Data', key, 'value', [org1.mspId]);
    await refused(read(first, 'org1Data', key, [org2.mspId]), notEvaluated(failed('GET_STATE', NO_DATA), { by: org2 }));
  });

  it('is written by a stranger to the collection where that is allowed, but not read', async () => {
    const key = unique('other writer');
    await write(second, 'org1Data', key, 'value', [org1.mspId]);
    await refused(read(second, 'org1Data', key), notEvaluated(failed('GET_STATE', notPermitted('read', 'org1Data'))));
    assert.equal(text(await read(first, 'org1Data', key)), 'value');
  });

  it('is refused from a stranger where writing is for members', async () => {
    await refused(write(first, 'org2Data', unique('no writer'), 'value', [org2.mspId]), notCollected(org2, failed('PUT_STATE', notPermitted('write', 'org2Data'))));
  });

  it('is shared by the members of a collection', async () => {
    const key = unique('shared');
    await write(first, 'sharedData', key, 'value');
    assert.equal(text(await read(second, 'sharedData', key, [org2.mspId])), 'value');
    assert.equal(text(await read(second, 'sharedData', key, [org1.mspId])), 'value');
  });

  it('is endorsed by the organisations that its collections ask for', async () => {
    const key = unique('collection policies');
    await write(second, 'sharedData,org1Data', key, 'value');
    assert.equal(text(await read(first, 'org1Data', key)), 'value');
    assert.equal(text(await read(first, 'sharedData', key)), 'value');
  });

  it('fails at its commit when the collection asks for another endorsement', async () => {
    const proposal = first.newProposal('write', {
      arguments: ['org1Data', unique('wrong endorser')], transientData: { value: 'x' }, endorsingOrganizations: [org2.mspId],
    });
    const status = await (await (await proposal.endorse()).submit()).getStatus();
    assert.equal(status.code, StatusCode.ENDORSEMENT_POLICY_FAILURE);
  });

  it('has a hash that everybody can read', async () => {
    const key = unique('hash');
    await write(first, 'org1Data', key, 'value', [org1.mspId]);
    const hash = await second.evaluate('hash', { arguments: ['org1Data', key], endorsingOrganizations: [org2.mspId] });
    assert.equal(text(hash), sha256('value').toString('hex'));
  });

  it('is found by ranges', async () => {
    const prefix = unique('range');
    for (const letter of ['a', 'b', 'c']) {
      await write(first, 'sharedData', `${prefix} ${letter}`, `value ${letter}`);
    }
    const found = json(await first.evaluateTransaction('range', 'sharedData', `${prefix} a`, `${prefix} c`));
    assert.deepEqual(found.map(({ value }) => value), ['value a', 'value b']);
  });

  it('is removed, and purged', async () => {
    for (const how of ['remove', 'purge']) {
      const key = unique(how);
      await write(first, 'sharedData', key, 'value');
      await first.submitTransaction(how, 'sharedData', key);
      assert.equal(text(await read(first, 'sharedData', key)), '', how);
      assert.equal(text(await first.evaluateTransaction('hash', 'sharedData', key)), '', how);
    }
  });

  it('is gone after as many blocks as the collection keeps it', async () => {
    const BLOCK_TO_LIVE = 3;
    const key = unique('short-lived');
    await write(first, 'org1Data', key, 'value', [org1.mspId]);
    for (let i = 0; i <= BLOCK_TO_LIVE; i++) {
      await write(first, 'sharedData', unique('block'), 'x');
    }
    assert.equal(text(await read(first, 'org1Data', key)), '');
  });

  it('of an organisation needs no definition', async () => {
    const key = unique('implicit');
    await write(first, '_implicit_org_Org1MSP', key, 'value', [org1.mspId]);
    assert.equal(text(await read(first, '_implicit_org_Org1MSP', key)), 'value');
  });

  it('of a collection that does not exist is refused', async () => {
    const reason = `collection ${channel}/either/nosuch could not be found`;
    await refused(read(first, 'nosuch', 'key'), notEvaluated(failed('GET_STATE', reason)));
    await refused(write(first, 'nosuch', 'key', 'value', [org1.mspId]), notCollected(org1, failed('PUT_STATE', reason)));
  });
});
