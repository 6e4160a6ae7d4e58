// Chaincode events through the official client.

import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import { checkpointers } from '@hyperledger/fabric-gateway';

import { listening } from '../support/listen.js';
import { channel, gateway, org2, text, unique } from '../support/world.js';

const network = gateway().getNetwork(channel);
const contract = network.getContract('both');

/** Submits a transaction with an event, and tells its block. */
async function emit(name, payload) {
  const commit = await contract.submitAsync('event', { arguments: [name, payload] });
  const { blockNumber, successful } = await commit.getStatus();
  assert.ok(successful);
  return { blockNumber, transactionId: commit.getTransactionId() };
}

const named = (name) => (event) => event.eventName === name;
const payloads = (events) => events.map((event) => text(event.payload));

describe('a listener for chaincode events', () => {
  it('receives an event with its block and transaction', async () => {
    const name = unique('receive');
    await listening(network.getChaincodeEvents('both'), async (events) => {
      const { blockNumber, transactionId } = await emit(name, 'bar');
      const { payload, ...event } = await events.find(named(name));
      assert.deepEqual(event, { blockNumber, transactionId, chaincodeName: 'both', eventName: name });
      assert.equal(text(payload), 'bar');
    });
  });

  it('replays events from a block on', async () => {
    const name = unique('replay');
    const { blockNumber: startBlock } = await emit(name, 'one');
    await emit(name, 'two');
    await listening(network.getChaincodeEvents('both', { startBlock }), async (events) => {
      assert.equal(text((await events.find(named(name))).payload), 'one');
      assert.equal(text((await events.find(named(name))).payload), 'two');
    });
  });

  it('replays everything from block 0, in the order of the blocks', async () => {
    const name = unique('from 0');
    await emit(name, 'last');
    await listening(network.getChaincodeEvents('both', { startBlock: 0n }), async (events) => {
      let last = 0n;
      await events.find((event) => {
        assert.ok(event.blockNumber >= last);
        last = event.blockNumber;
        return event.eventName === name;
      });
    });
  });

  it('receives again after it was closed and opened', async () => {
    const name = unique('restart');
    for (const payload of ['one', 'two']) {
      await listening(network.getChaincodeEvents('both'), async (events) => {
        await emit(name, payload);
        assert.equal(text((await events.find(named(name))).payload), payload);
      });
    }
  });

  it('is not disturbed when another is closed', async () => {
    const name = unique('close');
    await listening(network.getChaincodeEvents('both'), async (second) => {
      await listening(network.getChaincodeEvents('both'), async (first) => {
        await emit(name, 'before');
        assert.equal(text((await first.find(named(name))).payload), 'before');
        assert.equal(text((await second.find(named(name))).payload), 'before');
      });
      await emit(name, 'after');
      assert.equal(text((await second.find(named(name))).payload), 'after');
    });
  });

  it('at the other organisation receives the same', async () => {
    const name = unique('other peer');
    await listening(gateway({ at: org2 }).getNetwork(channel).getChaincodeEvents('both'), async (events) => {
      const { transactionId } = await emit(name, 'x');
      assert.equal((await events.find(named(name))).transactionId, transactionId);
    });
  });

  it('receives nothing of other chaincodes', async () => {
    const name = unique('other chaincode');
    const { blockNumber: startBlock } = await emit(name, 'elsewhere');
    await listening(network.getChaincodeEvents('either', { startBlock }), async (events) => {
      await network.getContract('either').submitTransaction('event', name, 'here');
      assert.equal(text((await events.find(named(name))).payload), 'here');
    });
  });

  it('receives no event of an invalid transaction, and the last of two set by one', async () => {
    const name = unique('valid only');
    const onlyOne = await contract.newProposal('event', { arguments: [name, 'invalid'], endorsingOrganizations: [org2.mspId] }).endorse();
    const invalid = await (await onlyOne.submit()).getStatus();
    assert.equal(invalid.successful, false);
    await contract.submitTransaction('twoEvents', 'first', name);
    await listening(network.getChaincodeEvents('both', { startBlock: invalid.blockNumber }), async (events) => {
      assert.equal(text((await events.find(({ eventName }) => eventName === name || eventName === 'first')).payload), 'second');
    });
  });

  it('that starts at a block to come waits for it', async () => {
    const name = unique('future');
    const { blockNumber } = await emit(name, 'now');
    await listening(network.getChaincodeEvents('both', { startBlock: blockNumber + 2n }), async (events) => {
      const emitted = [await emit(name, 'next'), await emit(name, 'one further'), await emit(name, 'two further')];
      const first = await events.find(named(name));
      const expected = emitted.find(({ blockNumber: number }) => number >= blockNumber + 2n);
      assert.equal(first.transactionId, expected.transactionId);
    });
  });
});

describe('a checkpoint of chaincode events', () => {
  it('in memory resumes after the last event seen', async () => {
    const name = unique('checkpoint');
    await resumes(name, checkpointers.inMemory(), (checkpointer) => checkpointer);
  });

  it('in a file survives its process', async () => {
    const name = unique('file checkpoint');
    const path = join(tmpdir(), `${name}.json`);
    try {
      await resumes(name, await checkpointers.file(path), () => checkpointers.file(path));
    } finally {
      await rm(path, { force: true });
    }
  });

  async function resumes(name, checkpointer, reopen) {
    await listening(network.getChaincodeEvents('both', { checkpoint: checkpointer }), async (events) => {
      await emit(name, 'one');
      await checkpointer.checkpointChaincodeEvent(await events.find(named(name)));
    });
    await emit(name, 'two');
    await emit(name, 'three');
    const later = await reopen(checkpointer);
    await listening(network.getChaincodeEvents('both', { checkpoint: later }), async (events) => {
      const seen = [await events.find(named(name)), await events.find(named(name))];
      assert.deepEqual(payloads(seen), ['two', 'three']);
    });
  }

  it('in the middle of a block skips what was seen of that block', async () => {
    const name = unique('middle');
    const commits = await Promise.all(['a', 'b', 'c', 'd'].map((payload, i) =>
      contract.submitAsync('event', { arguments: [`${name} ${i}`, payload] })));
    const statuses = await Promise.all(commits.map((commit) => commit.getStatus()));
    const startBlock = statuses.map(({ blockNumber }) => blockNumber).reduce((a, b) => (a < b ? a : b));
    const ours = ({ eventName }) => eventName.startsWith(name);
    const all = await listening(network.getChaincodeEvents('both', { startBlock }), async (events) => {
      const seen = [];
      while (seen.length < 4) {
        seen.push(await events.find(ours));
      }
      return seen;
    });
    const checkpoint = checkpointers.inMemory();
    await checkpoint.checkpointChaincodeEvent(all[1]);
    await listening(network.getChaincodeEvents('both', { checkpoint }), async (events) => {
      const rest = [await events.find(ours), await events.find(ours)];
      assert.deepEqual(rest.map(({ transactionId }) => transactionId), all.slice(2).map(({ transactionId }) => transactionId));
    });
  });

  it('of a transaction without an event delivers nothing, ever', async () => {
    const name = unique('no event');
    const { blockNumber, transactionId } = await (await contract.submitAsync('put', { arguments: [name, 'x'] })).getStatus();
    const checkpoint = checkpointers.inMemory();
    await checkpoint.checkpointTransaction(blockNumber, transactionId);
    await deliversNothing(name, { checkpoint });
  });

  it('of a transaction that the ledger does not have delivers nothing, ever', async () => {
    const name = unique('unknown');
    const { blockNumber } = await emit(name, 'before');
    const checkpoint = checkpointers.inMemory();
    await checkpoint.checkpointTransaction(blockNumber, 'ff'.repeat(32));
    await deliversNothing(name, { checkpoint });
  });

  async function deliversNothing(name, options) {
    await listening(network.getChaincodeEvents('both', options), async (events) => {
      await listening(network.getChaincodeEvents('both'), async (control) => {
        await emit(name, 'after');
        await control.find(named(name));
      });
      await events.staysSilent();
    });
  }
});
