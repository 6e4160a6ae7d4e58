'use strict';

const { Contract } = require('fabric-contract-api');

const text = (bytes) => Buffer.from(bytes).toString();

// Private data: values come as transient data, so that they stand in no block.
class Confidential extends Contract {
  constructor() {
    super('confidential');
  }

  // Writes transient `value` under `key` into each collection of a list.
  async write(ctx, collections, key) {
    const value = ctx.stub.getTransient().get('value');
    if (value === undefined) {
      throw new Error("transient data has no 'value'");
    }
    for (const collection of collections.split(',')) {
      await ctx.stub.putPrivateData(collection, key, value);
    }
  }

  async read(ctx, collection, key) {
    return text(await ctx.stub.getPrivateData(collection, key));
  }

  async hash(ctx, collection, key) {
    return Buffer.from(await ctx.stub.getPrivateDataHash(collection, key)).toString('hex');
  }

  async range(ctx, collection, start, end) {
    const found = [];
    for await (const { key, value } of ctx.stub.getPrivateDataByRange(collection, start, end)) {
      found.push({ key, value: text(value) });
    }
    return found;
  }

  async remove(ctx, collection, key) {
    await ctx.stub.deletePrivateData(collection, key);
  }

  async purge(ctx, collection, key) {
    await ctx.stub.purgePrivateData(collection, key);
  }
}

exports.Confidential = Confidential;
