'use strict';

const { Contract } = require('fabric-contract-api');

// What a client can see of one transaction: arguments, result, event, caller, refusal.
class Plain extends Contract {
  constructor() {
    super('plain');
  }

  async echo(_ctx, text) {
    return text;
  }

  async echoTransient(ctx) {
    const entries = [...ctx.stub.getTransient()].map(([key, value]) => [key, Buffer.from(value).toString()]);
    return Object.fromEntries(entries.sort());
  }

  async put(ctx, key, value) {
    await ctx.stub.putState(key, Buffer.from(value));
  }

  async get(ctx, key) {
    return Buffer.from(await ctx.stub.getState(key)).toString();
  }

  // Reads before it writes, so that two at once conflict.
  async append(ctx, key, text) {
    const before = Buffer.from(await ctx.stub.getState(key)).toString();
    await ctx.stub.putState(key, Buffer.from(before + text));
    return before + text;
  }

  async event(ctx, name, payload) {
    await ctx.stub.putState(`event ${name}`, Buffer.from(payload));
    ctx.stub.setEvent(name, Buffer.from(payload));
  }

  async twoEvents(ctx, first, second) {
    await ctx.stub.putState('two events', Buffer.from(second));
    ctx.stub.setEvent(first, Buffer.from('first'));
    ctx.stub.setEvent(second, Buffer.from('second'));
  }

  async refuse(_ctx, message) {
    throw new Error(message);
  }

  async transaction(ctx) {
    const { stub, clientIdentity } = ctx;
    return {
      id: stub.getTxID(),
      channel: stub.getChannelID(),
      time: stub.getDateTimestamp().toISOString(),
      binding: stub.getBinding(),
      arguments: stub.getStringArgs(),
      mspId: clientIdentity.getMSPID(),
      caller: clientIdentity.getID(),
      creatorMspId: stub.getCreator().mspid,
    };
  }
}

exports.Plain = Plain;
