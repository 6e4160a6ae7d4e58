// A chaincode written with the official libraries and run as a service: what it can ask of the
// ledger.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { StatusCode } from '@hyperledger/fabric-gateway';

import { refused } from '../support/refusal.js';
import { notEndorsed, notEvaluated } from '../support/words.js';
import { channel, gateway, json, org1, text, unique } from '../support/world.js';

const network = gateway().getNetwork(channel);
const plain = network.getContract('both');
const state = network.getContract('both', 'state');

const ask = async (...args) => json(await state.evaluateTransaction(...args));
const keysOf = (found) => found.map(({ key }) => key);
const numbered = (prefix, from, to) => Array.from({ length: to - from }, (_, i) => prefix + String(from + i).padStart(4, '0'));

/** Puts values under `count` keys that begin alike. */
async function filled(count) {
  const prefix = unique('filled ');
  await state.submitTransaction('fill', prefix, String(count));
  return prefix;
}

/** Evaluates, and expects the peer to refuse a request of the chaincode. */
async function refusedBy(request, reason, name, ...args) {
  const proposal = state.newProposal(name, { arguments: args });
  const message = `chaincode response 500, ${request} failed: transaction ID: ${proposal.getTransactionId()}: ${reason}`;
  await refused(proposal.evaluate(), notEvaluated(message));
}

describe('a range of keys', () => {
  it('is read in order, its end left out', async () => {
    const prefix = await filled(5);
    const found = await ask('range', `${prefix}0001`, `${prefix}0004`);
    assert.deepEqual(keysOf(found), numbered(prefix, 1, 4));
    assert.equal(found[0].value, 'value 1');
  });

  it('may be longer than one answer of the peer', async () => {
    const COUNT = 450;
    const prefix = await filled(COUNT);
    assert.deepEqual(keysOf(await ask('range', prefix, `${prefix}z`)), numbered(prefix, 0, COUNT));
  });

  it('may be empty', async () => {
    const nowhere = unique('nowhere');
    assert.deepEqual(await ask('range', nowhere, `${nowhere}z`), []);
  });

  it('may be left before its end', async () => {
    const prefix = await filled(150);
    assert.equal(text(await state.evaluateTransaction('firstOfRange', prefix, `${prefix}z`)), `${prefix}0000`);
  });

  it('has no keys that were removed', async () => {
    const prefix = await filled(3);
    await state.submitTransaction('remove', `${prefix}0001`);
    assert.deepEqual(keysOf(await ask('range', prefix, `${prefix}z`)), [`${prefix}0000`, `${prefix}0002`]);
  });

  it('open at both ends holds every plain key and no composite one', async () => {
    const prefix = await filled(2);
    await state.submitTransaction('putComposite', unique('type'), '["x"]', 'composite');
    const keys = keysOf(await ask('range', '', ''));
    assert.ok(numbered(prefix, 0, 2).every((key) => keys.includes(key)));
    assert.ok(keys.every((key) => !key.startsWith('\u0000')));
  });

  it('is valid at its commit when nobody changed it', async () => {
    const prefix = await filled(120);
    const key = unique('count');
    assert.equal(text(await state.submitTransaction('storeCount', prefix, `${prefix}z`, key)), '120');
    assert.equal(text(await plain.evaluateTransaction('get', key)), '120');
  });
});

describe('pages of a range', () => {
  it('are read one after another with bookmarks', async () => {
    const prefix = await filled(7);
    const end = `${prefix}z`;
    const first = await ask('page', prefix, end, '3', '');
    assert.deepEqual(first, { keys: numbered(prefix, 0, 3), fetched: 3, bookmark: `${prefix}0003` });
    const second = await ask('page', prefix, end, '3', first.bookmark);
    assert.deepEqual(second, { keys: numbered(prefix, 3, 6), fetched: 3, bookmark: `${prefix}0006` });
    const last = await ask('page', prefix, end, '3', second.bookmark);
    assert.deepEqual(last, { keys: [`${prefix}0006`], fetched: 1, bookmark: '' });
  });

  it('of exactly the size leave nothing', async () => {
    const prefix = await filled(3);
    const page = await ask('page', prefix, `${prefix}z`, '3', '');
    assert.deepEqual(page, { keys: numbered(prefix, 0, 3), fetched: 3, bookmark: '' });
  });

  it('are refused in a transaction that writes', async () => {
    const proposal = state.newProposal('pageAndWrite', { arguments: ['a', 'z', 'key'] });
    const id = proposal.getTransactionId();
    // The spelling is the peer's.
    await refused(proposal.endorse(), notEndorsed(`chaincode response 500, PUT_STATE failed: transaction ID: ${id}: txid [${id}]: ` +
      'unsuppored transaction. Transaction has already performed a paginated query. Writes are not allowed'));
  });
});

describe('composite keys', () => {
  it('are found by the first of their attributes', async () => {
    const type = unique('colour');
    for (const attributes of [['red', '1'], ['red', '2'], ['blue', '3']]) {
      await state.submitTransaction('putComposite', type, JSON.stringify(attributes), attributes[1]);
    }
    assert.deepEqual(await ask('composites', type, '["red"]'), [
      { objectType: type, attributes: ['red', '1'], value: '1' },
      { objectType: type, attributes: ['red', '2'], value: '2' },
    ]);
    assert.equal((await ask('composites', type, '[]')).length, 3);
    assert.equal((await ask('composites', type, '["green"]')).length, 0);
  });

  it('are read in pages', async () => {
    const type = unique('paged');
    for (const number of ['1', '2', '3']) {
      await state.submitTransaction('putComposite', type, JSON.stringify([number]), number);
    }
    const first = await ask('compositePage', type, '[]', '2', '');
    assert.deepEqual(first.found, [['1'], ['2']]);
    assert.equal(first.fetched, 2);
    const last = await ask('compositePage', type, '[]', '2', first.bookmark);
    assert.deepEqual({ ...last }, { found: [['3']], fetched: 1, bookmark: '' });
  });
});

describe('the history of a key', () => {
  it('is told from the newest change on, removals included', async () => {
    const key = unique('history');
    const ids = [];
    for (const [contract, name, args] of [[plain, 'put', [key, 'one']], [plain, 'put', [key, 'two']], [state, 'remove', [key]], [plain, 'put', [key, 'three']]]) {
      const commit = await contract.submitAsync(name, { arguments: args });
      assert.equal((await commit.getStatus()).code, StatusCode.VALID);
      ids.unshift(commit.getTransactionId());
    }
    const changes = await ask('history', key);
    assert.deepEqual(changes.map(({ txId }) => txId), ids);
    assert.deepEqual(changes.map(({ value, isDelete }) => [value, isDelete]), [['three', false], ['', true], ['two', false], ['one', false]]);
    for (const { seconds } of changes) {
      assert.ok(Math.abs(seconds - Date.now() / 1_000) < 60, String(seconds));
    }
  });

  it('leaves out invalid transactions', async () => {
    const key = unique('valid history');
    const endorsed = await plain.newProposal('put', { arguments: [key, 'never'], endorsingOrganizations: [org1.mspId] }).endorse();
    assert.equal((await (await endorsed.submit()).getStatus()).successful, false);
    assert.deepEqual(await ask('history', key), []);
  });
});

describe('another chaincode', () => {
  const call = async (...args) => ask('callOther', 'either', channel, JSON.stringify(args));

  it('is called, and reads its own keys', async () => {
    const key = unique('theirs');
    await network.getContract('either').submitTransaction('put', key, 'of either');
    await plain.submitTransaction('put', key, 'of both');
    assert.deepEqual(await call('get', key), { status: 200, message: '', payload: 'of either' });
  });

  it('writes in the same transaction', async () => {
    const key = unique('written by another');
    const caller = network.getContract('either', 'state');
    await caller.submitTransaction('callOther', 'both', channel, JSON.stringify(['put', key, 'through']));
    assert.equal(text(await plain.evaluateTransaction('get', key)), 'through');
    assert.equal(text(await network.getContract('either').evaluateTransaction('get', key)), '');
  });

  it('hands its refusal to the caller, who decides', async () => {
    const answer = await call('refuse', 'no');
    assert.deepEqual(answer, { status: 500, message: 'no', payload: '' });
  });

  it('that does not exist fails the caller', async () => {
    await refusedBy('INVOKE_CHAINCODE', 'execute failed: invalid invocation: ' +
      `[channel ${channel}] failed to get chaincode container info for nosuch: chaincode nosuch not found`,
      'callOther', 'nosuch', channel, '["get","x"]');
  });

  it('on a channel that the peer has not joined fails the caller', async () => {
    await refusedBy('INVOKE_CHAINCODE', 'Failed to get policy manager for channel [nochannel]',
      'callOther', 'either', 'nochannel', '["get","x"]');
  });
});

describe('a query by content', () => {
  it('is refused as by a peer whose state is in LevelDB', async () => {
    await refusedBy('GET_QUERY_RESULT', 'ExecuteQuery not supported for leveldb', 'query', '{"selector":{}}');
  });
});

describe('many transactions at once', () => {
  it('are simulated side by side', async () => {
    const COUNT = 50;
    const results = await Promise.all(Array.from({ length: COUNT }, (_, i) => plain.evaluateTransaction('echo', String(i))));
    assert.deepEqual(results.map(text), Array.from({ length: COUNT }, (_, i) => String(i)));
  });

  it('do not wait for a slow one', async () => {
    const slow = network.getContract('both', 'faulty').evaluateTransaction('slow', '1500');
    const order = [];
    const both = [slow.then(() => order.push('slow')), plain.evaluateTransaction('echo', 'x').then(() => order.push('quick'))];
    await Promise.all(both);
    assert.deepEqual(order, ['quick', 'slow']);
  });

  it('may have large results', async () => {
    const BYTES = 6_000_000;
    const result = await network.getContract('both', 'faulty').evaluateTransaction('large', String(BYTES));
    assert.equal(result.length, BYTES);
  });
});
