// Block events through the official client: whole blocks, filtered ones, and blocks with the
// private data that the listener's organisation may see.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { common } from '@hyperledger/fabric-protos';
import { StatusCode, checkpointers } from '@hyperledger/fabric-gateway';

import { dataHash, headerHash, privateWrites, transactions } from '../support/blocks.js';
import { Listener, listening } from '../support/listen.js';
import { refused } from '../support/refusal.js';
import { channel, gateway, org1, org2, stranger, text, unique, user1, user2 } from '../support/world.js';

const network = gateway().getNetwork(channel);
const contract = network.getContract('both');

/** What the three kinds have in common: opening one, its number, and its transactions' ids. */
const KINDS = {
  block: {
    open: (from, options) => from.getBlockEvents(options),
    number: (block) => block.getHeader().getNumber(),
    ids: (block) => transactions(block).map(({ id }) => id),
  },
  'filtered block': {
    open: (from, options) => from.getFilteredBlockEvents(options),
    number: (block) => block.getNumber(),
    ids: (block) => block.getFilteredTransactionsList().map((filtered) => filtered.getTxid()),
  },
  'block and private data': {
    open: (from, options) => from.getBlockAndPrivateDataEvents(options),
    number: (event) => event.getBlock().getHeader().getNumber(),
    ids: (event) => transactions(event.getBlock()).map(({ id }) => id),
  },
};

/** Submits a transaction, and tells its block. */
async function commit(name, ...args) {
  const submitted = await contract.submitAsync(name, { arguments: args });
  return submitted.getStatus();
}

const has = (kind, { transactionId }) => (block) => kind.ids(block).includes(transactionId);

for (const [name, kind] of Object.entries(KINDS)) {
  describe(`a listener for ${name} events`, () => {
    it('receives a block', async () => {
      await listening(kind.open(network), async (events) => {
        const status = await commit('echo', 'echo');
        const block = await events.find(has(kind, status));
        assert.equal(BigInt(kind.number(block)), status.blockNumber);
      });
    });

    it('replays from the last block', async () => {
      const status = await commit('echo', 'echo');
      await listening(kind.open(network, { startBlock: status.blockNumber }), async (events) => {
        assert.ok(has(kind, status)(await events.next()));
      });
    });

    it('replays from block 0 without a gap', async () => {
      const status = await commit('echo', 'echo');
      await listening(kind.open(network, { startBlock: 0n }), async (events) => {
        const blocks = await events.take(Number(status.blockNumber) + 1);
        assert.deepEqual(blocks.map((block) => Number(kind.number(block))), blocks.map((_, i) => i));
        assert.ok(has(kind, status)(blocks.at(-1)));
      });
    });

    it('receives again after it was closed and opened', async () => {
      for (let i = 0; i < 2; i++) {
        await listening(kind.open(network), async (events) => {
          await events.find(has(kind, await commit('echo', 'echo')));
        });
      }
    });

    it('is not disturbed when another is closed', async () => {
      await listening(kind.open(network), async (second) => {
        await listening(kind.open(network), async (first) => {
          const status = await commit('echo', 'before');
          await first.find(has(kind, status));
          await second.find(has(kind, status));
        });
        await second.find(has(kind, await commit('echo', 'after')));
      });
    });

    it('resumes from a checkpoint', async () => {
      const checkpoint = checkpointers.inMemory();
      await listening(kind.open(network, { checkpoint }), async (events) => {
        const block = await events.find(has(kind, await commit('echo', 'checkpoint')));
        await checkpoint.checkpointBlock(BigInt(kind.number(block)));
      });
      const missed = await commit('echo', 'missed');
      await listening(kind.open(network, { checkpoint }), async (events) => {
        const block = await events.next();
        assert.equal(BigInt(kind.number(block)), checkpoint.getBlockNumber());
        await (has(kind, missed)(block) || events.find(has(kind, missed)));
      });
    });

    it('is told the status of what it cannot have', async () => {
      const { blockNumber } = await commit('echo', 'height');
      const cases = [
        [network, { startBlock: blockNumber + 1_000n }, 404],
        [gateway().getNetwork('nochannel'), { startBlock: 0n }, 404],
        [gateway({ as: stranger, at: org1 }).getNetwork(channel), { startBlock: 0n }, 403],
      ];
      for (const [from, options, status] of cases) {
        await refused(async () => new Listener(await kind.open(from, options)).next(),
          { type: 'Error', message: `Unexpected status response: ${status}` });
      }
    });
  });
}

describe('a block', () => {
  it('is chained to the one before, and its hashes are those of its content', async () => {
    const { blockNumber } = await commit('echo', 'tip');
    await listening(network.getBlockEvents({ startBlock: 0n }), async (events) => {
      const blocks = await events.take(Number(blockNumber) + 1);
      blocks.forEach((block, i) => {
        assert.deepEqual(Buffer.from(block.getHeader().getDataHash_asU8()), dataHash(block), `data of block ${i}`);
        const previous = i === 0 ? Buffer.alloc(0) : headerHash(blocks[i - 1]);
        assert.deepEqual(Buffer.from(block.getHeader().getPreviousHash_asU8()), previous, `block before ${i}`);
      });
      const [genesis] = transactions(blocks[0]);
      assert.equal(genesis.type, common.HeaderType.CONFIG);
      assert.equal(genesis.channel, channel);
    });
  });

  it('is the same at both organisations', async () => {
    const { blockNumber: startBlock } = await commit('echo', 'same');
    const contents = [];
    for (const org of [org1, org2]) {
      await listening(gateway({ at: org }).getNetwork(channel).getBlockEvents({ startBlock }), async (events) => {
        const block = await events.next();
        contents.push([block.getHeader().serializeBinary(), block.getData().serializeBinary()].map((part) => Buffer.from(part).toString('hex')));
      });
    }
    assert.deepEqual(contents[0], contents[1]);
  });

  it('tells who signed and endorsed a transaction, and what it did', async () => {
    const key = unique('event');
    const status = await commit('event', key, 'payload');
    await listening(network.getBlockEvents({ startBlock: status.blockNumber }), async (events) => {
      const seen = transactions(await events.next()).find(({ id }) => id === status.transactionId);
      assert.equal(seen.code, StatusCode.VALID);
      assert.equal(seen.type, common.HeaderType.ENDORSER_TRANSACTION);
      assert.equal(seen.creator, user1.mspId);
      assert.deepEqual(seen.endorsers.sort(), [org1.mspId, org2.mspId]);
      assert.equal(seen.chaincode, 'both');
      assert.deepEqual(seen.namespaces.both.writes, [{ key: `event ${key}`, value: 'payload', isDelete: false }]);
      assert.deepEqual(seen.event, { name: key, payload: 'payload', txId: status.transactionId, chaincode: 'both' });
    });
  });

  it('keeps invalid transactions, marked', async () => {
    const proposal = contract.newProposal('put', { arguments: [unique('invalid'), 'x'], endorsingOrganizations: [org2.mspId] });
    const status = await (await (await proposal.endorse()).submit()).getStatus();
    await listening(network.getBlockEvents({ startBlock: status.blockNumber }), async (events) => {
      const seen = transactions(await events.next()).find(({ id }) => id === status.transactionId);
      assert.equal(seen.code, StatusCode.ENDORSEMENT_POLICY_FAILURE);
      assert.deepEqual(seen.endorsers, [org2.mspId]);
    });
  });
});

describe('a filtered block', () => {
  it('tells code, kind and events of its transactions, without payloads', async () => {
    const name = unique('filtered');
    const status = await commit('event', name, 'secret');
    await listening(network.getFilteredBlockEvents({ startBlock: status.blockNumber }), async (events) => {
      const block = await events.next();
      assert.equal(block.getChannelId(), channel);
      const seen = block.getFilteredTransactionsList().find((filtered) => filtered.getTxid() === status.transactionId);
      assert.equal(seen.getTxValidationCode(), StatusCode.VALID);
      assert.equal(seen.getType(), common.HeaderType.ENDORSER_TRANSACTION);
      const [action] = seen.getTransactionActions().getChaincodeActionsList();
      const event = action.getChaincodeEvent();
      assert.equal(event.getEventName(), name);
      assert.equal(event.getTxId(), status.transactionId);
      assert.equal(event.getChaincodeId(), 'both');
      assert.equal(event.getPayload_asU8().length, 0);
    });
  });
});

describe('a block with private data', () => {
  it('shows each organisation the collections that it is a member of', async () => {
    const key = unique('private');
    const proposal = network.getContract('either', 'confidential').newProposal('write', {
      arguments: ['sharedData,org1Data', key],
      transientData: { value: 'secret' },
      endorsingOrganizations: [org1.mspId],
    });
    const submitted = await (await proposal.endorse()).submit();
    const status = await submitted.getStatus();
    assert.equal(status.code, StatusCode.VALID);

    const seen = {};
    for (const as of [user1, user2]) {
      const from = gateway({ as }).getNetwork(channel);
      await listening(from.getBlockAndPrivateDataEvents({ startBlock: status.blockNumber }), async (events) => {
        const event = await events.next();
        const all = transactions(event.getBlock());
        seen[as.mspId] = privateWrites(event)[all.findIndex(({ id }) => id === status.transactionId)];
      });
    }
    const writes = [{ key, value: 'secret' }];
    assert.deepEqual(seen.Org1MSP, { org1Data: writes, sharedData: writes });
    assert.deepEqual(seen.Org2MSP, { sharedData: writes });
  });

  it('stands on the ledger as hashes alone', async () => {
    const key = unique('hashed');
    const submitted = await network.getContract('either', 'confidential').submitAsync('write', {
      arguments: ['sharedData', key],
      transientData: { value: 'do not print' },
    });
    const { blockNumber: startBlock, transactionId } = await submitted.getStatus();
    await listening(network.getBlockEvents({ startBlock }), async (events) => {
      const block = await events.next();
      const seen = transactions(block).find(({ id }) => id === transactionId);
      assert.equal(seen.namespaces.either.collections.sharedData.length, 1);
      assert.ok(!text(block.serializeBinary()).includes('do not print'));
    });
  });
});
