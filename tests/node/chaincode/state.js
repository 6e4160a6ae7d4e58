'use strict';

const { Contract } = require('fabric-contract-api');
const { KeyEndorsementPolicy } = require('fabric-shim');

const text = (bytes) => Buffer.from(bytes).toString();

// Everything that a chaincode can ask of the state, its history, and other chaincodes.
class State extends Contract {
  constructor() {
    super('state');
  }

  async fill(ctx, prefix, count) {
    for (let i = 0; i < Number(count); i++) {
      await ctx.stub.putState(`${prefix}${String(i).padStart(4, '0')}`, Buffer.from(`value ${i}`));
    }
  }

  async remove(ctx, key) {
    await ctx.stub.deleteState(key);
  }

  // A transaction does not read what it wrote itself.
  async putThenGet(ctx, key, value) {
    await ctx.stub.putState(key, Buffer.from(value));
    return text(await ctx.stub.getState(key));
  }

  async range(ctx, start, end) {
    return await collect(ctx.stub.getStateByRange(start, end));
  }

  async count(ctx, start, end) {
    return (await collect(ctx.stub.getStateByRange(start, end))).length;
  }

  // Counts a range and writes the result, so that a change of the range is a phantom.
  async storeCount(ctx, start, end, key) {
    const found = await collect(ctx.stub.getStateByRange(start, end));
    await ctx.stub.putState(key, Buffer.from(String(found.length)));
    return found.length;
  }

  async firstOfRange(ctx, start, end) {
    const iterator = await ctx.stub.getStateByRange(start, end);
    const first = await iterator.next();
    await iterator.close();
    return first.value.key;
  }

  async page(ctx, start, end, size, bookmark) {
    const { iterator, metadata } = await ctx.stub.getStateByRangeWithPagination(start, end, Number(size), bookmark);
    const keys = [];
    for (let next = await iterator.next(); !next.done; next = await iterator.next()) {
      keys.push(next.value.key);
    }
    await iterator.close();
    return { keys, fetched: metadata.fetchedRecordsCount, bookmark: metadata.bookmark };
  }

  async pageAndWrite(ctx, start, end, key) {
    await ctx.stub.getStateByRangeWithPagination(start, end, 1, '');
    await ctx.stub.putState(key, Buffer.from('written'));
  }

  async putComposite(ctx, type, attributes, value) {
    const key = ctx.stub.createCompositeKey(type, JSON.parse(attributes));
    await ctx.stub.putState(key, Buffer.from(value));
  }

  async composites(ctx, type, attributes) {
    const found = await collect(ctx.stub.getStateByPartialCompositeKey(type, JSON.parse(attributes)));
    return found.map(({ key, value }) => ({ ...ctx.stub.splitCompositeKey(key), value }));
  }

  async compositePage(ctx, type, attributes, size, bookmark) {
    const { iterator, metadata } = await ctx.stub.getStateByPartialCompositeKeyWithPagination(
      type, JSON.parse(attributes), Number(size), bookmark);
    const found = [];
    for (let next = await iterator.next(); !next.done; next = await iterator.next()) {
      found.push(ctx.stub.splitCompositeKey(next.value.key).attributes);
    }
    await iterator.close();
    return { found, fetched: metadata.fetchedRecordsCount, bookmark: metadata.bookmark };
  }

  async history(ctx, key) {
    const changes = [];
    for await (const change of ctx.stub.getHistoryForKey(key)) {
      changes.push({ txId: change.txId, isDelete: change.isDelete, value: text(change.value), seconds: Number(change.timestamp.seconds) });
    }
    return changes;
  }

  async query(ctx, selector) {
    return await collect(ctx.stub.getQueryResult(selector));
  }

  async requireOrganizations(ctx, key, mspIds) {
    const policy = new KeyEndorsementPolicy();
    policy.addOrgs('PEER', ...mspIds.split(','));
    await ctx.stub.setStateValidationParameter(key, policy.getPolicy());
  }

  async requiredOrganizations(ctx, key) {
    const policy = await ctx.stub.getStateValidationParameter(key);
    const names = policy && policy.length > 0 ? new KeyEndorsementPolicy(policy).listOrgs() : [];
    return names;
  }

  async callOther(ctx, chaincode, channel, args) {
    const response = await ctx.stub.invokeChaincode(chaincode, JSON.parse(args), channel);
    return { status: response.status, message: response.message, payload: text(response.payload ?? '') };
  }
}

async function collect(iterable) {
  const found = [];
  for await (const { key, value } of iterable) {
    found.push({ key, value: text(value) });
  }
  return found;
}

exports.State = State;
