// Transactions through the official client: evaluated, submitted in one call and step by step.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { CommitError, StatusCode } from '@hyperledger/fabric-gateway';

import { refused } from '../support/refusal.js';
import { notEndorsed, notEvaluated } from '../support/words.js';
import { channel, gateway, json, org1, org2, text, unique, user1 } from '../support/world.js';

const network = gateway().getNetwork(channel);
const contract = network.getContract('both');

describe('a transaction', () => {
  it('is evaluated with a result', async () => {
    assert.equal(text(await contract.evaluateTransaction('echo', 'conga')), 'conga');
  });

  it('is submitted with a result', async () => {
    assert.equal(text(await contract.submitTransaction('echo', 'conga')), 'conga');
  });

  it('changes the state of both organisations', async () => {
    const key = unique('update');
    await contract.submitTransaction('put', key, 'ledger');
    for (const org of [org1, org2]) {
      const peer = gateway({ at: org }).getNetwork(channel).getContract('both');
      assert.equal(text(await peer.evaluateTransaction('get', key)), 'ledger', org.mspId);
    }
  });

  it('changes nothing when it is evaluated', async () => {
    const key = unique('evaluated');
    await contract.evaluateTransaction('put', key, 'lost');
    assert.equal(text(await contract.evaluateTransaction('get', key)), '');
  });

  it('takes transient data', async () => {
    const transientData = { key1: 'value1', key2: Buffer.from('value2') };
    const expected = { key1: 'value1', key2: 'value2' };
    assert.deepEqual(json(await contract.evaluate('echoTransient', { transientData })), expected);
    assert.deepEqual(json(await contract.submit('echoTransient', { transientData })), expected);
  });

  it('takes arguments of any bytes', async () => {
    const odd = 'ünïcode \u0000 and ☃';
    assert.equal(text(await contract.evaluateTransaction('echo', odd)), odd);
    assert.equal(text(await contract.evaluateTransaction('echo', '')), '');
  });

  it('reaches a contract by its name', async () => {
    const state = network.getContract('both', 'state');
    const key = unique('own write');
    assert.equal(text(await state.evaluateTransaction('putThenGet', key, 'unseen')), '');
    assert.equal(text(await contract.evaluateTransaction('plain:echo', 'full name')), 'full name');
  });

  it('tells the chaincode who called, when, and what', async () => {
    const before = Date.now();
    const proposal = contract.newProposal('transaction', { arguments: ['one', 'two'] });
    const seen = json(await proposal.evaluate());
    assert.equal(seen.id, proposal.getTransactionId());
    assert.equal(seen.channel, channel);
    assert.equal(seen.mspId, user1.mspId);
    assert.equal(seen.creatorMspId, user1.mspId);
    assert.match(seen.caller, /^x509::.*CN=User1.*::.*CN=ca\.org1/);
    assert.match(seen.binding, /^[0-9a-f]{64}$/);
    assert.deepEqual(seen.arguments, ['transaction', 'one', 'two']);
    assert.ok(Math.abs(Date.parse(seen.time) - before) < 10_000, seen.time);
  });
});

describe('a transaction step by step', () => {
  it('is endorsed, submitted, and its commit awaited', async () => {
    const key = unique('steps');
    const proposal = contract.newProposal('append', { arguments: [key, 'a'] });
    const transaction = await proposal.endorse();
    assert.equal(text(transaction.getResult()), 'a');
    assert.equal(transaction.getTransactionId(), proposal.getTransactionId());
    assert.equal(text(await contract.evaluateTransaction('get', key)), '', 'endorsing alone changes nothing');

    const commit = await transaction.submit();
    assert.equal(text(commit.getResult()), 'a');
    const status = await commit.getStatus();
    assert.equal(status.code, StatusCode.VALID);
    assert.equal(status.successful, true);
    assert.equal(status.transactionId, proposal.getTransactionId());
    assert.ok(status.blockNumber > 0n);
    assert.equal(text(await contract.evaluateTransaction('get', key)), 'a');
  });

  it('is submitted without waiting, and answers before the commit', async () => {
    const commit = await contract.submitAsync('echo', { arguments: ['early'] });
    assert.equal(text(commit.getResult()), 'early');
    assert.equal((await commit.getStatus()).successful, true);
  });

  it('commits in one block with others', async () => {
    const COUNT = 20;
    const commits = await Promise.all(
      Array.from({ length: COUNT }, (_, i) => contract.submitAsync('put', { arguments: [unique('many'), String(i)] })));
    const statuses = await Promise.all(commits.map((commit) => commit.getStatus()));
    assert.ok(statuses.every((status) => status.successful));
    assert.ok(new Set(statuses.map((status) => status.blockNumber)).size < COUNT);
  });

  it('has one effect when the same envelope is submitted three times', async () => {
    const key = unique('repeated');
    const transaction = await contract.newProposal('append', { arguments: [key, 'once'] }).endorse();
    const statuses = [];
    for (let i = 0; i < 3; i++) {
      statuses.push(await (await transaction.submit()).getStatus());
    }
    assert.deepEqual(statuses.map(({ code }) => code), Array(3).fill(StatusCode.VALID));
    assert.equal(new Set(statuses.map(({ blockNumber }) => blockNumber)).size, 1);
    assert.equal(text(await contract.evaluateTransaction('get', key)), 'once');
  });

  it('is not endorsed again once it is on the ledger', async () => {
    const proposal = contract.newProposal('echo', { arguments: ['again'] });
    const transaction = await proposal.endorse();
    await (await transaction.submit()).getStatus();
    const id = proposal.getTransactionId();
    await refused(proposal.endorse(), notEndorsed(new RegExp(`^duplicate transaction found \\[${id}\\]\\. Creator \\[[0-9a-f]+\\]$`)));
  });
});

describe('an invalid transaction', () => {
  /** FAB-07: being ordered is no success; a read conflict is told by the commit alone. */
  it('fails at its commit when another has changed what it read', async () => {
    const key = unique('conflict');
    const [first, second] = await Promise.all([
      contract.newProposal('append', { arguments: [key, 'a'] }).endorse(),
      contract.newProposal('append', { arguments: [key, 'b'] }).endorse(),
    ]);
    assert.equal((await (await first.submit()).getStatus()).code, StatusCode.VALID);
    const status = await (await second.submit()).getStatus();
    assert.equal(status.code, StatusCode.MVCC_READ_CONFLICT);
    assert.equal(status.successful, false);
    assert.equal(text(await contract.evaluateTransaction('get', key)), 'a');
  });

  it('is a CommitError of the easy call', async () => {
    const key = unique('easy conflict');
    const calls = await Promise.allSettled(
      ['a', 'b', 'c'].map((letter) => contract.submitTransaction('append', key, letter)));
    const errors = calls.filter((call) => call.status === 'rejected').map((call) => call.reason);
    assert.equal(errors.length, 2, 'one of three wins');
    for (const error of errors) {
      assert.ok(error instanceof CommitError, String(error));
      assert.equal(error.code, StatusCode.MVCC_READ_CONFLICT);
      assert.equal(error.message, `Transaction ${error.transactionId} failed to commit with status code 11 (MVCC_READ_CONFLICT)`);
    }
  });

  it('is a phantom when another has put a key into a range it read', async () => {
    const state = network.getContract('both', 'state');
    const prefix = unique('phantom');
    const counted = await state.newProposal('storeCount', { arguments: [`${prefix} a`, `${prefix} z`, `${prefix} count`] }).endorse();
    await contract.submitTransaction('put', `${prefix} k`, 'new');
    const status = await (await counted.submit()).getStatus();
    assert.equal(status.code, StatusCode.PHANTOM_READ_CONFLICT);
  });

  /** FAB-07: the validation code of a policy failure reaches the caller. */
  it('fails at its commit when only one of two required organisations endorsed it', async () => {
    const key = unique('one endorsement');
    const proposal = contract.newProposal('put', { arguments: [key, 'x'], endorsingOrganizations: [org1.mspId] });
    const transaction = await proposal.endorse();
    const status = await (await transaction.submit()).getStatus();
    assert.equal(status.code, StatusCode.ENDORSEMENT_POLICY_FAILURE);
    assert.equal(text(await contract.evaluateTransaction('get', key)), '');
  });
});

describe('a refused transaction', () => {
  const message = 'chaincode response 500, all your error are belong to us';

  it('tells the words of the chaincode when it was evaluated', async () => {
    await refused(contract.evaluateTransaction('refuse', 'all your error are belong to us'), notEvaluated(message));
  });

  it('tells the words of the chaincode when it was submitted', async () => {
    await refused(contract.submitTransaction('refuse', 'all your error are belong to us'), notEndorsed(message));
  });

  it('names its transaction', async () => {
    const proposal = contract.newProposal('refuse', { arguments: ['named'] });
    const error = await proposal.endorse().catch((thrown) => thrown);
    assert.equal(error.transactionId, proposal.getTransactionId());
  });
});
