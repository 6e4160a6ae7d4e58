// The chaincodes that each peer has by itself, asked through the official client.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { StatusCode } from '@hyperledger/fabric-gateway';
import { common, peer } from '@hyperledger/fabric-protos';

import { headerHash, transaction, transactions } from '../support/blocks.js';
import { refused } from '../support/refusal.js';
import { noCombination, notEvaluated } from '../support/words.js';
import { channel, gateway, unique } from '../support/world.js';

const network = gateway().getNetwork(channel);
const qscc = network.getContract('qscc');

async function commit() {
  const submitted = await network.getContract('both').submitAsync('put', { arguments: [unique('system'), 'x'] });
  return submitted.getStatus();
}

describe('qscc', () => {
  it('tells height and hashes of the chain', async () => {
    const { blockNumber } = await commit();
    const info = common.BlockchainInfo.deserializeBinary(await qscc.evaluateTransaction('GetChainInfo', channel));
    assert.ok(BigInt(info.getHeight()) > blockNumber);
    const last = common.Block.deserializeBinary(await qscc.evaluateTransaction('GetBlockByNumber', channel, String(info.getHeight() - 1)));
    assert.deepEqual(Buffer.from(info.getCurrentblockhash_asU8()), headerHash(last));
    assert.deepEqual(info.getPreviousblockhash_asU8(), last.getHeader().getPreviousHash_asU8());
  });

  it('finds one block by its number, its hash, and a transaction in it', async () => {
    const status = await commit();
    const byNumber = await qscc.evaluateTransaction('GetBlockByNumber', channel, String(status.blockNumber));
    const block = common.Block.deserializeBinary(byNumber);
    assert.equal(BigInt(block.getHeader().getNumber()), status.blockNumber);
    assert.ok(transactions(block).some(({ id }) => id === status.transactionId));

    const byHash = await qscc.evaluate('GetBlockByHash', { arguments: [channel, headerHash(block)] });
    const byTransaction = await qscc.evaluateTransaction('GetBlockByTxID', channel, status.transactionId);
    for (const found of [byHash, byTransaction].map((bytes) => common.Block.deserializeBinary(bytes))) {
      assert.deepEqual(found.getHeader().serializeBinary(), block.getHeader().serializeBinary());
      assert.deepEqual(found.getData().serializeBinary(), block.getData().serializeBinary());
    }
  });

  it('finds a transaction with its validation code', async () => {
    const status = await commit();
    const processed = peer.ProcessedTransaction.deserializeBinary(await qscc.evaluateTransaction('GetTransactionByID', channel, status.transactionId));
    assert.equal(processed.getValidationcode(), StatusCode.VALID);
    assert.equal(transaction(processed.getTransactionenvelope()).id, status.transactionId);
  });

  it('says what it does not find', async () => {
    const id = 'ff'.repeat(32);
    const refusals = [
      [['GetBlockByNumber', channel, '999999'], 'Failed to get block number 999999, error no such block number [999999] in index'],
      [['GetBlockByHash', channel, 'ff'], 'Failed to get block hash ff, error no such block hash [6666] in index'],
      [['GetBlockByTxID', channel, id], `Failed to get block for txID ${id}, error no such transaction ID [${id}] in index`],
      [['GetTransactionByID', channel, id], `Failed to get transaction with id ${id}, error no such transaction ID [${id}] in index`],
      [['GetChainInfo', 'nochannel'], 'Invalid chain ID, nochannel'],
      [['GetChainInfo'], 'Incorrect number of arguments, 1'],
      [['GetBlockByNumber', channel], 'missing 3rd argument for GetBlockByNumber'],
    ];
    for (const [call, reason] of refusals) {
      await refused(qscc.evaluateTransaction(...call), notEvaluated(`chaincode response 500, ${reason}`));
    }
  });

  it('changes nothing, so that nothing is submitted to it', async () => {
    await refused(qscc.submitTransaction('GetChainInfo', channel), noCombination(`No metadata was found for chaincode qscc in channel ${channel}`));
  });
});

describe('cscc', () => {
  const cscc = network.getContract('cscc');

  it('lists the channels of the peer', async () => {
    const answer = peer.ChannelQueryResponse.deserializeBinary(await cscc.evaluateTransaction('GetChannels'));
    assert.deepEqual(answer.getChannelsList().map((info) => info.getChannelId()), [channel]);
  });

  it('tells the configuration of a channel', async () => {
    const block = common.Block.deserializeBinary(await cscc.evaluateTransaction('GetConfigBlock', channel));
    assert.equal(transactions(block)[0].type, common.HeaderType.CONFIG);
  });

  it('tells nothing of a channel that the peer has not joined', async () => {
    await refused(cscc.evaluateTransaction('GetConfigBlock', 'nochannel'), notEvaluated(
      'chaincode response 500, access denied for [GetConfigBlock][nochannel]: Failed to get policy manager for channel [nochannel]'));
  });
});
